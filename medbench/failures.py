"""Why runs could not be made in this session.

A folder of messages that the processes of a session share. What is done about a failure does not enter.
"""

from contextlib import suppress
from pathlib import Path

from medbench.writing import write_aside


class Failures:
    """Why runs could not be made in this session, so that none is tried again for the next who needs it.

    Args:
      folder: by which the processes of a session tell each other; without one, this process tells itself.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._known: dict[str, str] = {}

    def get(self, run_id: str) -> str | None:
        """The message; None where the run did not fail."""
        if run_id not in self._known and self._folder is not None:
            with suppress(OSError):
                self._known[run_id] = (self._folder / run_id).read_text(encoding="utf-8")
        return self._known.get(run_id)

    def add(self, run_id: str, message: str) -> None:
        """Remember a failure; where it cannot be written, others will see for themselves."""
        self._known[run_id] = message
        if self._folder is not None:
            with suppress(OSError):
                self._folder.mkdir(parents=True, exist_ok=True)
                write_aside(self._folder / run_id, message.encode(errors="backslashreplace"))
