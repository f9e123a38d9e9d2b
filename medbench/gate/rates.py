"""How often the gate alarms: on unchanged nights, on one accepted set for weeks, and on planted changes.

Counts only; what they mean is written by `medbench.gate.report`.
"""

from collections import Counter
from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from medbench.expect import Expectations
from medbench.gate.nights import accept, alarms, is_red, judged, numeric_noise
from medbench.gate.worlds import ITEMS, LikeStored, World, of_grid

Night = Literal["same seeds", "new seeds", "one new seed"]
Worlds = Literal["stored", "grid"]
SEEDS = 5
"""An arm, as the embedded suite has accepted them."""
NEW: dict[Night, int] = {"new seeds": SEEDS, "one new seed": 1}
NIGHTS: tuple[Night, ...] = ("same seeds", *NEW)
DROPS = (0.005, 0.01, 0.02, 0.05)
DEVIATIONS = 3
ARMS_HIT: dict[str, NDArray[np.float64]] = {
    "one arm": np.array([0.0, 1.0]),
    "both arms": np.array([1.0, 1.0]),
}
LARGER = ((5, 5), (5, 10), (5, 20), (10, 5), (10, 10), (20, 10))
"""Accepted and new seeds, to see what would make three deviations of one arm certain to be found."""


class Planted(NamedTuple):
    """A cell of the table of detections."""

    change: str
    size: float
    night: str
    arms: str
    worlds: str
    metric: str = "roc_auc"


Counts = Counter[Planted]
Make = Callable[[np.random.Generator], World]


def maker(worlds: Worlds, expectations: Expectations) -> Make:
    """What draws worlds of that family."""
    return LikeStored(expectations) if worlds == "stored" else of_grid


def unchanged(
    make: Make, expectations: Expectations, nights: int, random: np.random.Generator
) -> dict[Night, int]:
    """Nights with any alarm over the suite, each in a world with an accepted set of its own."""
    red: dict[Night, int] = dict.fromkeys(NIGHTS, 0)
    for _ in range(nights):
        world = make(random)
        values = world.draw(random, SEEDS)
        accepted = accept(world, values, expectations.calibration)
        for night in NIGHTS:
            red[night] += bool(
                alarms(world, *tonight(world, values, night, random, expectations), accepted).any()
            )
    return red


def conditional(
    make: Make, expectations: Expectations, sets: int, nights: int, random: np.random.Generator
) -> list[float]:
    """Of each of some accepted sets, the share of its nights with five new seeds that alarm."""
    shares = []
    for _ in range(sets):
        world = make(random)
        accepted = accept(world, world.draw(random, SEEDS), expectations.calibration)
        new = np.arange(SEEDS) + SEEDS + 1
        red = [alarms(world, world.draw(random, SEEDS), new, accepted).any() for _ in range(nights)]
        shares.append(float(np.mean(red)))
    return shares


def planted(
    make: Make, worlds: Worlds, expectations: Expectations, nights: int, random: np.random.Generator
) -> tuple[Counts, Counts]:
    """Falls of the area of one item at random: how often that item is red, and of how many nights."""
    caught, tried = Counts(), Counts()
    for _ in range(nights):
        world = make(random)
        values = world.draw(random, SEEDS)
        accepted = accept(world, values, expectations.calibration)
        item = int(random.integers(ITEMS))
        for night in NIGHTS:
            before, seeds = tonight(world, values, night, random, expectations)
            for arms, hit in ARMS_HIT.items():
                falls = {("AUC drop", size): size * hit for size in DROPS}
                if night != "same seeds":
                    deviations = DEVIATIONS * world.deviations[item] * hit
                    falls["seed deviations", float(DEVIATIONS)] = deviations
                for (change, size), fall in falls.items():
                    cell = Planted(change, size, night, arms, worlds)
                    after = judged(world, item, before[item] - fall[:, None], seeds)
                    caught[cell] += is_red(after, accepted)
                    tried[cell] += 1
    return caught, tried


def with_more_seeds(
    make: Make, expectations: Expectations, nights: int, random: np.random.Generator
) -> tuple[Counts, Counts]:
    """Three deviations of one arm, with more accepted and new seeds than the suite has."""
    caught, tried = Counts(), Counts()
    for _ in range(nights):
        world, item = make(random), int(random.integers(ITEMS))
        fall = DEVIATIONS * world.deviations[item] * ARMS_HIT["one arm"]
        for accepted_seeds, new in LARGER:
            accepted = accept(world, world.draw(random, accepted_seeds), expectations.calibration)
            values = world.draw(random, new)[item] - fall[:, None]
            cell = Planted(
                "seed deviations",
                float(DEVIATIONS),
                f"{accepted_seeds} accepted, {new} new",
                "one arm",
                "stored",
            )
            caught[cell] += is_red(judged(world, item, values, np.arange(new) + 100), accepted)
            tried[cell] += 1
    return caught, tried


def tonight(
    world: World,
    values: NDArray[np.float64],
    night: Night,
    random: np.random.Generator,
    expectations: Expectations,
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Values (ITEMS, 2, seeds) of a night in which nothing changed, and their seeds."""
    if night == "same seeds":
        noise = numeric_noise(expectations.calibration, random)(values.shape)
        return np.clip(values + noise, 0.0, 1.0), np.arange(SEEDS) + 1
    return world.draw(random, NEW[night]), np.arange(NEW[night]) + SEEDS + 1
