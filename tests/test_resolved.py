"""What the project's own suite resolves to, one line a value: a changed default is one line in review.

python -m tests.test_resolved    writes tests/golden/resolved.txt anew
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from medbench.data.cohort import TRAIN
from medbench.data.sources import open_cohort
from medbench.metrics import metric_named
from medbench.plan import Planner, items
from medbench.spec.records import Claim, Suite
from medbench.spec.runs import PlannedItem
from medbench.spec.suite import load_suite
from medbench.training.hyperrule import resolve
from medbench.units import in_words

GOLDEN = Path(__file__).parent / "golden/resolved.txt"
TIER = "embedded"


def resolved() -> str:
    """Every claim, run and recipe of the embedded tier; of runs that differ by seed only, the first."""
    suite = load_suite(Path(__file__).parents[1] / "benchmarks")
    cohorts = {
        name: open_cohort(task.cohorts[TIER]) for name, task in suite.tasks.items() if TIER in task.cohorts
    }
    plan = Planner(suite, tier=TIER, cohorts=cohorts).plan(items(suite, tier=TIER, cohorts=cohorts))
    lines = [f"plan: {len(plan.runs)} runs for {len(plan.items)} items, {plan.naive} without sharing"]
    for name, planned in {planned.item.claim: planned for planned in plan.items}.items():
        lines += flat(f"claim {name}", claimed(suite.claims[name], planned))
    for planned in plan.items:
        metric = metric_named(planned.item.metric, planned.metrics).identity
        lines.append(f"item {planned.item.id}: {metric} · {in_words(planned.units)}")
    for name, synthesis in suite.syntheses.items():
        lines += flat(f"synthesis {name}", {"tasks": synthesis.tasks, "properties": synthesis.properties})
    tier = suite.tiers[TIER]
    lines += flat("sentinels", {"seeds": tier.sentinels, "arms": tier.sentinel_backbones})
    first_seed = plan.runs[0].seed
    for run in plan.runs:
        if run.seed == first_seed:
            lines += flat(f"run {run.label}", run)
    for task, cohort in cohorts.items():
        lines += recipes(suite, task, len(cohort.examples(TRAIN)), cohort.image_area)
    return "\n".join(lines) + "\n"


def claimed(claim: Claim, planned: PlannedItem) -> dict[str, Any]:
    """What is claimed, as far as it is the same for all items of the claim."""
    return {
        "arms": planned.item.arms,
        "weights": {term.name: f"{term.weight:.6g}" for term in planned.terms},
        "predicate": claim.predicate,
        "margin": claim.margin,
        "relevant_effect": claim.relevant_effect,
        "seeds": [*next(iter(planned.runs.values()))],
    }


def recipes(suite: Suite, task: str, n_train: int, image_area: int) -> Iterator[str]:
    """All declared recipes as a task's cohort would have them, for R50x1."""
    flip = suite.tasks[task].horizontal_flip
    for name, recipe in suite.recipes.items():
        found = resolve(
            recipe,
            name=name,
            architecture=suite.architectures["r50x1"],
            n_train=n_train,
            image_area=image_area,
            horizontal_flip=flip,
        )
        yield from flat(f"recipe {name} on {task}", found)


def flat(prefix: str, value: Any) -> Iterator[str]:
    """`prefix.field: value` for each leaf."""
    value = msgspec.to_builtins(value)
    for key, part in value.items():
        if isinstance(part, dict):
            yield from flat(f"{prefix} {key}", part)
        else:
            shown = ", ".join(map(str, part)) if isinstance(part, list | tuple) else part
            yield f"{prefix} {key}: {shown}"


def test_the_suite_resolves_to_what_was_reviewed():
    accepted = GOLDEN.read_text(encoding="utf-8")
    assert resolved() == accepted, (
        "if the change is meant: python -m tests.test_resolved, and review the diff"
    )


def test_who_is_said_to_be_trained_to_its_plateau_has_a_recipe_that_was_chosen_for_that():
    claims = load_suite(Path(__file__).parents[1] / "benchmarks").claims.values()
    said = [claim for claim in claims if "plateau" in claim.statement]
    assert said
    recipes = {
        (claim.claim, arm.recipe) for claim in said for arms in claim.arms.values() for arm in arms.values()
    }
    assert recipes == {(claim.claim, "embedded-long") for claim in said}


if __name__ == "__main__":
    GOLDEN.write_text(resolved(), encoding="utf-8")
