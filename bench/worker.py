"""One side of a comparison: answers requests that come as lines of JSON, and sleeps in between.

A side works only while the other waits for its own next line, so that their threads never meet.
"""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from bench import cases


class Subject(Protocol):
    """A case made ready on one side."""

    def variants(self) -> list[str]:
        """The ways in which this side can do it, compiled and warm."""

    def difference(self, variant: str) -> float:
        """From the answer that our side left: 0 there, and elsewhere relative to its largest part."""

    def run(self, variant: str, steps: int) -> float:
        """Seconds that so many steps take."""


def serve(prepare: Callable[[Any, Path], Subject]) -> None:
    """Answer until the requests end; what libraries print goes to stderr.

    Args:
      prepare: makes a case ready; the folder holds the files that sides exchange.
    """
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    subject: Subject | None = None
    for line in sys.stdin:
        request = json.loads(line)
        answer: Any
        if request["do"] == "prepare":
            subject = None  # its memory is given back first
            subject = prepare(cases.of_message(request["with"]["case"]), Path(request["with"]["folder"]))
            answer = {name: subject.difference(name) for name in subject.variants()}
        else:
            assert subject is not None, "a case is prepared before anything is asked of it"
            answer = getattr(subject, request["do"])(**request["with"])
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
