"""The site: builds without a warning, says all that the code declares, and loads nothing from the network."""

import argparse
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("sphinx", reason="the site needs the docs extra")
pytest.importorskip("furo", reason="the site needs the docs extra")
pytest.importorskip("myst_parser", reason="the site needs the docs extra")

from docs.site import commands, docstrings, links
from medbench.spec.schema import json_schemas

ROOT = Path(__file__).parents[2]


def build(pages, into):
    arguments = ["-W", "--keep-going", "-q", "-c", str(ROOT / "docs/site"), str(pages), str(into)]
    return subprocess.run(
        [sys.executable, "-m", "sphinx", *arguments], cwd=ROOT, check=False, capture_output=True, text=True
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    into = tmp_path_factory.mktemp("site")
    ended = build(ROOT / "docs", into)
    assert ended.returncode == 0, ended.stderr
    return into


def test_every_page_is_in_the_site(site):
    assert {page.stem for page in (ROOT / "docs").glob("*.md")} <= {page.stem for page in site.glob("*.html")}


def test_pages_load_nothing_from_the_network(site):
    loads = re.compile(
        r"<(?:script|img|iframe|source|audio|video)\b[^>]*\bsrc(?:set)?=[\"'](?:https?:)?//"
        r"|<link\b(?![^>]*rel=[\"']canonical)[^>]*\bhref=[\"'](?:https?:)?//"
    )
    assert loads.search('<script src="https://cdn.example/x.js">')
    assert [str(page) for page in site.rglob("*.html") if loads.search(page.read_text("utf-8"))] == []
    styles = re.compile(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//")
    assert [str(style) for style in site.rglob("*.css") if styles.search(style.read_text("utf-8"))] == []


def test_the_reference_has_every_option_of_every_command(site):
    page = (site / "reference/commands.html").read_text("utf-8")
    explained = set(
        re.findall(r"(?<!\w)--?[a-z][\w-]*", " ".join(re.findall(r"<dt>.*?</dt>", page, re.DOTALL)))
    )

    def walk(parser):
        for action in parser._actions:
            if not isinstance(action, argparse._HelpAction):
                yield from action.option_strings
        for inner in commands.inner_parsers(parser):
            yield from walk(inner)

    for parser in commands.parsers():
        assert parser.prog in page
        assert set(walk(parser)) <= explained


def test_the_reference_has_every_field_of_every_file(site):
    page = (site / "reference/files.html").read_text("utf-8")
    for schema in json_schemas().values():
        for record in schema["$defs"].values():
            for name in record["properties"]:
                assert f'<span class="pre">{name}</span>' in page, name


def test_links_hold_on_github_and_on_the_site():
    site = ROOT / "docs"

    def on_site(text, folder=site):
        return links.resolved(text, folder, site)

    assert on_site("[a](../README.md#design-notes)") == "[a](overview.md#design-notes)"
    assert on_site("[a](../../README.md)", site / "reference") == "[a](../overview.md)"
    assert on_site("[its code](../medbench/models/)") == "its code"
    assert on_site("[a](../Makefile)") == "[a](path:../Makefile)"
    assert on_site("[a](tiers.md) ![b](x.svg) [c](https://example.org)") == (
        "[a](tiers.md) ![b](x.svg) [c](https://example.org)"
    )
    assert "[docs/tiers.md](tiers.md)" in on_site("<!-- shown here: ../README.md -->")
    with pytest.raises(ValueError, match="no heading `no-such`"):
        on_site("<!-- shown here: ../README.md#no-such -->")


def test_a_link_that_leads_nowhere_fails_the_build(tmp_path):
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages/index.md").write_text("# Page\n\n[gone](gone.md)\n")
    ended = build(tmp_path / "pages", tmp_path / "site")
    assert ended.returncode != 0
    assert "gone.md" in ended.stderr


def test_docstrings_keep_code_and_lose_no_signs():
    assert docstrings.as_rst("`a`s of |x| * y_ in (`b`)") == r"``a``\ s of \|x\| \* y\_ in (``b``)"
