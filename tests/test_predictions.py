"""Predictions are read as any reader of Parquet reads them, and runs on the same examples share these."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medbench.predictions import Predictions
from tests.runs import TARGET, predictions

NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=5)


def read(path):
    return Predictions.of_file(path.read_bytes(), path)


def straightforwardly(path):
    """The columns of a file, value by value."""
    return pq.read_table(path).to_pydict()


def as_columns(found):
    columns = {"image": found.image, "patient": found.patient}
    columns |= {f"attribute/{name}": values for name, values in found.attributes.items()}
    columns |= {f"label/{name}": found.labels[:, i] for i, name in enumerate(found.target.classes)}
    columns |= {f"logit/{name}": found.logits[:, i] for i, name in enumerate(found.target.classes)}
    return {name: column.tolist() for name, column in columns.items()}


@given(
    rows=st.lists(st.tuples(NAMES, NAMES, NAMES, st.integers(-1, 1), st.floats(width=32, allow_nan=False)))
)
def test_every_value_is_as_any_reader_has_it(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("read") / "id.parquet"
    image, patient, sex, label, logit = map(list, zip(*rows, strict=True)) if rows else [[]] * 5
    Predictions(
        evaluation_set="id",
        target=TARGET,
        image=np.array(image, dtype=np.str_),
        patient=np.array(patient, dtype=np.str_),
        labels=np.stack([label, label], axis=1).astype(np.int8),
        logits=np.stack([logit, logit], axis=1).astype(np.float32),
        attributes={"sex": np.array(sex, dtype=np.str_)},
    ).write(path)
    assert as_columns(read(path)) == straightforwardly(path)


@pytest.fixture
def written(tmp_path):
    """Writes predictions to a file of their own."""

    def write(found, name):
        found.write(tmp_path / name)
        return tmp_path / name

    return write


def test_runs_on_the_same_examples_share_them_and_nothing_else(written):
    one, other = (read(written(predictions("id", seed), f"{seed}.parquet")) for seed in (1, 2))
    assert (one.image is other.image, one.labels is other.labels) == (True, True)
    assert one.attributes["sex"] is other.attributes["sex"]
    assert not np.array_equal(one.logits, other.logits)


def test_what_is_shared_cannot_be_changed(written):
    found = read(written(predictions("id"), "id.parquet"))
    with pytest.raises(ValueError, match="read-only"):
        found.labels[0] = 0


@pytest.mark.parametrize("logits_first", [False, True])
def test_runs_on_other_examples_are_not_mixed_up(tmp_path, logits_first):
    def write(name, labels):
        columns = {"image": ["a", "b"], "patient": ["p", "q"], "label/ill": pa.array(labels, pa.int8())}
        logits = {"logit/ill": pa.array([0.5, 0.25], pa.float32())}
        table = pa.table(logits | columns if logits_first else columns | logits)
        kind = {"evaluation_set": "id", "kind": "multi-label"}
        pq.write_table(table.replace_schema_metadata(kind), tmp_path / name)
        return read(Path(tmp_path / name))

    one, other = write("one.parquet", [0, 1]), write("other.parquet", [1, 1])
    assert (one.labels.ravel().tolist(), other.labels.ravel().tolist()) == ([0, 1], [1, 1])
    assert one.logits.ravel().tolist() == other.logits.ravel().tolist() == [0.5, 0.25]
