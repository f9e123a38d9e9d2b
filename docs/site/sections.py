"""What generated pages are made of: sections that can be linked to, definitions, prose with `code` in it."""

import re

from docutils import nodes


def section(
    document: nodes.document, title: str, *content: nodes.Node, name: str | None = None
) -> nodes.section:
    """A section with a title; links find it by its name, which is the title where none is given."""
    made = nodes.section("", nodes.title("", "", *inline(title)), *content)
    made["ids"].append(nodes.make_id(name or title))
    document.note_explicit_target(made)
    return made


def definitions(*items: nodes.definition_list_item) -> nodes.definition_list:
    """A list of what `definition` makes."""
    return nodes.definition_list("", *items)


def definition(term: str, meaning: str, *beside: nodes.Node) -> nodes.definition_list_item:
    """A term, as code, with what stands beside it on its line; and what it means."""
    line = nodes.term("", "", nodes.literal("", term), *beside)
    return nodes.definition_list_item("", line, nodes.definition("", prose(meaning)))


def prose(text: str) -> nodes.paragraph:
    """A paragraph; what stands between backticks is code."""
    return nodes.paragraph("", "", *inline(text))


def inline(text: str) -> list[nodes.Node]:
    """Text, of which every second piece between backticks is code."""
    pieces = re.split(r"`([^`]+)`", text)
    made = (nodes.literal("", each) if i % 2 else nodes.Text(each) for i, each in enumerate(pieces))
    return [each for each in made if each.astext()]


def block(text: str) -> nodes.literal_block:
    """Text as it stands."""
    return nodes.literal_block(text, text, language="none")
