"""How large a plant must be for claims to react: the study by which sizes in `matrix.yaml` were chosen.

`python -m medbench.gate.sizes [SUITE]`, from worlds that the matrix is not judged on.
"""

import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from medbench.gate.command import to_terminal
from medbench.gate.matrix import Expected
from medbench.gate.reactions import Outcome, Planted, bench

CANDIDATES: dict[str, tuple[float, ...]] = {
    "subgroup": (0.5, 0.75, 1.0),
    "shift": (0.5, 0.75, 1.0),
    "miscalibrated": (2.0, 4.0, 8.0),
}
"""By plant. Factors are powers of two, by which rounded logits are multiplied exactly."""
WORLDS = range(1001, 1011)
MUST: tuple[Expected, ...] = ("must",)


def study(root: Path, worlds: Iterable[int] = WORLDS) -> list[Outcome]:
    """All that must react, in each world with each size of each plant."""
    planted = [Planted(plant, size) for plant, sizes in CANDIDATES.items() for size in sizes]
    found: list[Outcome] = []
    for world in worlds:
        for task in bench(root).tasks:
            found += bench(root).outcomes(task, world, planted, MUST)
            to_terminal(f"world {world}, {task}")
    return found


def table(outcomes: Sequence[Outcome]) -> str:
    """By plant and size, in how many of how many worlds the items react, the fewest first."""
    worlds = len({outcome.world for outcome in outcomes})
    lines = []
    for planted in dict.fromkeys(outcome.planted for outcome in outcomes):
        reacted = Counter({o.item: 0 for o in outcomes if o.planted == planted})
        reacted.update(o.item for o in outcomes if o.planted == planted and o.reacts)
        always = sum(count == worlds for count in reacted.values())
        fewest = [f"{item} {count}" for item, count in sorted(reacted.items(), key=lambda of: of[1])]
        lines.append(
            f"{planted.plant} {planted.size:g}: {always} of {len(reacted)} items in all {worlds} worlds"
        )
        lines += [f"  {line}" for line in fewest[: len(reacted) - always]]
    return "\n".join(lines)


if __name__ == "__main__":
    print(table(study(Path(*sys.argv[1:2] or ["benchmarks"]))))
