"""Accepted suites for the gate: the shipped one, and small ones of any shape."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from msgspec import structs

from medbench.expect import (
    Accepted,
    Calibration,
    Expectation,
    Expectations,
    Rule,
    load,
)
from medbench.gate.worlds import Suite, World
from medbench.judgement import Definition, Interval
from medbench.spec.effects import AT, BASELINE, PAIR, TREATMENT

ROOT = Path(__file__).parents[2] / "expectations"
UNMOVED = tuple(
    Calibration(variant="alike", environment="cpu", jax="", metric=metric, largest_difference=0.0)
    for metric in ("roc_auc@1", "nll@1")
)
"""A machine on which nothing moves."""


@pytest.fixture(scope="session")
def expectations():
    return load(ROOT, "embedded")


def expectation(
    item: str,
    baseline: Sequence[float],
    treatment: Sequence[float],
    *,
    metric: str = "roc_auc@1",
    predicate: str = "superiority",
    environment: str = "cpu",
    backbones: tuple[str, str] = ("small", "large"),
) -> Expectation:
    """An accepted item with these values by seed, whose interval is ±.02."""
    sign = -1 if metric == "nll@1" else 1
    effect = sign * (np.mean(treatment) - np.mean(baseline))
    return Expectation(
        item=item,
        verdict="inconclusive",
        effect=Interval(value=effect, low=effect - 0.02, high=effect + 0.02),
        definition=Definition(
            predicate=predicate,
            margin=0.005,
            metric=metric,
            evaluate="id",
            cohort="c",
            labels="l",
            effect="gain",
            weights={BASELINE: -1.0, TREATMENT: 1.0},
            units="image",
        ),
        rule=Rule(),
        environment=environment,
        cohort_fingerprint="f",
        arms=dict(zip(PAIR, backbones, strict=True)),
        accepted=Accepted(date="", commit="", reason="", jax=""),
        groups={},
        samples={
            arm: dict(enumerate(map(float, values), 1))
            for arm, values in zip(PAIR, (baseline, treatment), strict=True)
        },
    )


def of_terms(item: str, samples: Mapping[str, Sequence[float]], weights: Mapping[str, float]) -> Expectation:
    """An accepted item of terms such as `many` and `many at id`, each arm being the net of its name."""
    one = expectation(item, [0.0], [0.0])
    effect = sum(weight * np.mean(samples[term]) for term, weight in weights.items())
    return structs.replace(
        one,
        effect=Interval(value=effect, low=effect - 0.02, high=effect + 0.02),
        definition=structs.replace(one.definition, effect="robustness", weights=dict(weights)),
        arms={term.partition(AT)[0]: f"{term.partition(AT)[0]}-net" for term in samples},
        samples={term: dict(enumerate(map(float, values), 1)) for term, values in samples.items()},
    )


def suite_of(items: int, seeds: int = 4) -> Expectations:
    """Items on a task each, all arms scattering by .01 and each in its own way; nothing moves elsewhere."""
    random = np.random.default_rng(0)

    def scattered(mean: float) -> list[float]:
        values = random.normal(size=seeds)
        return (mean + 0.01 * (values - values.mean()) / values.std(ddof=1)).tolist()

    return Expectations(
        tuple(expectation(f"task-{i}/claim/id", scattered(0.8), scattered(0.85)) for i in range(items)),
        UNMOVED,
    )


@dataclass(frozen=True)
class Scripted(World):
    """A world that moves by a script: a line each time it is drawn, and no more when that ends.

    Attributes:
      script: by item, what is added to both of its arms.
    """

    script: Iterator[Sequence[float]] = field(default_factory=lambda: iter(()))

    def draw(self, random, seeds):
        """Values, moved by the next line."""
        values = super().draw(random, seeds)
        shifts = next(self.script, [0.0] * len(values))
        return [of_item + shift for of_item, shift in zip(values, shifts, strict=True)]


def scripted(
    accepted: Expectations, script: Sequence[Sequence[float]] = (), deviation: float = 0.0
) -> Scripted:
    """All arms score .8, and their seeds deviate as they are told to: not at all, or all alike."""
    suite = Suite.of(accepted)
    items, scores = len(suite.items), len(suite.runs)
    return Scripted(
        suite=suite,
        means=np.full(scores, 0.8),
        deviations=np.full(scores, deviation),
        shared=0.0,
        patients=np.full(items, 1e-4),
        n_patients=np.full(items, 100),
        step=np.full(scores, 1e-6),
        script=iter(script),
    )
