"""Measures `medbench cohort prepare`: both cores at work, and nothing redone or lost after SIGKILL.

    python -m docs.preparing            10,000 generated films, some two minutes on two cores

Run from the repository's root; docs/public-cohorts.md has the figures.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from tests.data.public.ward import Ward

IMAGES, KILL_AT = 10_000, 4_000
HEIGHT, WIDTH = 192, 160


def write_films(ward: Ward) -> None:
    """16-bit films, so that each must be decoded and encoded: a slope with noise, the noise its own."""
    (ward.folder / "images").mkdir(parents=True)
    slope = np.linspace(0, 4000, HEIGHT * WIDTH).reshape(HEIGHT, WIDTH)
    rng = np.random.default_rng(20)
    for number in range(len(ward.rows)):
        film = slope + rng.integers(0, 64, slope.shape)
        Image.fromarray(film.astype(np.uint16)).save(ward.image(number), compress_level=1)
    ward.write_table()


def run(ward: Ward, into: Path, kill_at: int = 0) -> tuple[float, float, str]:
    """Prepares in a process of its own; seconds on the clock, seconds of all its processes, what it said."""
    command = [sys.executable, "-m", "tests.data.public.killed", str(ward.folder), str(into), str(kill_at)]
    begun = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    said = process.stdout.read() if process.stdout else ""
    _, _, usage = os.wait4(process.pid, 0)
    return time.monotonic() - begun, usage.ru_utime + usage.ru_stime, said.strip()


def staged(into: Path) -> Iterator[Path]:
    """The images that are staged."""
    return (path for path in (into / ".staging").rglob("*") if path.is_file() and path.suffix != ".partial")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        ward = Ward(Path(folder) / "ward", patients=IMAGES // 2)
        write_films(ward)
        wall, cpu, _ = run(ward, Path(folder) / "whole")
        print(f"whole: {IMAGES:,} images in {wall:.1f} s, {cpu:.1f} s of CPU: {cpu / wall:.2f} cores")
        into = Path(folder) / "killed"
        run(ward, into, KILL_AT)
        before = len(list(staged(into)))
        wall, _, found = run(ward, into)
        print(f"killed with {before:,} staged; the second start found {found} and took {wall:.1f} s")
        fingerprints = {
            (Path(folder) / name / "ward" / "cohort.json").read_text().partition('"fingerprint": ')[2][:66]
            for name in ("whole", "killed")
        }
        print("the same cohort" if len(fingerprints) == 1 else "ANOTHER COHORT")


if __name__ == "__main__":
    main()
