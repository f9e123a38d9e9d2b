"""Throughput of training and inference beside the same net in PyTorch: rows named `train/r50x1/64px`."""

import fnmatch
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from bench import turns
from bench.cases import NetCase
from bench.table import Row
from medbench.spec.suite import load_suite

SIZES = {
    "r50x1": (64, 128, 224),
    "r14x0.25": (64,),
    "r26x0.25": (64,),
    "r14x0.5": (64, 128, 224),
}
"""Pixels of the images, by net."""


def all_cases() -> list[NetCase]:
    """Training, then inference, of every net at each of its sizes."""
    nets = load_suite(Path("benchmarks")).architectures
    return [
        NetCase(kind, net, tuple(nets[net].blocks), nets[net].width, size)
        for kind in ("train", "infer")
        for net, sizes in SIZES.items()
        for size in sizes
    ]


def chosen(patterns: Sequence[str]) -> list[NetCase]:
    """The cases whose name begins with one of the patterns, which may have `*`."""
    return [case for case in all_cases() if any(fnmatch.fnmatch(case.name, f"{one}*") for one in patterns)]


def rows(cases: Sequence[NetCase], pythons: Mapping[str, str], repetitions: int) -> Iterator[Row]:
    """One row a case, as it is measured.

    Args:
      cases: chosen ones.
      pythons: interpreter of each side, `ours` and perhaps `peer`.
      repetitions: rounds of turns.
    """
    with turns.workers(pythons) as sides:
        for case in cases:
            yield turns.row_of(case, turns.compare(case, sides, repetitions))
