"""How large a plant must be for claims to react: the study by which sizes in `matrix.yaml` were chosen.

`python -m medbench.gate.sizes [SUITE]`, from worlds that the matrix is not judged on; 40 minutes on a core.
"""

import os
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from medbench.gate.command import to_terminal
from medbench.gate.matrix import Expected
from medbench.gate.reactions import Outcome, Planted, bench
from medbench.gate.workers import in_any_order

CANDIDATES: dict[str, tuple[float, ...]] = {
    "subgroup": (0.5, 0.75, 1.0),
    "shift": (0.5, 0.75, 1.0),
    "miscalibrated": (4.0, 8.0, 16.0),
}
"""By plant. Factors are powers of two, by which rounded logits are multiplied exactly."""
WORLDS = range(1001, 1031)
MUST: tuple[Expected, ...] = ("must",)


def study(root: Path, workers: int) -> list[Outcome]:
    """All that must react, in each world with each size of each plant."""
    jobs = [(root, task, world) for world in WORLDS for task in bench(root).tasks]
    found: list[Outcome] = []
    for done, (_, outcomes) in enumerate(in_any_order(_world, jobs, workers), start=1):
        found += outcomes
        to_terminal(f"{done} of {len(jobs)} worlds judged")
    return found


def table(outcomes: Sequence[Outcome]) -> str:
    """By plant and size, how many items react in all worlds, and in how many the others do."""
    worlds = len({outcome.world for outcome in outcomes})
    lines = []
    for planted in sorted({outcome.planted for outcome in outcomes}):
        reacted = Counter({o.item: 0 for o in outcomes if o.planted == planted})
        reacted.update(o.item for o in outcomes if o.planted == planted and o.reacts)
        others = sorted((count, item) for item, count in reacted.items() if count < worlds)
        always = len(reacted) - len(others)
        lines.append(f"{planted.plant} {planted.size:g}: {always} of {len(reacted)} items in all {worlds}")
        lines += [f"  {item} in {count}" for count, item in others]
    return "\n".join(lines)


def _world(job: tuple[Path, str, int]) -> list[Outcome]:
    root, task, world = job
    planted = [Planted(plant, size) for plant, sizes in CANDIDATES.items() for size in sizes]
    return bench(root).outcomes(task, world, planted, MUST)


if __name__ == "__main__":
    print(table(study(Path(*sys.argv[1:2] or ["benchmarks"]), os.cpu_count() or 1)))
