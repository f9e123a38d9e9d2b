"""Commands that pages name, executed or not: each is one, and takes the options that it is given."""

import argparse
import re
import subprocess
import sys
from functools import cache
from importlib import import_module

import pytest

from medbench.cli import COMMANDS
from tests.docs.examples import DOCS, ROOT

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]
_COMMAND = re.compile(r"^(?:    |\$ )(?:[A-Z_]+=\S+ )*(medbench|pytest)( [^#\n]*)?", re.MULTILINE)


@cache
def options_of_pytest():
    """As its help lists them."""
    shown = subprocess.run(
        [sys.executable, "-m", "pytest", "--help"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    return set(re.findall(r"(?<!\w)--[a-z][\w-]*", shown.stdout))


def options_of(command):
    """Of a command of medbench and of its own commands."""
    parser = argparse.ArgumentParser()
    import_module(COMMANDS[command][0]).add_arguments(parser)
    return {"--help", *_options(parser)}


def _options(parser):
    for action in parser._actions:
        yield from action.option_strings
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                yield from _options(inner)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_names_commands_and_options_that_there_are(page):
    unknown = []
    for program, rest in _COMMAND.findall(page.read_text(encoding="utf-8")):
        given = set(re.findall(r"(?<=\s)--[a-z][\w-]*", rest))
        command = rest.split()[0] if rest.split() else "--help"
        if program == "pytest":
            unknown += given - options_of_pytest()
        elif command in COMMANDS:
            unknown += given - options_of(command)
        elif re.fullmatch(r"[a-z-]+", command):
            unknown.append(command)
    assert unknown == []
