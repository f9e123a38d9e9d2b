"""Results as they come from judging, for the tests of the reports."""

from medbench.judgement import Check, Interval, Judgement
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
