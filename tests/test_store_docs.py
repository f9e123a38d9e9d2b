import inspect
from pathlib import Path
from typing import get_args

import pytest

from medbench import environment, store

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
