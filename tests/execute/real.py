"""Fine-tunes two small nets for some steps, as a process of its own that tests can kill.

`python -m tests.execute.real STORE` prints every event as a JSON line, and at the end each run's origin.
"""

import sys
from pathlib import Path

import msgspec

from medbench.execute.local import obtain
from medbench.reference import References
from medbench.store import Store
from tests import runs

SPECS = [
    runs.spec(
        seed=seed,
        backbone={"blocks": (1, 1), "width": 0.25},
        recipe={"steps": 30, "batch_size": 8, "base_learning_rate": 0.01, "decay_steps": (20,)},
    )
    for seed in (1, 2)
]


def main() -> None:
    store = Store(Path(sys.argv[1]))
    for spec in SPECS:
        run = obtain(
            spec,
            cohort=runs.NoiseCohort(sizes={"train": 24, "validation": 10, "id": 800, "phone": 30}),
            store=store,
            references=References(store.root / "references"),
            mode="auto",
            sentinel=False,
            weights=None,
            report=lambda event: print(msgspec.json.encode(event).decode(), flush=True),
        )
        print(msgspec.json.encode({"origin": run.origin}).decode(), flush=True)


if __name__ == "__main__":
    main()
