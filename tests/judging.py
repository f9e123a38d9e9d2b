"""A small study by hand: claims, runs and judgements for the tests of judge, expect and policy."""

from dataclasses import dataclass, field

import numpy as np
from msgspec.structs import replace

from medbench.judgement import Definition, Interval, Judgement
from medbench.predictions import Predictions
from medbench.record import Environment, RunRecord
from medbench.spec.effects import Gain, terms
from medbench.spec.metrics import BUILT_IN
from medbench.spec.records import Claim, Source
from medbench.spec.runs import BackboneSpec, Item, PlannedItem, ResolvedRecipe, RunSpec, Target

BINARY = Target(kind="single-label", classes=("benign", "malignant"))
SEEDS = (1, 2, 3)
GAIN = Gain()


def claim(**changes):
    ours = Claim(
        claim="scale-data",
        statement="More data is better.",
        source=Source(study="C4", strength="G"),
        tasks=["mammography"],
        arms={},
        evaluate="id",
        predicate="superiority",
        margin=0.005,
        margin_reason="for the test",
        relevant_effect=0.03,
        family="scale",
    )
    return replace(ours, **changes)


def run_spec(*, backbone="bit-s-r", seed=1, target=BINARY):
    return RunSpec(
        tier="embedded",
        task="mammography",
        cohort="phantoms:mammography",
        cohort_fingerprint="f1",
        target=target,
        evaluation_sets=("id",),
        backbone=BackboneSpec(
            name=backbone,
            upstream="s",
            architecture="r",
            blocks=(1,),
            width=1.0,
            weights="",
            weights_sha256="",
        ),
        recipe=ResolvedRecipe(
            name="short",
            steps=1,
            batch_size=1,
            base_learning_rate=0.1,
            momentum=0.9,
            warmup_steps=0,
            decay_steps=(),
            mixup_alpha=0.0,
            resize=8,
            crop=8,
            horizontal_flip=False,
        ),
        fraction=1.0,
        seed=seed,
    )


ARMS = {"baseline": "bit-s-r", "treatment": "bit-m-r"}


def planned(
    *, seeds=SEEDS, metric="roc_auc", target=BINARY, evaluation_set="id", arms=ARMS, effect=GAIN, **changes
):
    """An item whose effect is made of these arms; by default the treatment's gain."""
    return PlannedItem(
        item=Item(
            task="mammography",
            claim="scale-data",
            evaluation_set=evaluation_set,
            metric=metric,
            arms=arms,
        ),
        metrics=changes.pop("metrics", {metric: BUILT_IN.get(metric)}),
        terms=terms(effect, list(arms), evaluation_set),
        runs={
            arm: {seed: run_spec(backbone=name, seed=seed, target=target) for seed in seeds}
            for arm, name in arms.items()
        },
        **changes,
    )


@dataclass
class FakeRun:
    """What judging asks of a stored run."""

    scored: Predictions
    origin: str = "trained"
    device_class: str = "cpu"
    others: dict[str, Predictions] = field(default_factory=dict)
    """Of evaluation sets beside the judged one."""

    @property
    def record(self):
        environment = Environment(
            device_class=self.device_class,
            device="",
            devices=1,
            cores=1,
            platform="",
            python="",
            libraries={},
            xla_flags="",
            commit="",
        )
        return RunRecord(
            run_id="",
            spec_id="",
            code="",
            spec=run_spec(),
            environment=environment,
            started="",
            finished="",
            timings={},
            train_images=0,
            train_patients=0,
            trace=[],
            validation=[],
            weight_distance={},
            feature_reuse={},
            evaluations=[],
        )

    def predictions(self, evaluation_set):
        if evaluation_set in self.others:
            return self.others[evaluation_set]
        assert evaluation_set == self.scored.evaluation_set
        return self.scored


def scored(labels, scores, *, patients=None, evaluation_set="id", attributes=None):
    """Predictions of a binary task by the score of the positive class."""
    labels, n = np.asarray(labels), len(labels)
    logits = np.stack([np.zeros(n), scores], axis=1).astype(np.float32)
    return Predictions(
        evaluation_set=evaluation_set,
        target=BINARY,
        image=np.array([f"i{i}" for i in range(n)], dtype=np.str_),
        patient=np.array([f"p{i}" for i in range(n)] if patients is None else patients, dtype=np.str_),
        labels=np.eye(2, dtype=np.int8)[labels],
        logits=logits,
        attributes=attributes or {},
    )


def study(*, n_patients=60, images=2, gain=0.0, noise=0.3, seeds=SEEDS, base=1.0, rng=0):
    """Runs by arm and seed of a binormal study whose treatment separates the classes by `gain` more."""
    draw = np.random.default_rng(rng)
    patients = np.repeat([f"p{i}" for i in range(n_patients)], images)
    labels = np.repeat(np.arange(n_patients) % 3 == 0, images).astype(int)
    shared = np.repeat(draw.normal(size=n_patients), images) + draw.normal(size=len(labels))
    return {
        arm: {
            seed: FakeRun(
                scored(
                    labels,
                    shared + separation * labels + noise * draw.normal(size=len(labels)),
                    patients=patients,
                )
            )
            for seed in seeds
        }
        for arm, separation in (("baseline", base), ("treatment", base + gain))
    }


LIMITS = {"supported": (0.01, 0.03), "inconclusive": (-0.01, 0.03), "refuted": (-0.03, -0.01)}
"""Of an effect that gives a verdict at a margin of .005."""


def judgement(**changes):
    """A supported item of three seeds, all trained here on a processor.

    Its effect is that of its samples, with limits that give its verdict, unless it is among the changes.
    """
    ours = Judgement(
        id="mammography/scale-data/id",
        task="mammography",
        claim="scale-data",
        evaluation_set="id",
        statement="More data is better.",
        metric="roc_auc@1",
        arms=ARMS,
        state="judged",
        verdict="supported",
        effect=Interval(value=0.02, low=0.01, high=0.03),
        margin=0.005,
        relevant_effect=0.03,
        samples={
            "baseline": {1: 0.81, 2: 0.80, 3: 0.82},
            "treatment": {1: 0.83, 2: 0.82, 3: 0.84},
        },
        groups={"sex": ["f", "m"]},
        trained={"baseline": [1, 2, 3], "treatment": [1, 2, 3]},
        devices={arm: dict.fromkeys((1, 2, 3), "cpu") for arm in ("baseline", "treatment")},
        environments=["cpu"],
        definition=Definition(
            predicate="superiority",
            margin=0.005,
            metric="roc_auc@1",
            evaluate="id",
            cohort="phantoms:mammography",
            labels="single-label: benign, malignant",
            effect="gain",
            weights={"baseline": -1.0, "treatment": 1.0},
            units="image",
        ),
        cohort_fingerprint="f1",
    )
    made = replace(ours, **changes)
    return made if "effect" in changes or made.state != "judged" else replace(made, effect=_effect(made))


def _effect(made):
    baseline, treatment = (np.mean(list(made.samples[arm].values())) for arm in ("baseline", "treatment"))
    low, high = LIMITS[made.verdict]
    return Interval(value=float(treatment - baseline), low=low, high=high)
