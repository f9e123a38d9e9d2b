"""Measures `medbench cohort prepare`: both cores at work, and nothing redone or lost after SIGKILL.

    python -m docs.preparing            10,000 generated films, some two minutes on two cores

Run from the repository's root; docs/public-cohorts.md has the figures.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
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


def run(ward: Ward, into: Path, kill_at: int = 0) -> tuple[float, float, float, str]:
    """Prepares in a process of its own.

    Returns:
      Seconds on the clock; seconds in which its threads ran, and those in which they waited for a core that
      somebody else had; what it said.
    """
    command = [sys.executable, "-m", "tests.data.public.killed", str(ward.folder), str(into), str(kill_at)]
    begun = time.monotonic()
    threads: dict[str, tuple[int, int]] = {}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        while process.poll() is None:
            threads.update(schedules(process.pid))
            time.sleep(0.2)
        said = process.stdout.read() if process.stdout else ""
    ran, waited = (sum(nanoseconds) / 1e9 for nanoseconds in zip(*threads.values(), strict=True))
    return time.monotonic() - begun, ran, waited, said.strip()


def schedules(root: int) -> Iterator[tuple[str, tuple[int, int]]]:
    """By thread of a process and its children, nanoseconds running and waiting for a core (Linux)."""
    children = [child for child, parent in parents() if parent == root]
    for process in (root, *children):
        with suppress(OSError):
            for thread in Path(f"/proc/{process}/task").iterdir():
                ran, waited, _ = (thread / "schedstat").read_text().split()
                yield thread.name, (int(ran), int(waited))


def parents() -> Iterator[tuple[int, int]]:
    """Every process with its parent."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            yield int(path.parent.name), int(path.read_text().rpartition(")")[2].split()[1])


def staged(into: Path) -> Iterator[Path]:
    """The images that are staged."""
    return (path for path in (into / ".staging").rglob("*") if path.is_file() and path.suffix != ".partial")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        ward = Ward(Path(folder) / "ward", patients=IMAGES // 2)
        write_films(ward)
        wall, ran, waited, _ = run(ward, Path(folder) / "whole")
        print(f"whole: {IMAGES:,} images in {wall:.0f} s, {ran:.0f} s of CPU: {ran / wall:.2f} cores")
        print(f"with the time in which others had the cores: {(ran + waited) / wall:.2f} cores")
        into = Path(folder) / "killed"
        run(ward, into, KILL_AT)
        before = len(list(staged(into)))
        *_, found = run(ward, into)
        print(f"killed with {before:,} staged; the second start found {found}")
        fingerprints = {
            (Path(folder) / name / "ward" / "cohort.json").read_text().partition('"fingerprint": ')[2][:66]
            for name in ("whole", "killed")
        }
        print("the same cohort" if len(fingerprints) == 1 else "ANOTHER COHORT")


if __name__ == "__main__":
    main()
