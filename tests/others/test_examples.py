import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, log_softmax

from medbench.errors import MedbenchError
from medbench.others.examples import _above_zero, in_words, read_examples
from medbench.spec.runs import Target
from tests.others.scored import CLASSES, examples, write_rows

BINARY = Target(kind="single-label", classes=CLASSES)
FINDINGS = Target(kind="multi-label", classes=("edema", "effusion"))


def finding(image, p, labels=(1, 0), prefix="probability/"):
    row = {"image": image, "patient": image, "label/edema": labels[0], "label/effusion": labels[1]}
    return {**row, **{prefix + name: value for name, value in zip(FINDINGS.classes, p, strict=True)}}


@pytest.fixture
def read(tmp_path):
    def read(rows, target=BINARY):
        return read_examples(write_rows(tmp_path / "id.csv", rows), target, "id")

    return read


def test_a_csv_file_is_read_by_name_of_the_image(read):
    rows = examples(1.0, seed=1)
    predictions, moved = read(rows[::-1])
    assert moved == 0
    assert predictions.evaluation_set == "id"
    assert predictions.image.tolist() == [row["image"] for row in rows]
    assert predictions.patient.tolist() == [row["patient"] for row in rows]
    assert predictions.labels[:, 1].tolist() == [row["label/malignant"] for row in rows]
    assert predictions.logits[:, 1] == pytest.approx([row["logit/malignant"] for row in rows])
    assert predictions.logits.dtype == np.float32
    assert predictions.attributes["density"].tolist() == [row["attribute/density"] for row in rows]


def test_parquet_says_the_same_as_csv(read, tmp_path):
    rows = examples(1.0, seed=1)
    expected, _ = read(rows)
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "id.parquet")
    found, _ = read_examples(tmp_path / "id.parquet", BINARY, "id")
    for name in ("image", "patient", "labels", "logits"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
    assert found.attributes["density"].tolist() == expected.attributes["density"].tolist()


def test_probabilities_that_exclude_each_other_become_log_probabilities(read):
    logits, _ = read(examples(1.0, seed=1))
    log_p, moved = read(examples(1.0, seed=1, score="probability"))
    assert moved == 0
    np.testing.assert_allclose(log_p.logits, log_softmax(logits.logits, axis=1), rtol=1e-5, atol=1e-5)


def test_probabilities_that_do_not_become_log_odds(read):
    predictions, moved = read([finding("a", (0.25, 0.5)), finding("b", (0.9, 1e-30))], FINDINGS)
    assert moved == 0
    np.testing.assert_allclose(
        predictions.logits, [[np.log(1 / 3), 0], [np.log(9), np.log(1e-30)]], rtol=1e-5
    )


def test_probabilities_of_0_and_1_are_moved_inside_and_counted(read):
    rows = [finding("a", (0, 1)), finding("b", (1e-9, 0.5)), finding("c", (1, 1 - 1e-12))]
    predictions, moved = read(rows, FINDINGS)
    assert moved == 3
    edema, effusion = predictions.logits.T
    assert np.isfinite(predictions.logits).all()
    assert edema[0] < edema[1] < edema[2]
    assert effusion[1] < effusion[2] <= effusion[0]


def test_a_certain_call_of_one_of_two_classes_stays_finite(read):
    rows = [
        {
            "image": name,
            "patient": name,
            "label/benign": 1,
            "label/malignant": 0,
            "probability/benign": p,
            "probability/malignant": 1 - p,
        }
        for name, p in (("a", 1.0), ("b", 0.75), ("c", 0.0))
    ]
    predictions, moved = read(rows)
    assert moved == 4
    odds = predictions.logits[:, 0] - predictions.logits[:, 1]
    assert odds[0] == pytest.approx(np.log(1e7), rel=1e-3)
    assert odds[1] == pytest.approx(np.log(3))
    assert odds[2] == pytest.approx(-np.log(1e7), rel=1e-3)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_what_is_moved_above_zero_stays_below_the_rest(values):
    p = np.array(values)
    moved = _above_zero(p)
    assert (moved > 0).all() or p[p > 0].min(initial=1) < 1e-300  # half the smallest number there is
    for i in range(len(p)):
        assert ((p[i] < p) <= (moved[i] <= moved)).all()
    np.testing.assert_array_equal(moved[p > 0], p[p > 0])
    assert (moved[p == 0] <= 1e-7).all()


@pytest.mark.parametrize(
    ("column", "cell", "message"),
    [
        ("image", "", "row 4: column `image` is empty."),
        ("patient", "", "row 4: column `patient` is empty."),
        (
            "image",
            "i000-0",
            "rows 2, 4: the same image. Every image of a set is scored exactly once.",
        ),
        ("logit/malignant", "", "row 4: expected a number in column `logit/malignant`, found ``."),
        ("logit/malignant", "1_0", "row 4: expected a number in column `logit/malignant`, found `1_0`."),
        ("logit/malignant", "high", "row 4: expected a number in column `logit/malignant`, found `high`."),
        (
            "logit/malignant",
            "nan",
            "row 4: expected finite numbers in column `logit/malignant`, found `nan`.",
        ),
        (
            "logit/malignant",
            "-inf",
            "row 4: expected finite numbers in column `logit/malignant`, found `-inf`.",
        ),
        ("logit/malignant", "1e300", "row 4: logits are too large for 32-bit numbers."),
        ("label/malignant", "1", "row 4: expected exactly one label 1 and the others 0"),
        ("label/malignant", "-1", "row 4: expected exactly one label 1 and the others 0"),
        ("label/malignant", "yes", "row 4: expected a number in column `label/malignant`, found `yes`."),
    ],
)
def test_a_cell_that_means_nothing_is_told_with_its_row(read, column, cell, message):
    rows = examples(1.0, seed=1)[4:8]
    rows = [*examples(1.0, seed=1)[:1], *rows]
    assert rows[2]["label/malignant"] == 0
    rows[2] = {**rows[2], "label/benign": 1, column: cell}
    with pytest.raises(MedbenchError, match=re.escape(message)):
        read(rows)


@pytest.mark.parametrize(
    ("p", "labels", "message"),
    [
        ((1.5, 0.5), (1, 0), "row 2: a probability lies outside 0 and 1. Are these logits?"),
        ((-0.1, 0.5), (1, 0), "row 2: a probability lies outside 0 and 1."),
        ((0.1, 0.5), (2, 0), "row 2: expected labels of 0, 1, or -1 where unknown."),
        ((0.1, 0.5), (0.5, 0), "row 2: expected labels of 0, 1, or -1 where unknown."),
    ],
)
def test_what_several_labels_allow_is_checked(read, p, labels, message):
    with pytest.raises(MedbenchError, match=re.escape(message)):
        read([finding("a", p, labels)], FINDINGS)
    assert read([finding("a", (0.1, 0.5), (-1, 0))], FINDINGS)[0].labels.tolist() == [[-1, 0]]


def test_probabilities_that_do_not_add_up_are_refused(read):
    rows = [
        {**row, "probability/benign": 0.4, "probability/malignant": 0.5}
        for row in examples(1.0, 1, score="probability")[:1]
    ]
    with pytest.raises(MedbenchError, match=r"row 2: probabilities add up to 0.9, not 1"):
        read(rows)


def without(name):
    return [{key: cell for key, cell in row.items() if key != name} for row in examples(1.0, 1)[:2]]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (without("patient"), "no column `patient`."),
        (without("label/benign"), "no column `label/benign`."),
        (without("logit/benign"), "no column `logit/benign`."),
        (
            [{**row, "label/maligant": 0} for row in without("label/malignant")],
            "no column `label/malignant`. Did you mean `label/maligant`?",
        ),
        (
            [{**row, "logits/benign": 0} for row in examples(1.0, 1)[:2]],
            "unknown column `logits/benign`. Did you mean `logit/benign`?",
        ),
        (
            [{**row, "probability/benign": 0} for row in examples(1.0, 1)[:2]],
            "expected either columns `logit/<class>` or `probability/<class>`, found both.",
        ),
        ([{"image": "a", "patient": "b"}], "or `probability/<class>`, found neither."),
    ],
)
def test_a_wrong_set_of_columns_is_told(read, rows, message):
    with pytest.raises(MedbenchError, match=re.escape(message)):
        read(rows)


def test_a_parquet_file_with_holes_or_without_rows_and_a_broken_one_are_told(tmp_path):
    path = tmp_path / "id.parquet"
    rows = examples(1.0, 1)[:3]
    pq.write_table(pa.Table.from_pylist([rows[0], {**rows[1], "logit/benign": None}]), path)
    with pytest.raises(
        MedbenchError, match="row 2: expected finite numbers in column `logit/benign`, found `None`"
    ):
        read_examples(path, BINARY, "id")
    pq.write_table(pa.Table.from_pylist(rows).slice(0, 0), path)
    with pytest.raises(MedbenchError, match="no rows"):
        read_examples(path, BINARY, "id")
    path.write_bytes(b"PAR1")
    with pytest.raises(MedbenchError, match="not a Parquet file that can be read"):
        read_examples(path, BINARY, "id")


def with_attribute(value_of, n_patients=40):
    """Rows with another attribute, by the number of the patient and of the image."""
    rows = examples(1.0, 1, n_patients=n_patients)
    return [{**row, "attribute/who": value_of(i // 2, i % 2, row)} for i, row in enumerate(rows)]


@pytest.mark.parametrize(
    ("value_of", "n_patients", "alone"),
    [
        (lambda patient, image, row: row["patient"], 40, "40 of 40"),
        (lambda patient, image, row: row["patient"], 2, "2 of 2"),
        (lambda patient, image, row: f"record {patient}", 40, "40 of 40"),
        (lambda patient, image, row: f"{patient}/{image}", 40, "40 of 40"),
        (lambda patient, image, row: f"record {patient}" if patient % 2 else "", 40, "20 of 20"),
        (lambda patient, image, row: 20 + patient if patient < 21 else "old", 40, "21 of 40"),
    ],
    ids=["ids", "ids of two", "other ids", "ids of images", "ids of some", "many alone"],
)
def test_an_attribute_that_says_who_a_patient_is_is_refused_and_not_quoted(read, value_of, n_patients, alone):
    with pytest.raises(MedbenchError) as error:
        read(with_attribute(value_of, n_patients))
    assert f"id.csv: column `attribute/who` gives {alone} patients a value that nobody else has" in str(
        error.value
    )
    assert "record" not in str(error.value)
    assert "p000" not in str(error.value)


@pytest.mark.parametrize(
    ("value_of", "n_patients"),
    [
        (lambda patient, image, row: f"type {patient}", 10),
        (lambda patient, image, row: 20 + patient if patient < 20 else "old", 40),
        (lambda patient, image, row: 20 + patient % 20, 40),
        (lambda patient, image, row: "", 40),
    ],
    ids=["few patients", "half alone", "ages of two each", "nothing recorded"],
)
def test_an_attribute_whose_groups_hide_most_patients_is_read(read, value_of, n_patients):
    rows = with_attribute(value_of, n_patients)
    predictions, _ = read(rows)
    assert predictions.attributes["who"].tolist() == [str(row["attribute/who"]) for row in rows]


def test_what_was_moved_is_said_with_its_number():
    assert in_words(3, 4000).startswith("3 of 4,000 probabilities are exactly 0 or 1 and were moved inside")


def test_the_file_of_a_sigmoid_reads_back_as_its_logits(read):
    logits = np.linspace(-8, 8, 9)
    rows = [finding(f"i{i}", (expit(x), expit(-x))) for i, x in enumerate(logits)]
    np.testing.assert_allclose(read(rows, FINDINGS)[0].logits, np.stack([logits, -logits], 1), rtol=1e-5)
