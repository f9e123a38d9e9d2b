"""Simulated runs of two arms on a task's real rows, and harm that is planted in the treatment.

Logits are drawn, no image is and nothing is trained. A world and its planted versions have the same random
numbers, so that whatever differs between their verdicts is due to the plant.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache

import numpy as np
from numpy.typing import NDArray

from medbench.data.cohort import ID, VALIDATION, Cohort, Examples
from medbench.metrics.calibration import one_vs_rest
from medbench.metrics.logistic import logistic
from medbench.others.runs import OthersRun, record_of
from medbench.predictions import Predictions
from medbench.spec.effects import BASELINE, PAIR, TREATMENT
from medbench.spec.runs import RunSpec
from medbench.spec.units import Unit
from medbench.units import joined

AT_HOME = {BASELINE: 0.75, TREATMENT: 0.78}
"""ROC AUC of a label among images of validation and `id`: as good as nets of the embedded tier are on
phantoms (docs/phantoms.md), with the gain that claims of scale call relevant."""
ON_SHIFTS = {BASELINE: 0.70, TREATMENT: 0.75}
"""The treatment gains .02 more than at home, which `ood-drop` calls relevant."""
OF_PATIENT, OF_IMAGE, OF_ARM, OF_RUN = 0.2, 0.4, 0.1, 0.3
"""Shares of the variance of noise: common to the images of a patient; to all runs of an image; to the seeds
of an arm; and of one run alone. Runs of an arm correlate by .7 in it, those of two arms by .6."""
OF_SEED = 0.05
"""Relative deviation of the signal between seeds: of an area some .01, as that of the tier's seeds."""
FITS = 40
"""Runs, of 70 to 200 patients each, from which is learnt how odds of joined images are to be read."""
_WORLD, _FIT = range(2)
"""Purposes of random streams."""


@dataclass(frozen=True)
class Harm:
    """What is planted in the treatment; nothing by default.

    Attributes:
      rows: by evaluation set, (n,) the images whose findings it sees less of.
      lost: the share of the signal that it loses there, in [0, 1], without being any less sure.
      factor: of all its logits on all sets; above 1 it is over-confident.
    """

    rows: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)
    lost: float = 0.0
    factor: float = 1.0


NOTHING = Harm()


@dataclass(frozen=True)
class Parts:
    """An arm's log odds, (s, n, c) by seed, image and label, as a sum.

    Two classes have one column, that of the second; more classes and several labels have one each.

    Attributes:
      prior: (c,) what the share of the label in the set says; of more than two classes, its logarithm.
      signal: (s, n, c) what comes of the finding.
      noise: (s, n, c) the rest.
    """

    prior: NDArray[np.float64]
    signal: NDArray[np.float64]
    noise: NDArray[np.float64]


class Setting:
    """A task on whose rows worlds are simulated.

    A label's score has unit variance, and means with and without the finding that lie as far apart as the
    arm's area has it; its log odds are what that score says. So probabilities are calibrated, on each
    set by itself, in expectation. Where images are joined, the odds of what is joined are read by a line
    through its log odds, found once on other random numbers; logits of the images are on that line,
    since means and maxima go with it.

    Attributes:
      cohort: whose rows are scored.
    """

    def __init__(self, number: int, cohort: Cohort, units: tuple[Unit, ...]) -> None:
        """A task by its number, from which its random numbers follow, its cohort and what it scores."""
        self._number = number
        self.cohort = cohort
        self._units = units
        self._sets = (VALIDATION, ID, *cohort.shifts)
        self.rows = cache(cohort.examples)
        self._line = cache(self._fitted_line)

    def runs(
        self, world: int, harm: Harm, specs: Mapping[str, Mapping[int, RunSpec]]
    ) -> dict[str, dict[int, OthersRun]]:
        """The runs of a world by arm and seed, as judging takes them.

        Args:
          world: its number.
          harm: `NOTHING` for the twin of planted worlds.
          specs: of the planned runs by arm and seed, the same seeds for both.
        """
        seeds = list(specs[BASELINE])
        by_set = {name: self.logits(world, name, harm, len(seeds)) for name in self._sets}
        return {
            arm: {
                seed: OthersRun(
                    record_of(specs[arm][seed]),
                    {name: self._predictions(name, of_arms[arm][i]) for name, of_arms in by_set.items()},
                )
                for i, seed in enumerate(seeds)
            }
            for arm in PAIR
        }

    def logits(
        self, world: int, evaluation_set: str, harm: Harm, seeds: int
    ) -> dict[str, NDArray[np.float32]]:
        """By arm, (s, n, k) by seed, image and class; arguments as of `runs`, and the number of seeds."""
        found = {}
        for arm, parts in self.parts((_WORLD, world), evaluation_set, seeds).items():
            harmed = harm if arm == TREATMENT else NOTHING
            signal = parts.signal
            if evaluation_set in harmed.rows:
                signal = np.where(harmed.rows[evaluation_set][:, None], 1 - harmed.lost, 1) * signal
            log_odds = parts.prior + signal + parts.noise
            if self._units:
                intercept, slope = self._line(arm, evaluation_set)
                log_odds = intercept + slope * log_odds
            found[arm] = _by_class(self.cohort, log_odds) * np.float32(harmed.factor)
        return found

    def parts(self, stream: tuple[int, int], evaluation_set: str, seeds: int) -> dict[str, Parts]:
        """What log odds are made of by arm; patients, images and labels are the same for both.

        Args:
          stream: purpose and number.
          evaluation_set: `validation`, `id` or a shift.
          seeds: of each arm.
        """
        rows = self.rows(evaluation_set)
        place = self._sets.index(evaluation_set)
        of_seeds, random = (np.random.default_rng([*stream, self._number, i]) for i in (0, 1 + place))
        labels = rows.labels[:, 1:] if _has_one_column(self.cohort) else rows.labels
        n, c = labels.shape
        _, patient = np.unique(rows.patient, return_inverse=True)
        common = OF_PATIENT**0.5 * random.normal(size=(patient.max() + 1, c))[
            patient
        ] + OF_IMAGE**0.5 * random.normal(size=(n, c))
        share = (labels == 1).sum(axis=0) / (labels >= 0).sum(axis=0)
        prior = np.log(share / (1 - share)) if _apart(self.cohort) else np.log(share)
        found = np.where(labels < 0, 0.0, labels - 0.5)
        parts = {}
        for arm in PAIR:
            apart = _distance((ON_SHIFTS if evaluation_set in self.cohort.shifts else AT_HOME)[arm])
            skill = 1 + OF_SEED * of_seeds.normal(size=(seeds, 1, 1))
            of_arm = OF_ARM**0.5 * random.normal(size=(n, c))
            of_runs = OF_RUN**0.5 * random.normal(size=(seeds, n, c))
            parts[arm] = Parts(prior, apart**2 * skill * found, apart * (common + of_arm + of_runs))
        return parts

    def _fitted_line(self, arm: str, evaluation_set: str) -> tuple[float, float]:
        """Intercept and slope that make calibrated log odds of those that joining leaves."""
        events = []
        for fit in range(FITS):
            parts = self.parts((_FIT, fit), evaluation_set, 1)[arm]
            logits = _by_class(self.cohort, (parts.prior + parts.signal + parts.noise)[0])
            events += one_vs_rest(joined(self._predictions(evaluation_set, logits), self._units))
        odds = np.concatenate([event.log_odds for event in events])
        sign = np.where(np.concatenate([event.happened for event in events]) == 1, 1.0, -1.0)
        ones = np.ones((1, len(odds)))
        (found,), _ = logistic((odds - odds.mean()) / odds.std(), np.zeros(len(odds)), sign, ones)
        slope = found[1] / odds.std()
        return float(found[0] - slope * odds.mean()), float(slope)

    def _predictions(self, evaluation_set: str, logits: NDArray[np.float32]) -> Predictions:
        """Of one run: (n, k) logits beside the set's rows."""
        rows: Examples = self.rows(evaluation_set)
        return Predictions(
            evaluation_set=evaluation_set,
            target=self.cohort.target,
            image=rows.image,
            patient=rows.patient,
            labels=rows.labels,
            logits=logits,
            attributes=rows.attributes,
        )


def _apart(cohort: Cohort) -> bool:
    """Whether each column is a label's log odds; those of more than two classes only differ by theirs."""
    return cohort.target.kind == "multi-label" or _has_one_column(cohort)


def _has_one_column(cohort: Cohort) -> bool:
    return cohort.target.kind == "single-label" and len(cohort.target.classes) == 2


def _by_class(cohort: Cohort, log_odds: NDArray[np.float64]) -> NDArray[np.float32]:
    """(..., n, c) log odds as logits of every class: of two, that of the first is 0."""
    if _has_one_column(cohort):
        log_odds = np.concatenate([np.zeros_like(log_odds), log_odds], axis=-1)
    return log_odds.astype(np.float32)


def _distance(area: float) -> float:
    """How far apart the means of two normal scores of unit variance are whose ROC area that is."""
    from scipy.special import ndtri  # noqa: PLC0415 (slow to import)

    return float(2**0.5 * ndtri(area))
