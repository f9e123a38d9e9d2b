import hashlib
import json
import re
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import medbench.execute.local
import medbench.study
from medbench.accepting import accept
from medbench.errors import MedbenchError
from medbench.study import Options, Study
from tests.suites import project, stand_ins

BASELINE = "bit-small-r14x0.5"


@pytest.fixture
def suite(tmp_path, monkeypatch):
    """The folder of the suite `good`, in the stand-ins' world."""
    for variable in ("CI", "MEDBENCH_WEIGHTS"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(stand_ins, "HERE", tmp_path)
    monkeypatch.setattr(medbench.study, "open_cohort", stand_ins.open_cohort)
    monkeypatch.setattr(medbench.execute.local, "_fine_tune", lambda store: stand_ins.fine_tune)
    monkeypatch.setattr(medbench.execute.local, "capture", stand_ins.environment)
    (tmp_path / "world.json").write_text(json.dumps({"gain": {"default": 1.0}}))
    folder = tmp_path / "benchmarks"
    shutil.copytree(project.HERE / "good", folder)
    for name in ("small", "large"):
        (folder / f"{name}.npz").write_text(name)
    return folder


def open_study(suite, **options):
    fields = {
        "tier": "embedded",
        "store": suite.parent / "store",
        "expectations": suite.parent / "expectations",
    }
    return Study.open(suite, Options(**(fields | options)))


def trained(suite):
    return (suite.parent / "trained.log").read_text().splitlines()


def test_items_of_one_task_share_their_runs(suite):
    study = open_study(suite)
    study.judge("mammography/scale-data/id")
    study.judge("mammography/ood-robustness/dense")
    assert len(trained(suite)) == 6


def test_two_workers_begin_with_different_runs(suite):
    first, second = (
        open_study(suite, store=suite.parent / f"store-{worker}", worker=worker, workers=2)
        for worker in (0, 1)
    )
    first.judge("chest/scale-data/id")
    second.judge("chest/scale-data/id")
    labels = trained(suite)
    assert sorted(labels[:6]) == sorted(labels[6:])
    assert set(labels[:3]) == set(labels[9:])


def test_a_forecast_says_where_runs_will_come_from_and_how_long_it_takes(suite):
    study = open_study(suite)
    plan = study.plan(study.items)
    before = study.forecast(plan)
    assert (len(before.to_train), before.reused, len(before.loaded), before.seconds) == (12, 0, 0, None)
    study.judge("chest/scale-data/id")
    after = study.forecast(plan)
    assert (len(after.to_train), after.reused) == (6, 6)
    assert after.seconds == pytest.approx(6.0)  # the stand-ins say a second a run
    never = open_study(suite, runs="never").forecast(plan)
    assert (never.reused, never.not_run, len(never.to_train)) == (6, 6, 0)


def test_a_run_that_may_not_be_made_is_an_error_for_who_asks_for_it(suite):
    with pytest.raises(MedbenchError, match=r"chest · bit-small.* seed 1: .*--runs=never"):
        open_study(suite, runs="never").run(task="chest", backbone=BASELINE, seed=1)


def test_a_fraction_of_the_patients_is_another_run(suite):
    study = open_study(suite)
    whole = study.run(task="chest", backbone=BASELINE, seed=1)
    half = study.run(task="chest", backbone=BASELINE, seed=1, fraction=0.5)
    assert whole.record.run_id != half.record.run_id


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s: s.judge("chest/scale-dat/id"), "unknown item .*Did you mean `chest/scale-data/id`"),
        (lambda s: s.run(task="chst", backbone=BASELINE, seed=1), "task `chst`.*Did you mean `chest`"),
        (lambda s: s.run(task="chest", backbone="bit-smal-r14x0.5", seed=1), "Did you mean `bit-small"),
    ],
)
def test_unknown_names_are_answered_with_the_nearest(suite, call, message):
    with pytest.raises(MedbenchError, match=message):
        call(open_study(suite))


@pytest.mark.parametrize("seed", [-1, "1", 1.0, None])
def test_a_seed_is_a_whole_number(suite, seed):
    with pytest.raises(MedbenchError, match="expected a whole number, at least 0"):
        open_study(suite).run(task="chest", backbone=BASELINE, seed=seed)


@pytest.mark.parametrize("fraction", [0, -1, 1.01, float("nan"), "1"])
def test_a_fraction_is_a_share_of_the_patients(suite, fraction):
    with pytest.raises(MedbenchError, match=r"expected a share of the patients in \(0, 1\]"):
        open_study(suite).run(task="chest", backbone=BASELINE, seed=1, fraction=fraction)


def test_a_number_is_the_same_run_however_it_is_written(suite):
    study = open_study(suite)
    for seed, fraction in ((1, 1.0), (1, 1), (np.int64(1), np.float32(1))):
        study.run(task="chest", backbone=BASELINE, seed=seed, fraction=fraction)
    assert len(trained(suite)) == 1


def test_a_cohort_of_a_domain_without_task_is_refused(suite):
    own = suite.parent / "mine"
    own.mkdir()
    (own / "domain").write_text("chest")
    (suite / "tasks/chest.yaml").unlink()
    for claim in (suite / "claims").iterdir():
        claim.write_text(claim.read_text().replace("[chest, mammography]", "[mammography]"))
    with pytest.raises(MedbenchError, match=r"domain is `chest`.*there are tasks for mammography"):
        open_study(suite, cohort=str(own))


def test_a_run_names_patients_and_images_by_hashes_unless_ids_are_shown(suite):
    asked = {"task": "chest", "backbone": BASELINE, "seed": 1}
    study, clear = open_study(suite), open_study(suite, show_ids=True)
    run, raw = (s.run(**asked).predictions("id") for s in (study, clear))
    assert all(patient.startswith("SECRET") for patient in raw.patient)
    for names in (run.patient, run.image):
        assert all(re.fullmatch("#[0-9a-f]{16}", name) for name in names)
    assert (run.patient == study.predictions(**asked).patient).all()
    assert "SECRET" not in repr(study.run(**asked))


def test_pseudonyms_keep_patients_apart_and_are_the_same_for_all_runs(suite):
    study = open_study(suite)
    one, two = (study.predictions(task="chest", backbone=BASELINE, seed=seed) for seed in (1, 2))
    assert (one.patient == two.patient).all()
    assert (one.image == two.image).all()
    raw = open_study(suite, show_ids=True).predictions(task="chest", backbone=BASELINE, seed=1)
    assert len(set(zip(raw.patient, one.patient, strict=True))) == len(set(raw.patient))


def test_only_runs_that_are_new_or_differ_become_reference_runs(suite):
    study = open_study(suite, expect="update")
    judgements = [study.judge("chest/scale-data/id")]
    assert (
        "1 item and 6 reference runs accepted"
        in accept(study, judgements, reason="first", date="2026-12-01")[0]
    )
    assert (
        "1 item and 0 reference runs accepted"
        in accept(study, judgements, reason="again", date="2026-12-02")[0]
    )
    assert all(map(study.references.get, study.plan(["chest/scale-data/id"]).runs))


def test_equal_values_in_other_bytes_are_the_same_run(suite):
    study = open_study(suite, expect="update")
    judgements = [study.judge("chest/scale-data/id")]
    accept(study, judgements, reason="first", date="2026-12-01")
    first, second, third, *_ = (study.references.path(s) for s in study.plan(["chest/scale-data/id"]).runs)
    rewrite(first, lambda table: table)
    rewrite(second, with_a_logit_moved)
    (third / "predictions/id.parquet").write_bytes(b"damaged")
    assert (
        "1 item and 2 reference runs accepted"
        in accept(study, judgements, reason="again", date="2026-12-02")[0]
    )


def rewrite(run, change):
    """Write predictions on `id` again, uncompressed, with the hash in the record."""
    file, record = run / "predictions/id.parquet", run / "record.json"
    before = hashlib.sha256(file.read_bytes()).hexdigest()
    pq.write_table(change(pq.read_table(file)), file, compression="none")
    after = hashlib.sha256(file.read_bytes()).hexdigest()
    assert before != after
    record.write_text(record.read_text().replace(before, after))


def with_a_logit_moved(table):
    index = table.column_names.index("logit/malignant")
    values = table[index].to_numpy().copy()
    values[7] += np.float32(1e-3)
    return table.set_column(index, "logit/malignant", pa.array(values))


def test_values_whose_runs_are_gone_are_not_accepted_without_provenance(suite):
    study = open_study(suite, expect="update")
    judgements = [study.judge("chest/scale-data/id")]
    record = next((suite.parent / "store/runs").iterdir())
    shutil.rmtree(record)
    with pytest.raises(MedbenchError, match=r"chest/scale-data/id: 1 of its 6 runs .* Nothing was accepted"):
        accept(study, judgements, reason="first", date="2026-12-01")
    assert not (suite.parent / "expectations").exists()


def test_a_run_that_failed_is_not_tried_again_by_the_same_study(suite):
    (suite.parent / "world.json").write_text(
        json.dumps({"gain": {}, "crash": f"chest · {BASELINE} · all patients · seed 1"})
    )
    study = open_study(suite)
    for _ in range(2):
        with pytest.raises(MedbenchError, match=r"seed 1: training diverged\."):
            study.run(task="chest", backbone=BASELINE, seed=1)
    assert len(trained(suite)) == 1
    with pytest.raises(MedbenchError, match="diverged"):
        open_study(suite).run(task="chest", backbone=BASELINE, seed=1)
    assert len(trained(suite)) == 2, "another session tries again"


def test_runs_of_real_patients_never_become_reference_runs(suite):
    own = suite.parent / "mine"
    own.mkdir()
    (own / "domain").write_text("chest")
    study = open_study(suite, cohort=str(own), expect="update")
    judgements = [study.judge("chest/scale-data/id")]
    assert (
        "1 item and 0 reference runs accepted"
        in accept(study, judgements, reason="first", date="2026-12-01")[0]
    )
    assert not (suite.parent / "expectations/embedded/runs").exists()


def test_reference_runs_serve_own_backbones_although_expectations_do_not(suite):
    study = open_study(suite, expect="update")
    accept(study, [study.judge("chest/scale-data/id")], reason="first", date="2026-12-01")
    shutil.rmtree(suite.parent / "store")
    own = open_study(suite, compare=False, backbones=("bit-large-r14x0.5", "bit-small-r14x0.5"))
    result = own.result("chest/scale-data/id")
    assert result.check.status == "no-expectation"
    assert sorted(run.origin for run in result.runs) == ["loaded"] * 4 + ["trained"] * 2


LONGER = """
  longer:
    kind: fixed
    description: as `tiny`, and longer
    deviations: []
    steps: 4
    batch_size: 2
    base_learning_rate: 0.003
    warmup_steps: 0
    decay_steps: []
    resize: 8
    crop: 8
"""


@pytest.fixture
def with_longer(suite):
    """The suite, with a baseline of `scale-data` under a recipe of its own that is always trained."""
    recipes, tiers, claim = suite / "recipes.yaml", suite / "tiers.yaml", suite / "claims/scale.yaml"
    recipes.write_text(recipes.read_text().rstrip() + LONGER)
    arm = "baseline: {upstream: small, architecture: r14x0.5"
    claim.write_text(claim.read_text().replace(arm, f"{arm}, recipe: longer"))
    always = "    sentinels: [1]\n"
    named = "    sentinel_backbones: [bit-small-r14x0.5+longer]\n"
    tiers.write_text(tiers.read_text().replace(always, always + named))
    return suite


def test_of_the_sentinels_only_the_named_arms_are_trained_although_they_could_be_loaded(with_longer):
    study = open_study(with_longer, expect="update")
    judged = [study.judge(item) for item in ("chest/scale-data/id", "chest/ood-robustness/icu")]
    accept(study, judged, reason="first", date="2026-12-01")
    shutil.rmtree(with_longer.parent / "store")
    again = open_study(with_longer)
    forecast = again.forecast(again.plan(["chest/scale-data/id", "chest/ood-robustness/icu"]))
    assert [spec.label for spec in forecast.to_train] == [
        "chest · bit-small-r14x0.5 · longer · all patients · seed 1"
    ]
    assert len(forecast.loaded) == 8, "three arms of three seeds"


def test_runs_are_told_in_the_words_of_the_session_not_of_when_they_were_made(with_longer):
    open_study(with_longer).judge("chest/scale-data/id")
    tiers = with_longer / "tiers.yaml"
    tiers.write_text(tiers.read_text().replace("recipe: tiny", "recipe: longer").replace("+longer", ""))
    study = open_study(with_longer)
    study.judge("chest/scale-data/id")
    labels = {run.label for run in study.origins("chest/scale-data/id")}
    assert "chest · bit-small-r14x0.5 · all patients · seed 1" in labels
    assert not any("longer" in label for label in labels)


def test_a_cohort_without_shifts_says_which_claims_it_leaves_out(suite):
    (suite.parent / "world.json").write_text(json.dumps({"gain": {}, "shifts": {"chest": []}}))
    (warning,) = open_study(suite).warnings
    assert warning == "phantoms:chest: declares no shift, so there is nothing to judge for ood-robustness"


def test_every_claim_says_what_it_asks_of_each_of_its_tasks(suite):
    asked = {(each.claim, each.task): each for each in open_study(suite).asked()}
    ood = asked["ood-robustness", "mammography"]
    assert ood.evaluation_sets == ["vendor-b", "dense"]
    assert ood.items == ["mammography/ood-robustness/vendor-b", "mammography/ood-robustness/dense"]
    assert (ood.attributes, ood.why_none) == ([], "")
    assert asked["scale-data", "chest"].items == ["chest/scale-data/id"]


def test_a_claim_without_items_says_why(suite):
    def why(**options):
        return {each.why_none for each in open_study(suite, **options).asked()}

    assert why(tier="private") == {"no cohort"}
    ood = suite / "claims" / "ood.yaml"
    one_tier = (
        ood.read_text().partition("  private:")[0] + "evaluate:" + ood.read_text().partition("evaluate:")[2]
    )
    ood.write_text(one_tier)
    assert why(tier="private") == {"no cohort"}
    mine = suite.parent / "mine"
    mine.mkdir()
    (mine / "domain").write_text("chest")
    assert why(tier="private", cohort=str(mine)) == {"", "no cohort", "it has no arms in tier private"}


def test_published_values_stand_beside_real_images_of_their_domain_alone(suite):
    (suite.parent / "expectations").mkdir(exist_ok=True)
    (suite.parent / "expectations" / "anchors.yaml").write_text(
        "".join(
            f"- {{set: a, domain: {domain}, model: b, metric: c, value: 0.8, source: d}}\n"
            for domain in ("chest", "dermatology")
        )
    )
    assert open_study(suite).anchors() == []
    mine = suite.parent / "mine"
    mine.mkdir()
    (mine / "domain").write_text("chest")
    assert [anchor.domain for anchor in open_study(suite, cohort=str(mine)).anchors()] == ["chest"]


def test_a_folder_that_a_task_names_is_relative_to_its_suite_wherever_one_stands(
    suite, monkeypatch, tmp_path
):
    mine = suite.parent / "mine"
    mine.mkdir()
    (mine / "domain").write_text("chest")
    task = suite / "tasks/chest.yaml"
    task.write_text(task.read_text().replace("phantoms:chest", "../mine"))
    monkeypatch.chdir(tmp_path)
    assert open_study(suite).cohorts["folder:mine"] == "chest"
