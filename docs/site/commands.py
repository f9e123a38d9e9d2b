"""The reference of commands and options, from the parsers that read them: `{commands}`, `{pytest-options}`."""

import argparse
from collections.abc import Iterator
from importlib import import_module

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from docs.site.sections import block, definition, definitions, prose, section
from medbench import pytest_plugin
from medbench.cli import COMMANDS


def setup(app: Sphinx) -> None:
    """Declare the two directives."""
    app.add_directive("commands", Commands)
    app.add_directive("pytest-options", PytestOptions)


class Commands(SphinxDirective):
    """A section for each command of `medbench`, with sections for its own commands."""

    def run(self) -> list[nodes.Node]:
        """Of all commands that are registered."""
        return [_section(parser, self.state.document) for parser in parsers()]


class PytestOptions(SphinxDirective):
    """Two sections: options and settings that medbench adds to pytest."""

    def run(self) -> list[nodes.Node]:
        """As the plugin declares them."""
        options = Options()
        pytest_plugin.pytest_addoption(options)  # type: ignore[arg-type]
        settings = definitions(*(definition(*setting) for setting in options.settings))
        return [
            section(self.state.document, "Options", *_arguments(options.parser)),
            section(self.state.document, "Settings in pytest.ini or pyproject.toml", settings),
        ]


class Options:
    """Takes options and settings as pytest's parser does, and hands the options to argparse."""

    def __init__(self) -> None:
        self.parser = argparse.ArgumentParser(prog="pytest", add_help=False)
        self.settings: list[tuple[str, str]] = []

    def addini(self, name: str, help: str, **_: object) -> None:  # noqa: A002 (pytest's name)
        """A setting."""
        self.settings.append((name, help))

    def getgroup(self, *_: str) -> "Options":
        """All groups are one."""
        return self

    def addoption(self, *names: str, **attributes: object) -> None:
        """An option."""
        self.parser.add_argument(*names, **attributes)  # type: ignore[arg-type]


def parsers() -> Iterator[argparse.ArgumentParser]:
    """Of each command, in the order in which they are registered."""
    for name, (module, summary) in COMMANDS.items():
        parser = argparse.ArgumentParser(prog=f"medbench {name}", description=summary)
        import_module(module).add_arguments(parser)
        yield parser


def _section(parser: argparse.ArgumentParser, document: nodes.document) -> nodes.section:
    inner = (_section(each, document) for each in inner_parsers(parser))
    return section(document, parser.prog, *_described(parser), *inner)


def inner_parsers(parser: argparse.ArgumentParser) -> list[argparse.ArgumentParser]:
    """The parsers of a command's own commands."""
    found = (each for each in parser._actions if isinstance(each, argparse._SubParsersAction))
    return [inner for action in found for inner in action.choices.values()]


def _described(parser: argparse.ArgumentParser) -> Iterator[nodes.Node]:
    if parser.description:
        yield prose(parser.description)
    yield block(parser.format_usage().removeprefix("usage: ").rstrip())
    yield from _arguments(parser)
    if parser.epilog:
        yield block(parser.epilog.rstrip())


def _arguments(parser: argparse.ArgumentParser) -> Iterator[nodes.Node]:
    """A definition of each argument but `--help` and the commands, which have sections."""
    apart = (argparse._HelpAction, argparse._SubParsersAction)
    shown = [
        each for each in parser._actions if not isinstance(each, apart) and each.help is not argparse.SUPPRESS
    ]
    formatter = parser._get_formatter()
    if shown:
        yield definitions(
            *(
                definition(formatter._format_action_invocation(each), formatter._expand_help(each))
                for each in shown
            )
        )
