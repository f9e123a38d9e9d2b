import argparse
import dataclasses

import msgspec
import numpy as np
import pytest

from medbench.calibrate import add_arguments, calibrations, run
from medbench.errors import MedbenchError
from medbench.expect import Calibration
from medbench.metrics import Sample, evaluate, metric_named
from medbench.metrics.estimates import Estimates
from medbench.record import Validation
from medbench.reference import References
from medbench.spec.loader import load_yaml
from medbench.store import Store
from tests import runs
from tests.judging import planned


@pytest.fixture
def expectations(tmp_path):
    """A folder with one accepted reference run."""
    accepted = Store(tmp_path / "accepted").put(runs.record(), runs.all_predictions(seed=1), {})
    References(tmp_path / "expectations" / "embedded" / "runs").accept(accepted)
    return tmp_path / "expectations"


def calibrate(expectations, *stores):
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return run(parser.parse_args([*map(str, stores), "--expectations", str(expectations)]))


def store(tmp_path, name, *, seed, **environment):
    """A store with a run of the same spec, whose logits are other ones than the accepted seed 1's."""
    record = runs.record()
    there = msgspec.structs.replace(record.environment, **environment)
    made = Store(tmp_path / name)
    made.put(msgspec.structs.replace(record, environment=there), runs.all_predictions(seed=seed), {})
    return made.root


def rows(expectations, metric="roc_auc@1"):
    every = load_yaml(expectations / "numeric.yaml", list[Calibration])
    return [row for row in every if row.metric == metric]


def test_the_largest_difference_over_the_evaluation_sets_is_kept(expectations, tmp_path):
    calibrate(expectations, store(tmp_path, "other", seed=2, xla_flags="--xla_cpu_max_isa=AVX2"))
    auc = {
        seed: {
            n: evaluate(metric_named("roc_auc"), Sample(p))[0] for n, p in runs.all_predictions(seed).items()
        }
        for seed in (1, 2)
    }
    largest = max(abs(auc[1][name] - auc[2][name]) for name in runs.SETS)
    assert largest > 0
    (row,) = rows(expectations)
    assert row.largest_difference == pytest.approx(largest, abs=1e-7)
    assert row.metric == "roc_auc@1"
    assert row.variant == "a processor, 2 cores, --xla_cpu_max_isa=AVX2"


def test_what_an_item_knows_of_a_run_as_a_whole_is_compared_too(tmp_path):
    def ending(name, first):
        trace = [Validation(step=0, value=first), Validation(step=9, value=0.9)]
        return Store(tmp_path / name).put(runs.record(validation=trace), runs.all_predictions(), {})

    item = planned(metric="steps_to_share")
    of_one_run = {arm: {1: runs.spec()} for arm in item.runs}
    found = calibrations(
        [(ending("one", 0.5), ending("other", 0.7))], [msgspec.structs.replace(item, runs=of_one_run)]
    )
    # .86 is nine tenths of the way from chance: from .5 after step 1, and from .7.
    steps = [1 + 9 * (0.86 - first) / (0.9 - first) for first in (0.5, 0.7)]
    (row,) = [row for row in found if row.metric == "steps_to_share/0.9@1"]
    assert row.largest_difference == pytest.approx(abs(steps[0] - steps[1]), abs=1e-6)


def test_the_same_run_made_again_differs_by_nothing(expectations, tmp_path):
    calibrate(expectations, store(tmp_path, "same", seed=1))
    assert [row.largest_difference for row in rows(expectations)] == [0.0]


def test_a_later_calibration_replaces_its_own_row_and_keeps_the_others(expectations, tmp_path):
    one = store(tmp_path, "one", seed=2, cores=1)
    calibrate(expectations, one, store(tmp_path, "two", seed=2))
    before = rows(expectations)
    calibrate(expectations, store(tmp_path, "again", seed=1, cores=1))
    after = rows(expectations)
    assert [row.variant for row in after] == [row.variant for row in before]
    changed = np.array([a != b for a, b in zip(before, after, strict=True)])
    assert changed.sum() == 1
    assert "1 core," in after[int(changed.argmax())].variant


def test_runs_of_another_device_class_say_nothing_about_this_one(expectations, tmp_path):
    with pytest.raises(MedbenchError, match="no run in these stores"):
        calibrate(expectations, store(tmp_path, "gpu", seed=2, device_class="gpu-nvidia-a100"))
    assert not (expectations / "numeric.yaml").exists()


def test_runs_of_changed_code_alone_are_refused(expectations, tmp_path):
    changed = Store(tmp_path / "changed")
    changed.put(runs.record(code="changed", run_id="0" * 20), runs.all_predictions(seed=2), {})
    with pytest.raises(MedbenchError, match="may come from changed code"):
        calibrate(expectations, changed.root)
    assert not (expectations / "numeric.yaml").exists()


def test_a_run_of_changed_code_that_agrees_to_the_bit_vouches_for_the_others(expectations, tmp_path):
    changed = Store(tmp_path / "changed")
    changed.put(runs.record(code="changed-here", run_id="0" * 20), runs.all_predictions(seed=1), {})
    far = Store(tmp_path / "far")
    far.put(runs.record(code="changed-elsewhere", run_id="1" * 20), runs.all_predictions(seed=2), {})
    calibrate(expectations, far.root, changed.root)
    (row,) = rows(expectations)
    assert row.largest_difference > 0


def test_nobody_vouches_for_a_run_of_other_code(expectations, tmp_path, capsys):
    other = Store(tmp_path / "other")
    other.put(runs.record(code="other-here", run_id="1" * 20), runs.all_predictions(seed=2), {})
    calibrate(expectations, store(tmp_path, "same", seed=1), other.root)
    assert "1 run left out, of code that may have moved the numbers itself" in capsys.readouterr().out
    (row,) = rows(expectations)
    assert row.largest_difference == 0


@pytest.mark.parametrize("order", [("far", "near"), ("near", "far")])
def test_of_several_stores_made_alike_the_largest_difference_is_kept(expectations, tmp_path, order):
    stores = {"far": store(tmp_path, "far", seed=2), "near": store(tmp_path, "near", seed=1)}
    calibrate(expectations, *(stores[name] for name in order))
    (row,) = rows(expectations)
    assert row.largest_difference > 0


def test_a_metric_that_is_defined_nowhere_is_left_out(expectations, tmp_path, monkeypatch):
    def never(sample, weights):
        return Estimates(np.zeros(len(weights)), np.zeros(len(weights), dtype=bool), "never")

    shy = dataclasses.replace(metric_named("nll"), values=never)
    monkeypatch.setattr("medbench.calibrate.METRICS", (metric_named("roc_auc"), shy))
    calibrate(expectations, store(tmp_path, "same", seed=1))
    assert rows(expectations)
    assert not rows(expectations, shy.identity)


def test_every_metric_that_one_set_is_enough_for_is_calibrated(expectations, tmp_path):
    calibrate(expectations, store(tmp_path, "same", seed=1))
    for name in ("roc_auc", "nll", "brier", "ece"):
        assert rows(expectations, metric_named(name).identity)
    assert not rows(expectations, metric_named("ood_auroc").identity)
