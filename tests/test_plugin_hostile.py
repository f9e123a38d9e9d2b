"""Names in a cohort's table that are code elsewhere are text wherever a session is told of them."""

import csv
import json
import re
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import pytest

from tests.suites.project import Project

pytest_plugins = ["pytester"]

NAMES = [
    "<img src=x onerror=alert(1)>",
    "</script><script>alert(2)</script><!--",
    '=HYPERLINK("http://elsewhere.example")',
    "\x1b[2J\x1b]0;owned\x07",
    "\u202egnp.exe\u2028",
    "@everyone | `code` | [a](http://elsewhere.example)",
    "long " * 600,
]


@pytest.fixture
def project(pytester, monkeypatch):
    """A suite whose accepted values know sub-groups of these names, which are gone now."""
    project = Project(pytester, monkeypatch)
    project.world(sexes=NAMES)
    project.accept()
    project.world(sexes=["f", "m"])
    return project


@pytest.fixture
def output(project):
    """What a terminal is given, beside the files of a report."""
    return project.run_apart(
        "benchmarks", "--runs=force", "--report=out", "--junitxml=junit.xml", "-k", "chest"
    ).stdout.str()


def shown(text):
    """Whether nothing in it is invisible or turns the order of reading."""
    return all(character.isprintable() for line in text.split("\n") for character in line)


class Tags(HTMLParser):
    """The tags of a page, with their attributes."""

    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


def test_names_are_text_in_the_terminal_and_in_every_form_of_the_report(project, output):
    assert "sub-groups are gone: sex" in output
    assert shown(output)
    record = json.loads((project.path / "out/report.json").read_text())
    assert any("<img" in check["detail"] for check in record["expectations"])

    page = Tags()
    page.feed((project.path / "out/report.html").read_text())
    tags = {tag for tag, _ in page.found}
    assert "img" not in tags
    assert not any(name.startswith("on") for _, attributes in page.found for name in attributes)
    assert not any("elsewhere" in str(attributes.get("href")) for _, attributes in page.found)
    assert "alert(2)</script>" not in (project.path / "out/report.html").read_text()

    text = (project.path / "out/report.md").read_text()
    assert shown(text)
    assert "<img" not in text
    assert "<script" not in text
    assert not re.search(r"(?<!\\)@everyone", text)

    with (project.path / "out/report.csv").open(newline="") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    assert not [
        cell for cell in cells if re.match(r"[=+@\t\r-]", cell) and not re.fullmatch(r"[-+.\de]+", cell)
    ]

    junit = (project.path / "junit.xml").read_text()
    assert "sub-groups are gone" in "".join(ET.fromstring(junit).itertext())
    assert "\u202e" not in junit
