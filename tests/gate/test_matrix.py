"""The matrix of planted worlds: the shipped one fits the shipped suite, and what does not fit is named."""

import shutil
from pathlib import Path

import pytest

from medbench.data.sources import open_cohort
from medbench.errors import MedbenchError
from medbench.gate.matrix import FILE, matrix
from medbench.plan import items
from medbench.spec.suite import load_suite

SUITE = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def cohorts():
    return {name: open_cohort(f"phantoms:{name}") for name in ("chest", "mammography", "dermatology")}


@pytest.fixture
def read(cohorts, tmp_path):
    """Reads the shipped matrix with a text replaced, of the shipped suite or another."""

    def read(old="", new="", suite=SUITE):
        text = FILE.read_text()
        assert old in text
        file = tmp_path / "matrix.yaml"
        file.write_text(text.replace(old, new, 1) if old else text)
        suite = load_suite(suite)
        return matrix(suite, items(suite, tier="embedded", cohorts=cohorts), cohorts, file)

    return read


@pytest.fixture
def copied(tmp_path):
    return Path(shutil.copytree(SUITE, tmp_path / "benchmarks"))


def test_every_item_of_the_suite_is_in_one_cell_of_each_plant_or_its_claim_is_not_planted(read, cohorts):
    found, suite = read(), load_suite(SUITE)
    listed = {item.id: item.claim for item in items(suite, tier="embedded", cohorts=cohorts)}
    silent = {*found.declared.judged_as, *found.declared.not_planted}
    planted = {item for item, claim in listed.items() if claim not in silent}
    assert planted == {item.id for item in found.items}
    assert all(of_plant.keys() == planted for of_plant in found.cells.values())
    assert found.cells.keys() == {"subgroup", "shift", "miscalibrated"}
    assert silent | {listed[item] for item in planted} == suite.claims.keys()
    assert not silent & {listed[item] for item in planted}


def expected(found, plant, item):
    return found.cell(plant, item).expected


def test_claims_must_react_to_what_they_are_about_and_not_to_what_they_do_not_look_at(read):
    found = read()
    group, shift = found.declared.subgroup.at["chest"].attribute, found.declared.shift.at["chest"]
    assert (group, shift) == ("view", "icu")
    assert expected(found, "subgroup", "chest/fairness-gap/id/view") == "must"
    assert expected(found, "subgroup", "chest/fairness-gap/id/sex") == "may"
    assert expected(found, "subgroup", "chest/ood-robustness/icu") == "must-not"
    assert expected(found, "shift", "chest/ood-robustness/icu") == "must"
    assert expected(found, "shift", "chest/ood-robustness/hospital-b") == "must-not"
    assert expected(found, "shift", "chest/fairness-gap/id/view") == "must-not"
    assert expected(found, "miscalibrated", "chest/calibration-nll/hospital-b") == "must"
    assert expected(found, "miscalibrated", "chest/calibration-ece-tempered/hospital-b") == "must-not"


def test_ranks_of_seven_classes_may_change_by_a_factor_and_those_of_labels_must_not(read):
    found = read()
    for claim in ("scale-data/id", "uncertainty-selective/id"):
        of_tasks = {
            task: expected(found, "miscalibrated", f"{task}/{claim}")
            for task in ("chest", "mammography", "dermatology")
        }
        assert of_tasks == {"chest": "must-not", "mammography": "must-not", "dermatology": "may"}
    assert expected(found, "miscalibrated", "mammography/uncertainty-ood-detection/dense") == "must-not"
    assert expected(found, "miscalibrated", "chest/uncertainty-ood-detection/icu") == "may"


def test_a_claim_that_is_added_without_a_line_is_refused_with_its_file(read, copied):
    claim = (copied / "claims" / "scale-data.yaml").read_text()
    (copied / "claims" / "later.yaml").write_text(claim.replace("claim: scale-data", "claim: later"))
    with pytest.raises(MedbenchError) as error:
        read(suite=copied)
    assert str(error.value).startswith(f"{copied}/claims/later.yaml: nothing is declared of chest/later/id")
    assert "matrix.yaml, or claim `later` to its `not_planted`" in str(error.value)


def test_a_claim_of_other_arms_than_two_is_refused_with_its_file(read):
    with pytest.raises(MedbenchError) as error:
        read("  scale-trend: it compares four backbones, and worlds have two arms\n")
    assert "/claims/scale-trend.yaml: a simulated world has a baseline and a treatment" in str(error.value)
    assert "`scale-trend` has none, few, some, many. Add it to `not_planted` in" in str(error.value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[ood-robustness, ood-drop]", "[ood-robustnes, ood-drop]", "unknown claim `ood-robustnes`. Did you"),
        ("tasks: [mammography]", "tasks: [mamography]", "unknown task `mamography`. Did you"),
        (
            "{attribute: view, value: AP}",
            "{attribute: views, value: AP}",
            "unknown attribute `views`. Did you",
        ),
        (
            "{attribute: view, value: AP}",
            "{attribute: view, value: LL}",
            "unknown view `LL`. Expected `AP`, `PA`.",
        ),
        ("chest: icu", "chest: ward", "unknown shift `ward`. Expected `hospital-b`, `icu`."),
        ("    chest: icu\n", "", "`at` of `shift` lacks the task `chest`"),
        (
            "  convergence: it",
            "  convergense: it",
            "unknown claim `convergense`. Did you mean `convergence`?",
        ),
        ("transfer-gain: scale-data", "transfer-gain: scale-dat", "unknown claim `scale-dat`. Did you"),
        (
            "transfer-gain: scale-data",
            "transfer-gain: ood-robustness",
            "`transfer-gain` is not judged as `ood-robustness` is: their `evaluate` differ.",
        ),
        (
            "transfer-gain: scale-data",
            "transfer-gain: scale-architecture",
            "no world is simulated for `scale-architecture` either.",
        ),
        ("expected: must\n", "expected: should\n", "unknown value `should`"),
        (
            "[ood-robustness, ood-drop]",
            "[ood-robustness, ood-drop, calibration-nll]",
            "two cells of `shift`, in lines",
        ),
    ],
)
def test_a_wrong_line_is_named(read, old, new, message):
    with pytest.raises(MedbenchError, match=r"matrix\.yaml:\d+: ") as error:
        read(old, new)
    assert message in str(error.value)


def test_a_cell_that_holds_no_item_is_refused(read):
    cell = "    - {claims: [scale-data], on: other, expected: may, reason: none}\n"
    with pytest.raises(MedbenchError, match="no item of `scale-data` is in this cell of `miscalibrated`"):
        read("judged_as:\n", f"{cell}judged_as:\n")


def test_an_item_in_no_cell_is_refused(read):
    with pytest.raises(MedbenchError, match="nothing is declared of chest/scale-data/id in worlds with"):
        read("[scale-data, fairness-gap, ", "[fairness-gap, ")
