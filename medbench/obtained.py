"""The runs that a session came by: how, of each of them, and the last few themselves.

A plan may have thousands of runs; their records are in the store, and none has to be kept here.
"""

from collections.abc import Callable
from dataclasses import replace

from medbench.identity import spec_id
from medbench.spec.runs import RunSpec
from medbench.store import Origin, StoredRun

AT_HAND = 128
"""Runs that are kept, since items of a claim, which follow each other, share theirs: some megabytes."""


class Obtained:
    """What was obtained. A run that is asked for again is as it was first: what was trained stays `trained`.

    Args:
      read: a run that the session came by in this way, from where it is now; None if it is gone.
    """

    def __init__(self, read: Callable[[RunSpec, Origin], StoredRun | None]) -> None:
        self._read = read
        self._origins: dict[str, Origin | None] = {}
        self._at_hand: dict[str, StoredRun] = {}

    def get(self, spec: RunSpec) -> StoredRun | None:
        """The run; None if it was not obtained, was not to be made, or is gone meanwhile."""
        return self._again(spec, spec_id(spec))

    def get_or(self, spec: RunSpec, obtain: Callable[[RunSpec], StoredRun | None]) -> StoredRun | None:
        """The run, obtained now where it was not yet; what was not to be made is not asked for again."""
        name = spec_id(spec)
        run = self._again(spec, name)
        if run is None and self._origins.get(name, "") is not None:
            run = obtain(spec)
            self._origins[name] = None if run is None else run.origin
            self._keep(name, run)
        return run

    def _again(self, spec: RunSpec, name: str) -> StoredRun | None:
        origin = self._origins.get(name)
        if origin is None:
            return None
        run = self._at_hand.pop(name, None) or self._read(spec, origin)
        if run is not None and run.origin != origin:
            run = replace(run, origin=origin)
        self._keep(name, run)
        return run

    def _keep(self, name: str, run: StoredRun | None) -> None:
        """As the one that was asked for last."""
        if run is not None:
            self._at_hand[name] = run
        if len(self._at_hand) > AT_HAND:
            del self._at_hand[next(iter(self._at_hand))]
