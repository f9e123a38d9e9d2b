"""Where the options of a pytest session point: its store, and paths as the command line has them."""

from functools import cached_property
from pathlib import Path

import pytest

from medbench.pytest_plugin import given_path
from medbench.remote import is_url
from medbench.store import Store

UNFINISHED = "not done:"
"""How a line at the end of a session begins that says what could not be written down."""


class Places:
    """Of one session.

    Args:
      config: of pytest.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    @cached_property
    def store(self) -> Store:
        """The one that was given, else `.medbench` beside pytest's configuration."""
        given, usual = self._config.option.store, self._config.rootpath / ".medbench"
        if given and is_url(given):
            return Store(usual, given)
        return Store(self.given(given) if given else usual)

    def given(self, path: str) -> Path:
        """A path from the command line."""
        return given_path(self._config, path)

    def shown(self, path: Path) -> str:
        """A path for a person: relative to where pytest was started, if it lies below."""
        here = self._config.invocation_params.dir
        return str(path.relative_to(here) if path.is_relative_to(here) else path)

    @property
    def shown_store(self) -> str:
        """The store for a person: its folder or its URL."""
        return self.store.name if self.store.remote else self.shown(self.store.root)
