"""The compilation cache: what was compiled once is read the next time, however small it is."""

import subprocess
import sys
from pathlib import Path

COMPILE = """
import pathlib, sys
import jax
from medbench.training import cache
cache.enable(pathlib.Path(sys.argv[1]))
print(jax.jit(lambda x: x * 3 + 1)(2.0))
"""


def entries(folder: Path) -> set[str]:
    assert (
        subprocess.run([sys.executable, "-c", COMPILE, folder], check=True, capture_output=True).stdout
        == b"7.0\n"
    )
    return {path.name for path in folder.iterdir() if not path.name.endswith("-atime")}


def test_a_second_process_compiles_nothing_anew(tmp_path):
    first = entries(tmp_path / "xla")
    assert any("lambda" in name for name in first)
    assert entries(tmp_path / "xla") == first
