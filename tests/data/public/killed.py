"""Prepares the ward in a process of its own, killed when so many images are staged; tells how many it read.

`python -m tests.data.public.killed FOLDER INTO KILL_AT`; 0 for not at all.
"""

import os
import signal
import sys
from pathlib import Path

from medbench.data.public import prepare, staging
from tests.data.public.ward import SOURCE


def main(folder: Path, into: Path, kill_at: int) -> None:
    # Images are told one by one, so that the kill falls among them.
    staging._AT_A_TIME = 1 if kill_at else staging._AT_A_TIME

    def report(stage: str, done: int, total: int) -> None:
        if stage == "reading images" and done == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    done = prepare.prepare(SOURCE, folder, into, processes=2, report=report)
    print(done.found)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
