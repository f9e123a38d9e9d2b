"""Plans: every run a selection needs, once, resolved, and nothing else."""

import hashlib
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medbench.data.cohort import Examples
from medbench.errors import MedbenchError
from medbench.plan import Planner, backbone_spec, items, run_spec
from medbench.spec.effects import Contrast, DataSaved, Robustness, Slope, terms
from medbench.spec.metrics import BUILT_IN, GroupGap
from medbench.spec.records import (
    Architecture,
    Arm,
    Claim,
    FixedRecipe,
    HyperRule,
    Source,
    Suite,
    Task,
    Tier,
    Upstream,
)
from medbench.spec.runs import Target
from medbench.spec.units import Unit

ROOT = Path(__file__).parents[1]


@dataclass
class Noise:
    """A cohort of `patients` patients with two images each, which no one ever looks at."""

    name: str = "noise"
    domain: str = "chest"
    target: Target = field(default=Target(kind="single-label", classes=("benign", "malignant")))
    generated: bool = True
    fingerprint: str = "c0ffee"
    shifts: tuple[str, ...] = ("night", "fog")
    attributes: tuple[str, ...] = ()
    cluster: str = "patient"
    absent: Mapping[str, str] = field(default_factory=dict)
    image_area: int = 128 * 128
    patients: int = 40

    def examples(self, split: str) -> Examples:
        assert split == "train", "a plan needs no other split"
        names = np.repeat([f"p{i}" for i in range(self.patients)], 2)
        labels = np.zeros((len(names), 2), np.int8)
        labels[:, 0] = 1
        return Examples(np.char.add(names, "-i"), names, labels, {})

    def images(self, split, size):
        raise AssertionError("a plan looks at no image")


COHORTS: Mapping[str, Noise] = {"chest": Noise(), "skin": Noise(name="skin", shifts=("phone",))}


def claim(name: str, **changes: object) -> Claim:
    arms = {
        "baseline": Arm(upstream="random", architecture="tiny"),
        "treatment": Arm(upstream="big", architecture="tiny"),
    }
    fields = {
        "claim": name,
        "statement": "Bigger is better.",
        "source": Source(study="C4", strength="G"),
        "tasks": ["chest", "skin"],
        "arms": {"small": arms},
        "evaluate": "id",
        "predicate": "superiority",
        "margin": 0.005,
        "margin_reason": "as the tests have it",
        "relevant_effect": 0.03,
        "family": "scale",
    }
    return Claim(**{**fields, **changes})


def task(name: str, *, horizontal_flip: bool) -> Task:
    return Task(
        task=name,
        domain="chest",
        statement="What is seen.",
        cohorts={},
        primary="roc_auc",
        horizontal_flip=horizontal_flip,
    )


SHORT = FixedRecipe(
    description="short",
    deviations=[],
    steps=10,
    batch_size=4,
    base_learning_rate=0.003,
    warmup_steps=2,
    decay_steps=[6],
    resize=36,
    crop=32,
)


@pytest.fixture
def suite(tmp_path) -> Suite:
    return suite_in(tmp_path)


def suite_in(folder: Path) -> Suite:
    (folder / "big-tiny.npz").write_bytes(b"weights")
    return Suite(
        root=str(folder),
        claims={
            "scale": claim("scale"),
            "ood": claim("ood", evaluate="each-shift"),
            "elsewhere": claim("elsewhere", arms={}),
        },
        claim_files={},
        tasks={
            "chest": task("chest", horizontal_flip=False),
            "skin": task("skin", horizontal_flip=True),
        },
        architectures={"tiny": Architecture(blocks=[1, 1, 1, 1], width=0.5)},
        upstreams={
            "random": Upstream(description="none", images=0, classes=0),
            "big": Upstream(description="many", images=9, classes=2, weights={"tiny": "big-tiny.npz"}),
            "lost": Upstream(description="gone", images=9, classes=2, weights={"tiny": "lost-tiny.npz"}),
        },
        recipes={"short": SHORT, "rule": HyperRule(variant="code", description="released")},
        tiers={
            "small": Tier(description="small", recipe="short", seeds=[3, 1, 2], sentinels=[1]),
            "ruled": Tier(description="ruled", recipe="rule", seeds=[1], sentinels=[]),
        },
        metrics=dict(BUILT_IN),
    )


def plan_of(suite: Suite, ids: set[str] | None = None):
    found = items(suite, tier="small", cohorts=COHORTS)
    chosen = [item for item in found if ids is None or item.id in ids]
    return Planner(suite, tier="small", cohorts=COHORTS).plan(chosen)


def test_items_are_claims_on_tasks_on_evaluation_sets_in_order_of_declaration(suite):
    assert [item.id for item in items(suite, tier="small", cohorts=COHORTS)] == [
        "chest/scale/id",
        "skin/scale/id",
        "chest/ood/night",
        "chest/ood/fog",
        "skin/ood/phone",
    ]


def test_a_task_without_a_cohort_has_no_items(suite):
    found = items(suite, tier="small", cohorts={"skin": COHORTS["skin"]})
    assert [item.id for item in found] == ["skin/scale/id", "skin/ood/phone"]


def test_a_tier_without_arms_has_no_items_unless_backbones_are_named(suite):
    assert items(suite, tier="ruled", cohorts=COHORTS) == []
    found = items(suite, tier="ruled", cohorts=COHORTS, backbones=("bit-random-tiny", "bit-lost-tiny"))
    assert len(found) == 7, "also those of the claim that has no arms at all"
    named = {"baseline": "bit-random-tiny", "treatment": "bit-lost-tiny"}
    assert all(item.arms == named for item in found)


@pytest.mark.parametrize("effect", [Slope(), DataSaved(), Contrast(weights={"baseline": -1, "treatment": 1})])
def test_two_backbones_cannot_stand_in_where_an_effect_is_of_other_arms_than_a_pair(effect, suite):
    suite.claims["scale"] = msgspec.structs.replace(suite.claims["scale"], effect=effect)
    suite.claims["ood"] = msgspec.structs.replace(suite.claims["ood"], effect=Robustness())
    found = items(suite, tier="small", cohorts=COHORTS, backbones=("bit-random-tiny", "bit-big-tiny"))
    assert {item.claim for item in found} == {"ood", "elsewhere"}


def test_primary_stands_for_the_metric_of_the_task(suite):
    own = msgspec.structs.replace(suite.claims["scale"], claim="own", metric="other")
    suite = msgspec.structs.replace(suite, claims={"scale": suite.claims["scale"], "own": own})
    metrics = {item.claim: item.metric for item in items(suite, tier="small", cohorts=COHORTS)}
    assert metrics == {"scale": "roc_auc", "own": "other"}


def test_an_item_carries_the_definition_of_its_metric_and_of_the_one_that_is_compared(suite):
    gap = GroupGap(of="nll", attributes=["sex"])
    claims = {**suite.claims, "ood": msgspec.structs.replace(suite.claims["ood"], metric="gap")}
    declared = msgspec.structs.replace(suite, metrics={**suite.metrics, "gap": gap}, claims=claims)
    planned = {each.item.id: each for each in plan_of(declared).items}
    assert planned["chest/ood/fog"].metrics == {"gap": gap, "nll": BUILT_IN["nll"]}
    assert planned["chest/scale/id"].metrics == {"roc_auc": BUILT_IN["roc_auc"]}


def test_items_keep_their_ids_when_their_backbones_change(suite):
    ids = [item.id for item in items(suite, tier="small", cohorts=COHORTS)]
    for name in list(suite.claims):
        arms = {
            "baseline": Arm(upstream="lost", architecture="tiny"),
            "treatment": Arm(upstream="random", architecture="tiny"),
        }
        if suite.claims[name].arms:
            suite.claims[name] = msgspec.structs.replace(suite.claims[name], arms={"small": arms})
    assert [item.id for item in items(suite, tier="small", cohorts=COHORTS)] == ids


def test_claims_share_their_runs(suite):
    plan = plan_of(suite)
    assert len(plan.items) == 5
    assert plan.naive == 5 * 2 * 3
    assert len(plan.runs) == 2 * 2 * 3, "tasks x backbones x seeds"


def test_runs_come_by_task_then_backbone_then_seed_as_declared(suite):
    assert [(run.task, run.backbone.name, run.seed) for run in plan_of(suite).runs] == [
        (task, backbone, seed)
        for task in ("chest", "skin")
        for backbone in ("bit-random-tiny", "bit-big-tiny")
        for seed in (3, 1, 2)
    ]


def test_arms_are_paired_by_seed(suite):
    for planned in plan_of(suite).items:
        assert list(planned.runs) == ["baseline", "treatment"]
        assert all(list(by_seed) == [3, 1, 2] for by_seed in planned.runs.values())
        for seed in (3, 1, 2):
            baseline, treatment = (planned.runs[arm][seed] for arm in ("baseline", "treatment"))
            assert baseline.seed == treatment.seed == seed
            assert msgspec.structs.replace(baseline, backbone=treatment.backbone) == treatment


IDS = ["chest/scale/id", "skin/scale/id", "chest/ood/night", "chest/ood/fog", "skin/ood/phone"]


ARM = Arm(upstream="big", architecture="tiny")
LADDER = {
    "none": Arm(upstream="random", architecture="tiny", recipe="rule"),
    "some": Arm(upstream="random", architecture="tiny", recipe="short"),
    "half": msgspec.structs.replace(ARM, fraction=0.5),
    "many": ARM,
}


def with_ladder(suite, **changes):
    """The suite with a claim about several arms, in the place of the others."""
    ladder = claim("ladder", arms={"small": LADDER}, effect=Slope(), tasks=["chest"], **changes)
    return msgspec.structs.replace(suite, claims={"ladder": ladder})


def test_an_arm_has_its_own_share_of_the_patients_and_its_own_recipe(suite):
    (planned,) = plan_of(with_ladder(suite)).items
    assert planned.item.arms == {
        "none": "bit-random-tiny+rule",
        "some": "bit-random-tiny+short",
        "half": "bit-big-tiny@0.5",
        "many": "bit-big-tiny",
    }
    of_first_seed = [by_seed[3] for by_seed in planned.runs.values()]
    assert [run.fraction for run in of_first_seed] == [1, 1, 0.5, 1]
    assert [run.recipe.name for run in of_first_seed] == ["rule", "short", "short", "short"]
    assert [run.own_recipe for run in of_first_seed] == [True, False, False, False]
    assert planned.all_runs[:4] == [*planned.runs["none"].values(), of_first_seed[1]]


def test_a_run_is_the_same_whether_an_arm_names_the_tiers_recipe_or_leaves_it_out(suite):
    run = {
        recipe: run_spec(
            suite,
            tier="small",
            task="chest",
            cohort=COHORTS["chest"],
            backbone="bit-big-tiny",
            seed=1,
            recipe=recipe,
        )
        for recipe in ("", "short", "rule")
    }
    assert run[""] == run["short"] != run["rule"]
    assert {name: each.own_recipe for name, each in run.items()} == {"": False, "short": False, "rule": True}


def test_an_unknown_recipe_is_named_with_the_nearest(suite):
    with pytest.raises(MedbenchError) as caught:
        run_spec(
            suite,
            tier="small",
            task="chest",
            cohort=COHORTS["chest"],
            backbone="bit-big-tiny",
            seed=1,
            recipe="shrt",
        )
    assert str(caught.value) == "unknown recipe `shrt`. Did you mean `short`?"


def test_a_claim_may_take_the_first_seeds_of_its_tier(suite):
    (planned,) = plan_of(with_ladder(suite, seeds=2)).items
    assert {tuple(by_seed) for by_seed in planned.runs.values()} == {(3, 1)}


def test_an_effect_is_planned_with_its_terms(suite):
    (planned,) = plan_of(with_ladder(suite)).items
    assert planned.terms == terms(Slope(), list(LADDER), "id")
    suite.claims["ood"] = msgspec.structs.replace(suite.claims["ood"], effect=Robustness())
    robust = {each.item.id: each.terms for each in plan_of(suite).items}["chest/ood/fog"]
    assert [term.name for term in robust] == ["baseline", "treatment", "baseline at id", "treatment at id"]


def test_a_claim_may_be_judged_at_home_and_on_each_shift(suite):
    found = items(with_ladder(suite, evaluate="each-set"), tier="small", cohorts=COHORTS)
    assert [item.id for item in found] == ["chest/ladder/id", "chest/ladder/night", "chest/ladder/fog"]


def test_a_claim_on_each_attribute_has_an_item_for_those_of_the_task_that_the_cohort_has(suite):
    gap = GroupGap(of="primary")
    fair = claim("fair", each_attribute=True, metric="gap")
    tasks = {
        "chest": msgspec.structs.replace(suite.tasks["chest"], attributes=["age", "sex", "view"]),
        "skin": msgspec.structs.replace(suite.tasks["skin"], attributes=["skin_type"], primary="nll"),
    }
    fitted = msgspec.structs.replace(
        suite, claims={"fair": fair}, tasks=tasks, metrics={**suite.metrics, "gap": gap}
    )
    cohorts = {
        "chest": Noise(attributes=("view", "site", "age")),
        "skin": Noise(attributes=("skin_type",), shifts=()),
    }
    found = items(fitted, tier="small", cohorts=cohorts)
    assert [(item.id, item.attribute) for item in found] == [
        ("chest/fair/id/age", "age"),
        ("chest/fair/id/view", "view"),
        ("skin/fair/id/skin_type", "skin_type"),
    ]
    planned = Planner(fitted, tier="small", cohorts=cohorts).plan(found).items
    assert [each.metrics for each in planned] == [
        {"gap": GroupGap(of="roc_auc", attributes=["age"]), "roc_auc": BUILT_IN["roc_auc"]},
        {"gap": GroupGap(of="roc_auc", attributes=["view"]), "roc_auc": BUILT_IN["roc_auc"]},
        {"gap": GroupGap(of="nll", attributes=["skin_type"]), "nll": BUILT_IN["nll"]},
    ]


BREAST, PATIENT = Unit(by=["patient", "laterality"], over="mean"), Unit(by=["patient"], over="max")


@pytest.mark.parametrize(
    ("attributes", "kind", "classes", "units"),
    [
        (("laterality", "age"), "single-label", ("benign", "malignant"), (BREAST, PATIENT)),
        (("age",), "single-label", ("benign", "malignant"), (PATIENT,)),
        (("laterality",), "multi-label", ("mass", "calcification", "distortion"), (BREAST, PATIENT)),
        (("laterality",), "single-label", ("none", "benign", "malignant"), ()),
    ],
)
def test_images_are_joined_as_far_as_a_cohort_allows(attributes, kind, classes, units, suite):
    by_breast = msgspec.structs.replace(suite.tasks["chest"], units=[BREAST, PATIENT])
    fitted = msgspec.structs.replace(suite, tasks={**suite.tasks, "chest": by_breast})
    target = Target(kind=kind, classes=classes)
    cohorts = {"chest": Noise(attributes=attributes, target=target, generated=False)}
    found = items(fitted, tier="small", cohorts=cohorts)
    planned = Planner(fitted, tier="small", cohorts=cohorts).plan(found).items
    assert len(planned) == 3
    assert all(each.units == units for each in planned)


def test_units_by_an_attribute_that_generated_images_lack_are_misspelt(suite):
    misspelt = msgspec.structs.replace(
        suite.tasks["chest"], units=[Unit(by=["patient", "vieww"], over="mean")]
    )
    fitted = msgspec.structs.replace(suite, tasks={**suite.tasks, "chest": misspelt})
    cohorts = {"chest": Noise(attributes=("view",))}
    with pytest.raises(MedbenchError, match=r"task `chest`: units by `vieww`, .* Did you mean `view`\?"):
        Planner(fitted, tier="small", cohorts=cohorts).plan(items(fitted, tier="small", cohorts=cohorts))


@given(chosen=st.sets(st.sampled_from(IDS)))
def test_a_selection_needs_just_the_runs_of_its_items(tmp_path_factory, chosen):
    suite = suite_in(tmp_path_factory.mktemp("suite"))
    plan = plan_of(suite, chosen)
    wanted = {run for p in plan.items for by_seed in p.runs.values() for run in by_seed.values()}
    assert {p.item.id for p in plan.items} == chosen
    assert set(plan.runs) == wanted
    assert len(plan.runs) == len(set(plan.runs)) <= plan.naive == 6 * len(chosen)
    assert set(plan.runs) <= set(plan_of(suite).runs), "a run is the same whatever else is selected"


def test_a_run_is_resolved_to_what_shapes_its_numbers(suite):
    run = run_spec(suite, tier="small", task="skin", cohort=COHORTS["skin"], backbone="bit-big-tiny", seed=2)
    assert msgspec.to_builtins(run) == {
        "tier": "small",
        "task": "skin",
        "cohort": "skin",
        "cohort_fingerprint": "c0ffee",
        "target": {"kind": "single-label", "classes": ("benign", "malignant")},
        "evaluation_sets": ("id", "phone"),
        "backbone": {
            "name": "bit-big-tiny",
            "upstream": "big",
            "architecture": "tiny",
            "blocks": (1, 1, 1, 1),
            "width": 0.5,
            "weights": "big-tiny.npz",
            "weights_sha256": hashlib.sha256(b"weights").hexdigest(),
            "module": "",
            "distribution": "",
        },
        "recipe": {
            "name": "short",
            "steps": 10,
            "batch_size": 4,
            "base_learning_rate": 0.003,
            "momentum": 0.9,
            "warmup_steps": 2,
            "decay_steps": (6,),
            "mixup_alpha": 0.0,
            "resize": 36,
            "crop": 32,
            "horizontal_flip": True,
            "aspect": "squashed",
            "precision": "float32",
        },
        "own_recipe": False,
        "fraction": 1.0,
        "seed": 2,
    }


@pytest.mark.parametrize(
    ("patients", "fraction", "steps"),
    [(9_999, 1.0, 500), (10_000, 1.0, 10_000), (10_000, 0.5, 500), (20_000, 0.5, 10_000)],
)
def test_the_hyperrule_goes_by_the_number_of_training_images_that_are_used(suite, patients, fraction, steps):
    cohort = Noise(patients=patients)
    run = run_spec(
        suite,
        tier="ruled",
        task="chest",
        cohort=cohort,
        backbone="bit-random-tiny",
        seed=1,
        fraction=fraction,
    )
    assert run.recipe.steps == steps
    assert run.fraction == fraction


def test_whether_images_are_mirrored_is_the_tasks_affair(suite):
    runs = plan_of(suite).runs
    assert {(run.task, run.recipe.horizontal_flip) for run in runs} == {("chest", False), ("skin", True)}


def test_random_initialisation_has_no_weights(suite):
    backbone = backbone_spec(suite, "bit-random-tiny")
    assert (backbone.weights, backbone.weights_sha256) == ("", "")


def test_other_weights_under_the_same_name_are_another_run(suite):
    before = backbone_spec(suite, "bit-big-tiny")
    Path(suite.root, "big-tiny.npz").write_bytes(b"other weights")
    after = backbone_spec(suite, "bit-big-tiny")
    assert after.weights_sha256 == hashlib.sha256(b"other weights").hexdigest() != before.weights_sha256


def test_missing_weights_are_named_with_the_place_to_put_them(suite):
    pair = ("bit-random-tiny", "bit-lost-tiny")
    chosen = items(suite, tier="small", cohorts=COHORTS, backbones=pair)
    with pytest.raises(MedbenchError, match=r"lost-tiny\.npz.*Put the file there.*MEDBENCH_WEIGHTS"):
        Planner(suite, tier="small", cohorts=COHORTS, backbones=pair).plan(chosen)


def test_an_unknown_tier_is_named_with_the_nearest(suite):
    with pytest.raises(MedbenchError) as caught:
        items(suite, tier="smal", cohorts=COHORTS)
    assert str(caught.value) == "unknown tier `smal`. Did you mean `small`?"


def test_an_unknown_backbone_is_named_with_the_nearest(suite):
    with pytest.raises(MedbenchError) as caught:
        items(suite, tier="small", cohorts=COHORTS, backbones=("bit-random-tiny", "bit-bigg-tiny"))
    assert str(caught.value) == "unknown backbone `bit-bigg-tiny`. Did you mean `bit-big-tiny`?"


def test_the_command_plans_the_projects_own_suite_without_jax(tmp_path):
    code = f"""
import sys
from medbench.cli import main
status = main(["plan", {str(ROOT / "benchmarks")!r}, "-k", "mammography", "--store", {str(tmp_path)!r}])
print(sorted({{"jax", "jaxlib", "flax", "optax"}} & set(sys.modules)), file=sys.stderr)
sys.exit(status)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "[]\n")
    *lines, empty, total = done.stdout.splitlines()
    assert empty == ""
    assert all(line.startswith("mammography · bit-") for line in lines)
    runs, naive = map(
        int, re.fullmatch(r"(\d+) runs for \d+ items \((\d+) without sharing\): .*", total).groups()
    )
    assert runs == len(set(lines)) == len(lines)
    assert naive > 3 * runs, "claims share their runs"
