"""Metrics that a suite declares, from its YAML to the report of a pytest run."""

import pytest

from tests.suites.project import Project

pytest_plugins = ["pytester"]

METRICS = """\
metrics:
  tempered: {kind: ece, temperature: true}
  worst-sex: {kind: worst_group, of: accuracy, attributes: [sex]}
  of-lump: {kind: roc_auc, label: malign}
  by-gender: {kind: group_gap, of: roc_auc, attributes: [sexes]}
"""


@pytest.fixture
def judged(pytester, monkeypatch):
    """The claims about one task by item, once the claims go by a metric of the suite's own."""

    def run(metric, *claims):
        project = Project(pytester, monkeypatch)
        (project.suite / "metrics.yaml").write_text(METRICS)
        for claim in claims or ("ood", "scale"):
            project.edit(f"claims/{claim}.yaml", "metric: primary", f"metric: {metric}")
        report, _ = project.report("-k", "chest")
        return {claim["id"].partition("/")[2]: claim for claim in report["claims"]}

    return run


def test_a_declared_metric_is_judged_under_its_identity(judged):
    for claim in judged("worst-sex").values():
        assert claim["state"] == "judged"
        assert claim["metric"] == "worst_group/of-top_k/1@1-by-sex-from-20@1"


def test_what_is_fitted_on_the_validation_set_is_judged_too(judged):
    for claim in judged("tempered").values():
        assert claim["state"] == "judged"
        assert claim["metric"] == "ece/equal-width-15-temperature@1"


def test_telling_a_shift_from_home_is_judged_on_the_shift(judged):
    claims = judged("ood_auroc", "ood")
    assert claims["ood-robustness/icu"]["state"] == "judged"
    assert claims["ood-robustness/icu"]["n_images"] == 600


@pytest.mark.parametrize(
    ("metric", "said"),
    [
        ("of-lump", "the target has no label `malign`. Did you mean `malignant`?"),
        ("by-gender", "Did you mean `sex`?"),
    ],
)
def test_what_a_cohort_lacks_leaves_its_items_missing_and_names_the_nearest(judged, metric, said):
    for claim in judged(metric).values():
        assert claim["state"] == "missing"
        assert said in claim["reason"]
