"""What an item's effect is: how the metric of its arms is joined into one number, as typed records.

Nothing is computed from predictions here.
"""

from collections.abc import Sequence

from medbench.spec.declared import Declared, Resolved

BASELINE, TREATMENT = "baseline", "treatment"
PAIR = (BASELINE, TREATMENT)
"""The arms of a gain."""
HOME = "id"
AT = " at "
"""Between the name of an arm and that of an evaluation set, where a term is on another than its item."""


class Effect(Declared, frozen=True, kw_only=True, tag_field="kind"):
    """Base of the kinds of effect."""


class Gain(Effect, frozen=True, kw_only=True, tag="gain"):
    """The treatment's metric less the baseline's."""


class Robustness(Effect, frozen=True, kw_only=True, tag="robustness"):
    """The gain on a shift less the gain on `id`: more than doing better at home explains."""


class Contrast(Effect, frozen=True, kw_only=True, tag="contrast"):
    """The sum of the arms' metrics, each times a weight; the weights sum to 0."""

    weights: dict[str, float]
    """By arm."""


class Slope(Effect, frozen=True, kw_only=True, tag="slope"):
    """Change of the metric per rung of a ladder, by least squares over the arms in the order declared."""


class DataSaved(Effect, frozen=True, kw_only=True, tag="data-saved"):
    """The share of training patients that the other arms' backbone can do without to match the baseline.

    The other arms are one backbone at rising fractions of the training patients; 1 less the fraction at which
    their learning curve reaches the baseline's score.
    """


AnyEffect = Gain | Robustness | Contrast | Slope | DataSaved


class Term(Resolved, frozen=True, kw_only=True):
    """The metric of one arm on one evaluation set, and its weight in the effect."""

    arm: str
    evaluation_set: str
    weight: float
    """0 where the effect is no weighted sum."""
    name: str
    """As samples are keyed: the arm, and ` at id` where the item is about another set."""


def terms(effect: AnyEffect, arms: Sequence[str], evaluation_set: str) -> tuple[Term, ...]:
    """What an effect on an evaluation set is made of.

    Args:
      effect: of the claim.
      arms: in the order declared; `baseline` and `treatment` for a gain.
      evaluation_set: of the item.
    """
    gain = [(BASELINE, -1.0), (TREATMENT, 1.0)]
    match effect:
        case Gain():
            return _on(evaluation_set, gain)
        case Robustness():
            home = [
                Term(arm=arm, evaluation_set=HOME, weight=-weight, name=f"{arm}{AT}{HOME}")
                for arm, weight in gain
            ]
            return (*_on(evaluation_set, gain), *home)
        case Contrast():
            return _on(evaluation_set, [(arm, effect.weights[arm]) for arm in arms])
        case Slope():
            middle = (len(arms) - 1) / 2
            scale = sum((i - middle) ** 2 for i in range(len(arms)))
            return _on(evaluation_set, [(arm, (i - middle) / scale) for i, arm in enumerate(arms)])
        case DataSaved():
            return _on(evaluation_set, [(arm, 0.0) for arm in arms])


def _on(evaluation_set: str, weights: Sequence[tuple[str, float]]) -> tuple[Term, ...]:
    return tuple(
        Term(arm=arm, evaluation_set=evaluation_set, weight=weight, name=arm) for arm, weight in weights
    )
