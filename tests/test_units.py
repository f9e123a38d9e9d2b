"""Images joined to breasts and breasts to patients, against loops over rows and by hand."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medbench.errors import MedbenchError
from medbench.predictions import Predictions
from medbench.spec.runs import Target
from medbench.spec.units import Unit
from medbench.units import in_words, joined

BINARY = Target(kind="single-label", classes=("benign", "malignant"))
FINDINGS = Target(kind="multi-label", classes=("nodule", "effusion", "pneumonia"))
BREAST = Unit(by=["patient", "laterality"], over="mean")
PATIENT = Unit(by=["patient"], over="max")
SCREENING = [BREAST, PATIENT]


def predictions(labels, logits, *, patients, target=BINARY, **attributes):
    n = len(labels)
    return Predictions(
        evaluation_set="id",
        target=target,
        image=np.array([f"i{i}" for i in range(n)], dtype=np.str_),
        patient=np.array(patients, dtype=np.str_),
        labels=np.array(labels, dtype=np.int8).reshape(n, -1),
        logits=np.array(logits, dtype=np.float32).reshape(n, -1),
        attributes={name: np.array(values, dtype=np.str_) for name, values in attributes.items()},
    )


def binary(positive, log_odds, **more):
    """Of two classes; a label of -1 is unknown."""
    labels = [{0: (1, 0), 1: (0, 1), -1: (-1, -1)}[label] for label in positive]
    return predictions(labels, [(0.0, odds) for odds in log_odds], **more)


EXAM = binary(
    [0, 0, 1, 0, 0, 0, 0, 0],
    [-3.0, -1.0, 2.0, 0.0, -2.0, -2.0, -1.0, 0.5],
    patients=["a", "a", "a", "a", "b", "b", "b", "b"],
    laterality=["L", "L", "R", "R", "L", "L", "R", "R"],
    view=["CC", "MLO"] * 4,
    density=["b"] * 4 + ["d"] * 4,
)
"""Two screening exams; patient a has a finding on one view of the right breast."""


def log_odds(found):
    return (found.logits[:, 1] - found.logits[:, 0]).tolist()


def test_views_join_to_the_mean_of_a_breast_and_breasts_to_the_more_suspicious_of_a_patient():
    breasts = joined(EXAM, [BREAST])
    assert log_odds(breasts) == [-2.0, 1.0, -2.0, -0.25]
    assert breasts.labels.tolist() == [[1, 0], [0, 1], [1, 0], [1, 0]]
    assert breasts.patient.tolist() == ["a", "a", "b", "b"]
    assert breasts.attributes["laterality"].tolist() == ["L", "R", "L", "R"]
    patients = joined(EXAM, SCREENING)
    assert log_odds(patients) == [1.0, -0.25]
    assert patients.labels.tolist() == [[0, 1], [1, 0]]
    assert patients.patient.tolist() == ["a", "b"]


def test_a_unit_is_named_by_its_first_image_and_comes_where_that_one_came():
    shuffled = rows(EXAM, [6, 0, 5, 2, 1, 3, 7, 4])
    breasts = joined(shuffled, [BREAST])
    assert breasts.image.tolist() == ["i6", "i0", "i5", "i2"]
    assert breasts.patient.tolist() == ["b", "a", "b", "a"]
    assert log_odds(breasts) == [-0.25, -2.0, -2.0, 1.0]
    assert joined(shuffled, SCREENING).image.tolist() == ["i6", "i0"]


def test_an_attribute_stays_if_it_is_the_same_within_most_units():
    assert set(joined(EXAM, [BREAST]).attributes) == {"laterality", "density"}, "a breast has several views"
    whole = joined(EXAM, SCREENING)
    assert {name: values.tolist() for name, values in whole.attributes.items()} == {"density": ["b", "d"]}
    one_differs = replace(EXAM, attributes={**EXAM.attributes, "density": np.array(["b"] * 7 + ["d"])})
    assert joined(one_differs, [BREAST]).attributes["density"].tolist() == ["b", "b", "b", ""]
    assert "density" not in joined(one_differs, [PATIENT]).attributes, "half of the patients have several"


def test_views_of_a_side_that_is_not_recorded_are_not_averaged_over_both_breasts():
    sides = replace(EXAM, attributes={**EXAM.attributes, "laterality": np.array([""] * 8)})
    assert log_odds(joined(sides, SCREENING)) == [2.0, 0.5]


def test_a_patient_of_two_densities_does_not_take_the_density_off_all():
    patients, density = np.repeat([f"p{i}" for i in range(40)], 2), np.repeat(["a", "b"] * 20, 2)
    density[1] = "b"
    found = joined(binary([0] * 80, [0.0] * 80, patients=patients, density=density), [PATIENT])
    assert found.attributes["density"].tolist() == ["", *(["b", "a"] * 20)[:39]]


def test_the_evaluation_set_and_the_target_stay():
    assert joined(EXAM, SCREENING).evaluation_set == "id"
    assert joined(EXAM, SCREENING).target is BINARY


def test_without_units_images_are_scored():
    assert joined(EXAM, []) is EXAM


@pytest.mark.parametrize("over", ["mean", "max"])
@pytest.mark.parametrize("target", [BINARY, FINDINGS], ids=lambda target: target.kind)
def test_units_of_a_single_image_are_those_images(target, over):
    draw = np.random.default_rng(0)
    labels = draw.integers(-1, 2, (5, 3)) if target is FINDINGS else np.eye(2)[[0, 1, 1, 0, 1]]
    one_each = predictions(
        labels,
        draw.normal(size=labels.shape),
        patients=["c", "a", "e", "b", "d"],
        target=target,
        sex=["f", "m", "", "f", "m"],
    )
    found = joined(one_each, [Unit(by=["patient"], over=over)])
    assert one_each.difference(found) == ""
    np.testing.assert_array_equal(found.logits, one_each.logits)
    assert (found.labels.dtype, found.logits.dtype) == (np.int8, np.float32)


@pytest.mark.parametrize(
    ("of_images", "of_unit"),
    [
        ([0, 0], 0),
        ([0, 1], 1),
        ([1, 1], 1),
        ([-1, -1], -1),
        ([0, -1], -1),
        ([-1, 0, 0], -1),
        ([-1, 1], 1),
        ([0, -1, 1], 1),
    ],
)
def test_a_finding_is_there_if_any_image_shows_it_and_unknown_if_none_does_and_one_is(of_images, of_unit):
    n = len(of_images)
    found = joined(binary(of_images, [0.0] * n, patients=["a"] * n), [PATIENT])
    assert found.labels.tolist() == {0: [[1, 0]], 1: [[0, 1]], -1: [[-1, -1]]}[of_unit]
    other = {0: 1, 1: 0, -1: 0}[of_unit]
    labels = [(label, other, 0) for label in of_images]
    several = predictions(labels, np.zeros((n, 3)), patients=["a"] * n, target=FINDINGS)
    assert joined(several, [PATIENT]).labels.tolist() == [[of_unit, other, 0]]


def test_each_of_several_labels_has_its_own_most_suspicious_image():
    exam = predictions(
        [(1, 0, 0), (0, 0, -1)], [(2.0, -5.0, 0.0), (1.0, 3.0, -1.0)], patients=["a", "a"], target=FINDINGS
    )
    assert joined(exam, [PATIENT]).logits.tolist() == [[2.0, 3.0, 0.0]]


def test_of_two_classes_the_most_suspicious_image_keeps_both_its_logits():
    exam = predictions([(1, 0)] * 3, [(5.0, 6.0), (-3.0, 0.0), (9.0, 8.0)], patients=["a"] * 3)
    assert joined(exam, [PATIENT]).logits.tolist() == [[-3.0, 0.0]], "its log odds are 3, the largest"
    tied = predictions([(1, 0)] * 2, [(1.0, 3.0), (4.0, 6.0)], patients=["a"] * 2)
    assert joined(tied, [PATIENT]).logits.tolist() == [[4.0, 6.0]], "of equal ones the larger"


def test_a_mean_is_summed_in_sixty_four_bits():
    exam = binary([0] * 3, [1e8, 1.0, -1e8], patients=["a"] * 3)
    assert log_odds(joined(exam, [Unit(by=["patient"], over="mean")])) == [np.float32(1 / 3)]


@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("over", ["mean", "max"])
@pytest.mark.parametrize("column", [0, 1])
@pytest.mark.parametrize("target", [BINARY, FINDINGS], ids=lambda target: target.kind)
def test_a_logit_that_is_not_finite_is_not_hidden_by_others_of_its_unit(target, column, over, broken):
    width = len(target.classes)
    logits = np.zeros((4, width))
    logits[1:3] = 5.0, *[-5.0] * (width - 1)
    logits[1, column] = broken
    exam = predictions(np.eye(width)[[0] * 4], logits, patients=["a", "a", "a", "b"], target=target)
    for units in ([Unit(by=["patient"], over=over)], [Unit(by=["patient"], over="mean"), PATIENT]):
        finite = np.isfinite(joined(exam, units).logits).all(axis=1)
        assert finite.tolist() == [False, True]


def test_several_classes_of_which_one_is_true_are_not_joined():
    three = Target(kind="single-label", classes=("naevus", "melanoma", "wart"))
    lesion = predictions(np.eye(3)[[0, 1]], np.zeros((2, 3)), patients=["a", "a"], target=three)
    with pytest.raises(MedbenchError) as caught:
        joined(lesion, [BREAST])
    assert str(caught.value) == (
        "3 classes of which one is true cannot be joined by patient and laterality; expected several "
        "labels, or two classes. Score images instead."
    )


def test_an_attribute_that_is_not_there_is_named_with_the_nearest():
    with pytest.raises(MedbenchError) as caught:
        joined(EXAM, [Unit(by=["patient", "lateralty"], over="mean")])
    assert str(caught.value) == "no attribute `lateralty` to join images by. Did you mean `laterality`?"
    with pytest.raises(MedbenchError, match="no attribute `laterality` to join images by"):
        joined(EXAM, [PATIENT, BREAST])


def test_values_that_read_alike_when_put_together_are_different_units():
    exam = binary([0, 1], [0.0, 1.0], patients=["a", "ab"], laterality=["bL", "L"])
    assert len(joined(exam, [BREAST])) == 2


def test_steps_in_words():
    assert in_words([]) == "image"
    assert in_words(SCREENING) == "mean by patient and laterality, max by patient"


# Against loops over rows.


def rows(found, order):
    """The same predictions with these rows."""
    return replace(
        found,
        image=found.image[order],
        patient=found.patient[order],
        labels=found.labels[order],
        logits=found.logits[order],
        attributes={name: values[order] for name, values in found.attributes.items()},
    )


def joined_by_loops(found, units):
    """The same, one row after another: (image, patient, labels, logits, attributes) of each unit."""
    multi_label = found.target.kind == "multi-label"
    table = [
        (
            str(found.image[i]),
            {"patient": str(found.patient[i]), **{k: str(v[i]) for k, v in found.attributes.items()}},
            found.labels[i].tolist(),
            found.logits[i].tolist(),
        )
        for i in range(len(found))
    ]
    for unit in units:
        members = {}
        for i, row in enumerate(table):
            key = tuple(row[1][name] for name in unit.by)
            members.setdefault(key if all(key) else i, []).append(row)

        def one_value(name, group):
            values = {row[1][name] for row in group}
            return values.pop() if len(values) == 1 else None

        alike = {name: [one_value(name, m) is not None for m in members.values()] for name in table[0][1]}
        kept = [name for name, of_units in alike.items() if sum(of_units) > len(of_units) / 2]
        table = [
            (
                group[0][0],
                {name: one_value(name, group) or "" for name in kept},
                label_of([row[2] for row in group], multi_label=multi_label),
                logits_of([row[3] for row in group], unit.over, multi_label=multi_label),
            )
            for group in members.values()
        ]
    return table


def label_of(labels, *, multi_label):
    of_each = [1 if 1 in column else -1 if -1 in column else 0 for column in zip(*labels, strict=True)]
    return of_each if multi_label else {0: [1, 0], 1: [0, 1], -1: [-1, -1]}[of_each[1]]


def logits_of(logits, over, *, multi_label):
    columns = list(zip(*logits, strict=True))
    if over == "mean":
        return [float(np.float32(sum(column) / len(column))) for column in columns]
    if multi_label:
        return [max(column) for column in columns]
    return max(logits, key=lambda row: (row[1] - row[0], row[1]))


@st.composite
def exams(draw):
    """Images of few patients, with ties, doubt, and attributes that may differ within a patient."""
    n = draw(st.integers(1, 12))
    target = draw(st.sampled_from([BINARY, FINDINGS]))

    def column(values):
        return draw(st.lists(st.sampled_from(values), min_size=n, max_size=n))

    if target is BINARY:
        labels = [{0: (1, 0), 1: (0, 1), -1: (-1, -1)}[label] for label in column([0, 1, -1])]
    else:
        labels = list(zip(*(column([0, 1, -1]) for _ in target.classes), strict=True))
    logits = list(zip(*(column([-2.5, -1.0, 0.0, 0.5, 3.0]) for _ in target.classes), strict=True))
    patients = column(["a", "b", "c"])
    return predictions(
        labels,
        logits,
        patients=patients,
        target=target,
        laterality=column(["L", "R", ""]),
        site=[{"a": "x", "b": "x", "c": "y"}[patient] for patient in patients],
    )


steps = st.sampled_from(
    [
        [BREAST],
        [PATIENT],
        SCREENING,
        [Unit(by=["laterality", "patient"], over="max"), Unit(by=["patient"], over="mean")],
        [Unit(by=["patient", "site"], over="mean")],
    ]
)


@settings(deadline=None)
@given(exam=exams(), units=steps)
def test_units_are_those_of_loops_over_rows(exam, units):
    found = joined(exam, units)
    names = set(found.attributes)
    as_table = [
        (
            str(found.image[i]),
            {"patient": str(found.patient[i]), **{name: str(found.attributes[name][i]) for name in names}},
            found.labels[i].tolist(),
            found.logits[i].tolist(),
        )
        for i in range(len(found))
    ]
    assert as_table == joined_by_loops(exam, units)


@settings(deadline=None)
@given(exam=exams(), units=steps, data=st.data())
def test_the_order_of_images_does_not_matter(exam, units, data):
    order = np.array(data.draw(st.permutations(range(len(exam)))))
    first, other = joined(exam, units), joined(rows(exam, order), units)

    def by_unit(found):
        more = found.attributes.get("laterality", found.patient)
        odds = found.logits[:, 1] - found.logits[:, 0]
        return sorted(
            (str(found.patient[i]), str(more[i]), found.labels[i].tolist(), float(odds[i]))
            for i in range(len(found))
        )

    assert set(first.attributes) == set(other.attributes)
    if exam.target is FINDINGS:
        assert sorted(first.logits.tolist()) == sorted(other.logits.tolist())
    assert by_unit(first) == by_unit(other)


@given(exam=exams())
def test_joining_twice_is_joining_once(exam):
    once, again = joined(exam, SCREENING[1:]), joined(exam, SCREENING[1:] * 2)
    assert once.difference(again) == ""
    np.testing.assert_array_equal(once.logits, again.logits)
