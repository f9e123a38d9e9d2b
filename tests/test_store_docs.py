import inspect
import re
import shlex
from pathlib import Path
from typing import get_args

import pytest

from medbench import cli, environment, remote, store
from tests import places, runs
from tests.test_remote import ID, train

PAGE = (Path(__file__).parents[1] / "docs" / "store.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", [*environment.SHAPING_LIBRARIES, *environment.SHAPING_SETTINGS])
def test_the_page_names_everything_that_gives_a_run_another_id(name):
    assert name in PAGE.partition("## Identity")[2].partition("##")[0]


@pytest.mark.parametrize("entry", sorted(store._OWN))
def test_the_page_names_everything_that_lies_in_a_store(entry):
    tree = PAGE.partition("    .medbench/\n")[2].partition("\n\n")[0]
    assert entry in tree.replace("/", " ").replace(",", " ").split()


@pytest.mark.parametrize("name", get_args(inspect.signature(store.Store.cache).parameters["name"].annotation))
def test_the_page_names_everything_that_is_cached(name):
    assert f"cache/{name}/" in PAGE


def section(title):
    return re.split(r"^##+ ", PAGE.partition(f"# {title}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]


def test_the_page_shows_what_lies_in_a_remote_store(tmp_path):
    at = places.new()
    one = store.Store(tmp_path, at)
    one.connect()
    train(one)
    shown = re.findall(r"^      (\S.*?)  ", section("A remote store").partition("    s3://")[2], re.MULTILINE)
    patterns = [re.sub(r"<[\w ]+>", "[^/]+", re.escape(name).replace("\\ ", " ")) for name in shown]
    lying = {
        path.removeprefix(f"/{at[10:]}/") for path in places.Watched.store if path.startswith(f"/{at[10:]}/")
    }
    assert len(patterns) == 3
    for path in lying:
        assert any(re.match(pattern.removesuffix("…"), path) for pattern in patterns), path
    for pattern in patterns:
        assert any(re.match(pattern.removesuffix("…"), path) for path in lying), pattern


def test_the_page_names_the_packages_of_back_ends():
    assert {"s3fs", "gcsfs", "adlfs", "paramiko"} <= set(re.findall(r"\w+", section("A remote store")))
    named = re.findall(r"(\w+) for (\w+)://", section("A remote store"))
    assert [remote._PACKAGES[protocol] for _, protocol in named] == [package for package, _ in named]


def test_the_commands_of_the_page_do_what_it_says(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    at = places.new()
    train(store.Store(Path("from-other")))
    train(store.Store(Path("third"), at), record=runs.record(run_id="0" * 20))
    commands = [
        line.partition("#")[0].replace("s3://bucket/study", at)
        for line in PAGE.splitlines()
        if line.startswith("    medbench store")
    ]
    assert [shlex.split(command)[2] for command in commands] == ["push", "add"]
    for command in commands:
        assert cli.main(shlex.split(command)[1:]) == 0, command
    assert f"{at}: 0 of 0 runs pushed." in capsys.readouterr().out
    assert store.Store(Path(".medbench")).ids() == ["0" * 20, ID]
