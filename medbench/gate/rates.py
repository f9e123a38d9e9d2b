"""How often the gate alarms: on unchanged nights, on one accepted set for weeks, and on planted changes.

Counts only; what they mean is written by `medbench.gate.report`.
"""

from collections import Counter
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from medbench.expect import Expectations
from medbench.gate.nights import accept, is_red, judged, machine
from medbench.gate.watch import Watch
from medbench.gate.worlds import HeavyTailed, LikeStored, Make, OfGrid, Suite, Values, World

Night = Literal["same seeds", "new seeds", "one new seed"]
"""With `new seeds`, each arm has as many as were accepted."""
NIGHTS: tuple[Night, ...] = ("same seeds", "new seeds", "one new seed")
Worlds = Literal["stored", "grid", "heavy"]
WORLDS: dict[Worlds, type[LikeStored] | type[OfGrid]] = {
    "stored": LikeStored,
    "grid": OfGrid,
    "heavy": HeavyTailed,
}
DROPS = (0.005, 0.01, 0.02, 0.05)
DEVIATIONS = 3
ARMS_HIT: dict[str, NDArray[np.float64]] = {
    "one arm": np.array([0.0, 1.0]),
    "both arms": np.array([1.0, 1.0]),
}
NUMBERS = {5: (5, 10, 20), 10: (5, 10), 20: (10,)}
"""By accepted seeds, new ones, to see what it takes for three deviations of one arm to be found."""


AS_ACCEPTED = "{} accepted, {} new, others as in the suite"
"""Nights of an item with so many seeds, whatever others have."""


class Planted(NamedTuple):
    """A cell of the table of detections."""

    change: str
    size: float
    night: str
    arms: str
    worlds: str
    metric: str = "roc_auc"


Counts = Counter[Planted]


def maker(worlds: Worlds, expectations: Expectations) -> Make:
    """What draws worlds of that family."""
    return WORLDS[worlds](Suite.of(expectations))


def unchanged(
    make: Make, expectations: Expectations, nights: int, random: np.random.Generator
) -> dict[Night, int]:
    """Nights with any alarm over the suite, each in a world with an accepted set of its own."""
    red: dict[Night, int] = dict.fromkeys(NIGHTS, 0)
    for _ in range(nights):
        world = make(random)
        values = world.draw(random, world.suite.seeds)
        watch = Watch(world, values, expectations.calibration)
        for night in NIGHTS:
            red[night] += alarm(watch, *tonight(world, values, night, random, expectations))
    return red


def conditional(
    make: Make, expectations: Expectations, sets: int, nights: int, random: np.random.Generator
) -> list[float]:
    """Of each of some accepted sets, the share of its nights with new seeds that alarm."""
    shares = []
    for _ in range(sets):
        world = make(random)
        values = world.draw(random, world.suite.seeds)
        watch = Watch(world, values, expectations.calibration)
        red = [
            alarm(watch, *tonight(world, values, "new seeds", random, expectations)) for _ in range(nights)
        ]
        shares.append(float(np.mean(red)))
    return shares


def planted(
    make: Make, worlds: Worlds, expectations: Expectations, nights: int, random: np.random.Generator
) -> tuple[Counts, Counts]:
    """Falls of the area of one item at random: how often that item is red, and of how many nights."""
    caught, tried = Counts(), Counts()
    for _ in range(nights):
        world = make(random)
        values = world.draw(random, world.suite.seeds)
        accepted = accept(world, values, expectations.calibration)
        item = any_area(world, random)
        seeds = world.suite.seeds[item]
        for night in NIGHTS:
            before, first = tonight(world, values, night, random, expectations)
            for arms, hit in ARMS_HIT.items():
                falls = {("AUC drop", size): size * hit for size in DROPS}
                if night != "same seeds":
                    falls["seed deviations", float(DEVIATIONS)] = deviations(world, item) * hit
                for (change, size), fall in falls.items():
                    after = judged(world, item, before[item] - fall[:, None], first)
                    cells = [Planted(change, size, night, arms, worlds)]
                    if (change, night, arms, worlds) == ("seed deviations", "new seeds", "one arm", "stored"):
                        cells += [Planted(change, size, AS_ACCEPTED.format(seeds, seeds), arms, worlds)]
                    red = is_red(after, accepted)
                    caught.update(dict.fromkeys(cells, int(red)))
                    tried.update(cells)
    return caught, tried


def with_other_seeds(
    make: Make, expectations: Expectations, nights: int, random: np.random.Generator
) -> tuple[Counts, Counts]:
    """Three deviations of one arm, with other numbers of accepted and new seeds than the suite has."""
    caught, tried = Counts(), Counts()
    for _ in range(nights):
        world = make(random)
        item = any_area(world, random)
        fall = deviations(world, item) * ARMS_HIT["one arm"]
        for before, of_new in NUMBERS.items():
            accepted = accept(world, world.draw(random, before), expectations.calibration)
            for new in of_new:
                values = world.draw(random, new)[item] - fall[:, None]
                cell = Planted(
                    "seed deviations", float(DEVIATIONS), f"{before} accepted, {new} new", "one arm", "stored"
                )
                caught[cell] += is_red(judged(world, item, values, before + 1), accepted)
                tried[cell] += 1
    return caught, tried


def tonight(
    world: World, values: Values, night: Night, random: np.random.Generator, expectations: Expectations
) -> tuple[Values, int]:
    """Values of a night in which nothing changed, after these were accepted, and its first seed."""
    if night == "same seeds":
        moved = machine(expectations.calibration, random)
        most = (int(world.suite.seeds.max()),)
        by = np.stack([moved(metric, most) for metric in world.suite.metrics])
        return [
            of_item + by[terms, : of_item.shape[1]]
            for of_item, terms in zip(values, world.suite.scores, strict=True)
        ], 1
    new = world.suite.seeds if night == "new seeds" else 1
    return world.draw(random, new), int(world.suite.seeds.max()) + 1


def alarm(watch: Watch, measured: Values, first: int) -> bool:
    """Whether any item is red in a night with these values, seeds counted from `first`."""
    return any(True for _ in watch.alarms(measured, first))


def any_area(world: World, random: np.random.Generator) -> int:
    """One of the items that areas are planted to fall in."""
    return int(random.choice(world.suite.areas))


def deviations(world: World, item: int) -> NDArray[np.float64]:
    """(2,) three deviations between seeds of each arm."""
    return DEVIATIONS * world.deviations[world.suite.scores[item]]
