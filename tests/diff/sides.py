"""Small sides by hand, from judgements, for the tests of the diff."""

from msgspec.structs import replace

from medbench.diff.compare import compare
from medbench.diff.sides import Side, of_judgement
from tests.judging import judgement

ITEM = "mammography/scale-data/id"
FACTS = {("library", "jax"): "0.10.2", ("code", "commit"): "aaa"}
SEEDS = (1, 2, 3, 4, 5)
NOISE = (0.004, -0.006, 0.002, 0.005, -0.003)


def samples(baseline=0.81, treatment=0.83, seeds=SEEDS, noise=NOISE):
    return {
        arm: {seed: mean + by for seed, by in zip(seeds, noise, strict=False)}
        for arm, mean in (("baseline", baseline), ("treatment", treatment))
    }


def values(item=ITEM, *, facts=FACTS, predicted=None, **changes):
    """One item, all of its seeds trained on a processor unless it is said otherwise."""
    task, claim, evaluation_set = item.split("/", 2)
    found = changes.setdefault("samples", samples())
    fields = {
        "id": item,
        "task": task,
        "claim": claim,
        "evaluation_set": evaluation_set,
        "trained": {term: list(of) for term, of in found.items()},
        "devices": {term: dict.fromkeys(of, "cpu") for term, of in found.items()},
    }
    made = judgement(**{"effect": judgement().effect, **fields, **changes})
    return of_judgement(made, facts, predicted)


def side(*items, words="a side", asked=(), **changes):
    by_id = {item.id: [item] for item in items}
    return Side(words=words, tier="embedded", items=by_id, asked=frozenset(asked), **changes)


def tolerance(metric, device_class):
    return 0.0003


def compared(before, after):
    """Of two items, or two sides."""
    sides = [of if isinstance(of, Side) else side(of) for of in (before, after)]
    return compare(*sides, tolerance)


def only(before, after):
    """The one difference of two sides of one item."""
    (found,) = compared(before, after).differences
    return found


def definition(**changes):
    return replace(judgement().definition, **changes)
