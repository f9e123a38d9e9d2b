"""Where the suite lies that travels with medbench: its declarations, and beside them what was accepted.

A team's own suite extends it (`suite.yaml`); its files are only ever read.
"""

import sys
from pathlib import Path

HERE = Path("benchmarks")
"""Where commands look for a suite."""
_PACKAGE = Path(__file__).parent


def suite() -> Path:
    """The folder of declarations: within an installed package (see setup.py), or at a checkout's top."""
    inside = _PACKAGE / "_suite"
    return (inside if inside.is_dir() else _PACKAGE.parent) / "benchmarks"


def chosen(given: Path | None) -> Path:
    """The suite that a command is about: the given one, else `benchmarks` here, else medbench's own.

    The last is said on stderr, for who forgot in which folder he is.
    """
    if given is not None or HERE.exists():
        return given or HERE
    print(f"no folder `{HERE}` here: this is about medbench's own suite.", file=sys.stderr)
    return suite()
