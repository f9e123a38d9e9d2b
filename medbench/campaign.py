"""Which runs a session with `--runs=force` trained already, so that interrupted it goes on.

A folder of names that the processes of a session share. What a run is does not enter.
"""

import shutil
from pathlib import Path

from medbench.writing import writing


class Campaign:
    """Which runs a forced session trained already: its workers share it, and interrupted it goes on.

    A run counts once it was stored for this campaign; nothing depends on clocks.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __contains__(self, run_id: str) -> bool:
        """Whether the run was trained in this campaign."""
        return (self._folder / run_id).exists()

    def add(self, run_id: str) -> None:
        """Count a run as trained."""
        with writing(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
            (self._folder / run_id).touch()

    def end(self) -> None:
        """Forget the campaign: the next one trains every run again."""
        shutil.rmtree(self._folder, ignore_errors=True)
