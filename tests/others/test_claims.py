import shutil
from pathlib import Path

import pytest
from sklearn.metrics import roc_auc_score

from medbench.errors import MedbenchError
from medbench.others.claims import judge_claims
from medbench.others.folder import open_folder
from medbench.spec.suite import load_suite
from tests.others.scored import DECLARED, examples, write_folder, write_rows

SUITE = Path(__file__).parents[1] / "suites" / "good"


@pytest.fixture
def judge(tmp_path):
    def judge(**options):
        folder = write_folder(tmp_path / "theirs", **options)
        return judge_claims(open_folder(folder), load_suite(SUITE))

    return judge


def test_every_claim_of_the_domain_is_judged_on_every_set_that_it_asks_for(judge):
    judged, refused, notes = judge()
    assert [item.id for item in judged] == ["clinic-a/ood-robustness/vendor-b", "clinic-a/scale-data/id"]
    assert {item.verdict for item in judged} == {"supported"}
    assert (refused, notes) == ([], [])
    item = judged[1]
    assert item.arms == {"baseline": "net-small", "treatment": "net-large"}
    assert item.metric == "roc_auc@1"
    assert (item.n_patients, item.n_images, item.n_seeds) == (80, 160, 3)
    assert item.groups == {"density": ["a", "b", "c", "d"]}
    assert not item.generated


def test_probabilities_give_the_verdict_and_the_effect_of_their_logits(judge):
    from_logits, from_probabilities = judge()[0][1], judge(score="probability")[0][1]
    assert from_probabilities.verdict == from_logits.verdict
    assert from_probabilities.effect.value == pytest.approx(from_logits.effect.value)


def test_arms_the_other_way_round_are_refuted(judge):
    declared = DECLARED + "arms: {baseline: net-large, treatment: net-small}\n"
    judged, _, _ = judge(declared=declared)
    assert {item.verdict for item in judged} == {"refuted"}
    assert {item.arms["baseline"] for item in judged} == {"net-large"}


def test_backbones_that_no_claim_compares_are_told_with_what_it_compares(judge):
    judged, refused, _ = judge(declared=DECLARED.replace("upstream: large", "upstream: radiographs"))
    assert judged == []
    assert [(no.claim, no.reason) for no in refused] == [
        (claim, "no such arms: it compares small-r14x0.5 with large-r14x0.5 (upstream and architecture)")
        for claim in ("ood-robustness", "scale-data")
    ]


def test_without_shifts_a_claim_about_shifts_is_told_apart(judge):
    judged, refused, _ = judge(declared=DECLARED.replace("shifts: [vendor-b]\n", ""), sets=("id",))
    assert [item.claim for item in judged] == ["scale-data"]
    assert [(no.claim, no.reason) for no in refused] == [
        ("ood-robustness", "no such evaluation set: no shift is declared")
    ]


def test_a_set_that_was_not_scored_is_named(judge):
    judged, (refused,), _ = judge(sets=("vendor-b",))
    assert [item.evaluation_set for item in judged] == ["vendor-b"]
    assert (refused.claim, refused.evaluation_set) == ("scale-data", "id")
    assert (
        refused.reason
        == "no such evaluation set: roc_auc needs `id`, and net-small has no run scored on that"
    )


def test_one_seed_is_not_judged(judge):
    judged, refused, _ = judge(seeds=(4,))
    assert judged == []
    assert {no.reason for no in refused} == {
        "one seed (4) in all arms: the noise of training is unknown, three are needed"
    }


def suite_with(folder, metric):
    """The suite, its claim about shifts made one about another metric."""
    shutil.copytree(SUITE, folder)
    (folder / "metrics.yaml").write_text("metrics:\n  scaled_nll: {kind: nll, temperature: true}\n")
    claim = folder / "claims" / "ood.yaml"
    claim.write_text(claim.read_text().replace("metric: primary", f"metric: {metric}"))
    return load_suite(folder)


@pytest.mark.parametrize(
    ("metric", "needed"),
    [("ood_auroc", "`id` and `vendor-b`"), ("scaled_nll", "`validation` and `vendor-b`")],
)
def test_a_metric_that_looks_at_other_sets_needs_them_too(tmp_path, metric, needed):
    suite = suite_with(tmp_path / "suite", metric)
    root = write_folder(tmp_path / "theirs", sets=("vendor-b",))
    _, refused, _ = judge_claims(open_folder(root), suite)
    assert f"no such evaluation set: {metric} needs {needed}, and net-small has no run" in refused[0].reason
    judged, refused, _ = judge_claims(
        open_folder(write_folder(root, sets=("id", "validation", "vendor-b"))), suite
    )
    assert refused == []
    assert judged[0].effect is not None


def test_every_value_is_that_of_its_own_file(judge):
    for item in judge()[0]:
        for arm, gain in (("baseline", 0.0), ("treatment", 1.5)):
            for seed, value in item.samples[arm].items():
                rows = examples(gain, seed)
                labels, logits = ([row[f"{of}/malignant"] for row in rows] for of in ("label", "logit"))
                assert value == pytest.approx(roc_auc_score(labels, logits), abs=1e-6)


def test_seeds_of_one_arm_alone_are_left_out_and_told(judge, tmp_path):
    for evaluation_set in ("id", "vendor-b"):
        path = tmp_path / "theirs" / "net-large" / "seed-7" / f"{evaluation_set}.csv"
        write_rows(path, examples(1.5, 7))
    judged, _, notes = judge()
    assert {item.n_seeds for item in judged} == {3}
    assert notes == [
        f"clinic-a/{item}: seeds 7 of net-large have no counterpart and are left out"
        for item in ("ood-robustness/vendor-b", "scale-data/id")
    ]


def test_arms_without_a_common_seed_are_not_paired(tmp_path, judge):
    root = write_folder(tmp_path / "theirs", seeds=(1, 2), sets=("id",))
    for seed in (1, 2):
        (root / "net-large" / f"seed-{seed}").rename(root / "net-large" / f"seed-{seed + 5}")
    judged, refused, _ = judge_claims(open_folder(root), load_suite(SUITE))
    assert judged == []
    assert refused[1].reason == (
        "no seed in all arms: seeds are 1, 2 of net-small and 6, 7 of net-large, "
        "and arms are compared seed by seed"
    )


def test_claims_about_other_domains_are_told(judge):
    with pytest.raises(
        MedbenchError, match=r"no task of the domain `dermatology`. It has chest, mammography"
    ):
        judge(declared=DECLARED.replace("domain: mammography", "domain: dermatology"))


def test_what_stands_in_for_patients_is_kept_with_the_verdict(judge):
    judged, _, _ = judge(declared=DECLARED + "cluster: lesion\n")
    assert {item.cluster for item in judged} == {"lesion"}
