"""Results as they come from judging, for the tests of the reports."""

import msgspec

from medbench.difference import Comparison, Difference, Suspect
from medbench.judgement import Check, Interval, Judgement
from medbench.report.figures import Axis, Chart, Figure, Forest, Point, Reference, Row, Series
from medbench.report.record import ItemResult, RunOrigin, Session, build

SESSION = Session(
    device_class="cpu", cores=2, platform="Linux", python="3.11", libraries={"jax": "0.10.2"}, commit="abc"
)


def judgement(item="chest/scale-data/id", **changes):
    task, claim, evaluation_set = item.split("/")
    fields = {
        "id": item,
        "task": task,
        "claim": claim,
        "evaluation_set": evaluation_set,
        "statement": "More photographs help.",
        "metric": "roc_auc@1",
        "certified": True,
        "arms": {"baseline": "bit-small-r14x0.5", "treatment": "bit-large-r14x0.5"},
        "state": "judged",
        "verdict": "supported",
        "effect": Interval(value=0.021, low=0.008, high=0.034),
        "margin": 0.005,
        "relevant_effect": 0.03,
        "power": 0.9,
        "detectable": 0.02,
        "replicates": 1000,
        "samples": {"baseline": {1: 0.81, 2: 0.82}, "treatment": {1: 0.83, 2: 0.84}},
        "environments": ["cpu"],
        "generated": True,
    }
    return Judgement(**(fields | changes))


def run(number=1, origin="trained"):
    return RunOrigin(
        run_id=f"run-{number}",
        spec_id=f"spec-{number}",
        label=f"chest · bit-small-r14x0.5 · all patients · seed {number}",
        origin=origin,
        device_class="cpu",
        device="a processor",
        finished="2026-12-01T10:00:00+00:00",
        seconds=31.0,
    )


def result(item="chest/scale-data/id", *, category="passed", red=False, check=None, runs=(), **changes):
    made = judgement(item, **changes)
    return ItemResult(
        id=item,
        category=category,
        red=red,
        sentence=f"{made.verdict}; why",
        judgement=made,
        check=check or Check(id=item, status="no-expectation", detail="nothing was accepted yet"),
        runs=list(runs),
    )


DRIFT = Check(
    id="chest/scale-data/id",
    status="drifted",
    check="numeric@1",
    expected=0.8100,
    measured=0.8200,
    band=(0.8097, 0.8103),
    quantity="baseline, seed 1",
    accepted_verdict="supported",
    detail="baseline, seed 1 moved",
)


def report(*results, **changes):
    fields = {
        "version": "0.1.0",
        "created": "2026-12-01T10:00:00+00:00",
        "tier": "embedded",
        "scope": "",
        "warnings": [],
        "environment": SESSION,
        "planned": 4,
        "naive": 8,
    }
    return build(results, **(fields | changes))


def _series(name, ys, *, xs=None, wide=0.01, joined=True):
    places = xs or range(len(ys))
    points = [Point(x=x, y=y, low=y - wide, high=y + wide) for x, y in zip(places, ys, strict=True)]
    return Series(name=name, points=points, joined=joined)


def _chart(kind, title, x, y, *series, references=()):
    x, y = (Axis(label=each) if isinstance(each, str) else each for each in (x, y))
    return Chart(
        id=kind, kind=kind, task="chest", title=title, x=x, y=y, series=series, references=list(references)
    )


def figures() -> list[Figure]:
    """One of every kind that a page draws."""
    auc = "area under the ROC curve"
    sizes = [200.0, 400.0, 800.0, 1600.0]
    nights = Axis(label="night", names=[f"2026-11-{day}" for day in range(10, 24)])
    stages = Axis(label="stage of the net", names=["root", "block 1", "block 2", "block 3", "block 4"])
    ladder = Axis(label="images in pre-training", scale="log")
    patients = Axis(label="patients in training", scale="log")
    groups = Forest(
        id="groups",
        kind="groups",
        task="chest",
        title="Gain in each sub-group",
        axis=Axis(label="difference in AUC"),
        bounds=[0.005],
        rows=[
            Row(label="sex: female", value=0.02, low=0.01, high=0.03, state="supported"),
            Row(label="sex: male", value=0.004, low=-0.01, high=0.018, state="inconclusive"),
            Row(label="age: 70 and older", value=-0.02, low=-0.03, high=-0.01, state="refuted"),
        ],
    )
    diagonal = Reference(name="perfect calibration", start=(0, 0), end=(1, 1))
    equal = Reference(name="equal robustness", start=(0, 0), end=(1, 1))
    target = Reference(name="small upstream, all patients", start=(200, 0.85), end=(1600, 0.85))
    was = Reference(name="accepted", start=(0, 0.85), end=(13, 0.85))
    return [
        groups,
        _chart(
            "ladder",
            "AUC grows with the upstream",
            ladder,
            auc,
            _series("r14x0.25", [0.78, 0.81, 0.83], xs=[2000.0, 10000.0, 50000.0]),
            _series("r14x0.5", [0.79, 0.83, 0.86], xs=[2000.0, 10000.0, 50000.0]),
            _series("r26x0.5", [0.8, 0.85, 0.88], xs=[2000.0, 10000.0, 50000.0]),
        ),
        _chart(
            "learning",
            "Patients needed for the same AUC",
            patients,
            auc,
            _series("cifar2k", [0.74, 0.79, 0.82, 0.85], xs=sizes),
            _series("cifar50k", [0.79, 0.84, 0.87, 0.885], xs=sizes),
            references=[target],
        ),
        _chart(
            "reliability",
            "Are scores probabilities?",
            "mean score in a bin",
            "share of positives",
            _series("baseline", [0.08, 0.2, 0.45, 0.7, 0.85], xs=[0.05, 0.25, 0.5, 0.75, 0.95], wide=0.05),
            _series("treatment", [0.06, 0.24, 0.5, 0.73, 0.93], xs=[0.05, 0.25, 0.5, 0.75, 0.95], wide=0.04),
            references=[diagonal],
        ),
        _chart(
            "risk-coverage",
            "Errors among those kept",
            "share of images kept",
            "share of errors",
            _series("baseline", [0.02, 0.05, 0.09, 0.14], xs=[0.25, 0.5, 0.75, 1.0]),
            _series("treatment", [0.01, 0.03, 0.06, 0.1], xs=[0.25, 0.5, 0.75, 1.0]),
        ),
        _chart(
            "robustness",
            "At home and under shift",
            "AUC at home",
            "AUC under shift",
            _series("icu", [0.74, 0.78, 0.8], xs=[0.8, 0.83, 0.86], joined=False),
            _series("vendor-b", [0.77, 0.81, 0.85], xs=[0.8, 0.83, 0.86], joined=False),
            references=[equal],
        ),
        _chart(
            "reuse",
            "Features before and after fine-tuning",
            stages,
            "linear CKA",
            _series("random", [0.9, 0.7, 0.5, 0.3, 0.2]),
            _series("cifar50k", [0.98, 0.95, 0.9, 0.8, 0.6]),
        ),
        _chart(
            "loss",
            "Loss in training",
            "step",
            "cross-entropy",
            _series("seed 1", [0.7 * 0.97**i for i in range(80)], wide=0.0),
            _series("seed 2", [0.72 * 0.965**i for i in range(80)], wide=0.0),
        ),
        _chart(
            "history",
            "Treatment's AUC, night by night",
            nights,
            auc,
            _series("scale-data, id", [0.85] * 10 + [0.82] * 4),
            references=[was],
        ),
    ]


def sample(claims=30):
    """A report with all that a page shows; its claims are spread over three tasks."""
    tasks = ("chest", "mammography", "dermatology")
    verdicts = ("supported", "inconclusive", "supported", "refuted")
    results = [
        result(check=DRIFT, category="failed", red=True, family="scale", runs=[run(1), run(2, "loaded")])
    ]
    for i in range(1, claims):
        value = 0.03 - 0.002 * (i % 20)
        made = result(
            f"{tasks[i % 3]}/claim-{i // 3}/id",
            verdict=verdicts[i % 4],
            effect=Interval(value=value, low=value - 0.012, high=value + 0.012),
            family=("scale", "ood", "fairness")[i % 3],
            n_patients=400 + i % 7,
            n_images=800,
            n_seeds=2,
            source="C4 [G]",
            verdict_at_half_margin="supported",
            verdict_at_twice_margin="inconclusive",
            runs=[run(1), run(2, "loaded"), run(3)],
        )
        results.append(made)
    since = Comparison(
        before="report of 2026-11-30, commit 1a2b3c4",
        after="this report",
        differences=[
            Difference(
                id="chest/scale-data/id",
                state="worse",
                sentence="treatment lost 0.03, on the same patients and seeds.",
                verdict_before="supported",
                verdict_after="inconclusive",
                effect_before=Interval(value=0.03, low=0.02, high=0.04),
                effect_after=Interval(value=0.0, low=-0.01, high=0.01),
            )
        ],
        suspects=[Suspect(kind="library", name="jax", before="0.10.2", after="0.11.0")],
        counts={"worse": 1, "unchanged": claims - 1},
        generated=True,
    )
    return msgspec.structs.replace(report(*results, figures=figures()), since=since)
