"""What was measured of the gate: the record that `medbench validate-gate --json` writes.

Rates come with Clopper-Pearson 95 % intervals of the simulation.
"""

import msgspec

from medbench.gate.scarce import Scarce


class Rate(msgspec.Struct, frozen=True, kw_only=True):
    """A share of simulated nights or studies, with its Monte-Carlo interval."""

    rate: float
    low: float
    high: float
    nights: int


class UnchangedNights(Rate, frozen=True, kw_only=True):
    """How often any item of the suite alarms though nothing changed."""

    night: str
    worlds: str
    counted: bool
    """Whether it may be the headline: the family of worlds describes the stored runs, or the grid."""


class FalseAlarm(UnchangedNights, frozen=True, kw_only=True):
    """The kind of night, and counted family of worlds, that alarms most often; and all of them."""

    designed: float
    by: list[UnchangedNights]


class Conditional(msgspec.Struct, frozen=True, kw_only=True):
    """Nights with new seeds, on one accepted set each."""

    worlds: str
    sets: int
    nights_each: int
    median: float
    worst_decile: float
    """Nine in ten accepted sets alarm less often."""
    above: Rate
    """Share of accepted sets that alarm in more than 10 % of nights."""


class Detection(Rate, frozen=True, kw_only=True):
    """How often the item that was changed is red."""

    change: str
    size: float
    night: str
    arms: str
    worlds: str
    metric: str

    @property
    def where(self) -> str:
        """Arms, worlds and metric in words."""
        return " ".join(filter(None, (self.arms, self.worlds, self.metric)))


class Coverage(msgspec.Struct, frozen=True, kw_only=True):
    """How often an interval holds the truth."""

    metric: str
    certified: bool
    n_patients: int
    n_seeds: int
    rate: float
    low: float
    high: float
    studies: int
    rate_90: float
    """Of the interval that medbench prints."""
    width: float
    """Mean, of nominal 95 %."""
    width_of_oracle: float
    """Over the width, by one factor for all studies, that holds 95 %: above 1 where more is covered."""


class Certificate(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the intervals of a metric hold wherever that is promised, and how surely that is known."""

    metric: str
    certified: bool
    lowest: Coverage | None
    """Of the promised cells the one that holds least often: the smallest of several, so low by chance too."""
    cells: int
    """Of which it is the smallest."""
    error: float
    """Monte-Carlo standard error of its rate."""
    together: dict[int, Rate]
    """All promised cells of a number of seeds."""


class Tails(msgspec.Struct, frozen=True, kw_only=True):
    """Excess kurtosis of seeds, its mean over all scores, and where it lies in simulated suites."""

    stored: float
    normal: tuple[float, float]
    """95 % of suites with normal seeds."""
    heavy: tuple[float, float]
    """95 % of suites with heavy tails."""
    told: float
    """Share of suites with heavy tails that lie above those with normal seeds."""

    @property
    def normal_denied(self) -> bool:
        """Whether the stored seeds have heavier tails than normal ones do by chance."""
        return self.stored > self.normal[1]

    @property
    def heavy_denied(self) -> bool:
        """Whether they have lighter ones than the heavy worlds' do by chance."""
        return self.stored < self.heavy[0]


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """Of the suite that was simulated."""

    items: int
    left_out: int
    """Accepted items that are not simulated."""
    effects: dict[str, int]
    """Items by kind of effect."""
    metrics: int
    scores: int
    """Metrics of an arm's runs on an evaluation set; several items may share one."""
    values: int
    """Accepted, of all scores and seeds."""
    tasks: int
    runs: int
    """Arms: groups of runs that differ in nothing but the seed."""
    areas: dict[int, int]
    """Items that areas are planted to fall in, by accepted seeds."""
    fewest_seeds: int
    most_seeds: int
    shared: float
    """Correlation of a seed's deviations between evaluation sets of a run."""
    tolerance: float
    """Of an area with the same seed."""

    @property
    def seeds(self) -> str:
        """In words."""
        few, most = self.fewest_seeds, self.most_seeds
        return f"{few}" if few == most else f"{few} to {most}"

    @property
    def bands(self) -> int:
        """Of means, over which the level is shared."""
        return self.scores


class Bar(msgspec.Struct, frozen=True, kw_only=True):
    """Something that the gate is held to."""

    what: str
    wanted: str
    measured: str
    met: bool


class GateReport(msgspec.Struct, frozen=True, kw_only=True):
    """All that `medbench validate-gate` measured."""

    medbench: str
    commit: str
    date: str
    machine: str
    seed: int
    nights: int
    seconds: float
    quick: bool
    """A glance: rates only, held to no bar, nothing certified."""
    shape: Shape
    bars: list[Bar]
    """Empty for a glance."""
    false_alarm: FalseAlarm
    tails: Tails | None
    """None where no score has seeds enough."""
    conditional: list[Conditional]
    detection: list[Detection]
    oracle: dict[str, float]
    """Detection of three seed deviations of one arm if every true deviation were known: the most there is."""
    coverage: list[Coverage]
    certificates: list[Certificate]
    scarce: list[Scarce]
    """Claims on tiny cohorts that just do not hold: how often they come out as supported."""
    shortcut: dict[str, float]
    """Items judged from full predictions and by values: share of equal verdicts, equal alarms, and items."""


def percent(found: Rate) -> str:
    """A rate with its interval and how many it is of."""
    return f"{found.rate:.1%} [{found.low:.1%}, {found.high:.1%}] of {found.nights:,}"
