"""How long a person waits for verdicts: whole processes of pytest, from nothing and with what is kept.

Nothing is compared with a peer, as none does this.
"""

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from bench.table import Row

SELECTIONS: dict[str, tuple[str, ...]] = {
    "mammography-scale-data": ("-k", "mammography and scale-data"),
    "all": (),
}
"""Rows named `suite/<selection>/…`; `all` is the embedded tier, some six minutes on two free cores."""


def rows(names: Iterable[str]) -> Iterator[Row]:
    """Seconds `cold`, `compiled` and `warm`: store empty, with compiled functions, and with finished runs.

    Args:
      names: of selections.
    """
    for name in names:
        with tempfile.TemporaryDirectory(prefix="medbench-bench-") as folder:
            store = Path(folder) / "store"
            yield _row(name, "cold", _seconds(store, SELECTIONS[name]))
            shutil.rmtree(store / "runs", ignore_errors=True)
            yield _row(name, "compiled", _seconds(store, SELECTIONS[name]))
            yield _row(name, "warm", _seconds(store, SELECTIONS[name]))


def _row(name: str, state: str, seconds: float) -> Row:
    return Row(f"suite/{name}/{state}", seconds, None, None, "s")


def _seconds(store: Path, options: tuple[str, ...]) -> float:
    command = [sys.executable, "-m", "pytest", "benchmarks", "--store", str(store), *options]
    begin = time.perf_counter()
    done = subprocess.run(command, check=False, stdout=subprocess.DEVNULL)
    if done.returncode > 1:  # 1 is a verdict that is red, which costs as much
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}")
    return time.perf_counter() - begin
