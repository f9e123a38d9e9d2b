import re
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from medbench.errors import MedbenchError
from medbench.metrics import metric_named
from medbench.others.results import read_results
from medbench.others.scales import load_scales
from tests.others.tables import COLUMNS, SCALES, published, write


@pytest.fixture
def read(tmp_path):
    def read(rows, *, metric=None, roles=COLUMNS, **files):
        table, scales = write(tmp_path, rows, **files)
        return read_results(table, roles, load_scales(scales), metric)

    return read


def changed(column, cell, row=0):
    rows = published()
    rows[row] = {**rows[row], column: cell}
    return rows


def test_values_come_by_backbone_amount_and_seed_and_amounts_by_size(read):
    results = read(published()[::-1])
    assert list(results.amounts.items()) == [("0.1", 0.1), ("0.5", 0.5), ("1.0", 1.0)]
    assert results.rows == 36
    assert results.notes == ()
    for row in published():
        assert results.of(row["model"], row["part"])[row["run"]] == row["auc"]
    assert results.of("net-a", "0.7") == {}


def test_two_spellings_of_one_amount_are_one(read):
    rows = [*published(), {"model": "net-a", "part": "1", "run": 4, "auc": 0.8}]
    results = read(rows)
    assert list(results.amounts) == ["0.1", "0.5", "1.0"]
    assert set(results.of("net-a", "1.0")) == {1, 2, 3, 4}


def test_a_row_that_repeats_another_counts_once_and_is_told(read):
    results = read(published() + published()[:2])
    assert results.values == read(published()).values
    (note,) = results.notes
    assert note == (
        "2 of 38 rows repeat the value of an earlier one of the same backbone, fraction and seed; "
        "they do not count"
    )


def test_a_repeated_row_that_differs_elsewhere_is_told_with_the_column(read):
    rows = [{**row, "path": "a"} for row in published()]
    (note,) = read([*rows, {**rows[0], "path": "b"}], columns=["path", *COLUMNS.values()]).notes
    assert note.endswith("they do not count; some differ from it in `path`")


def test_rows_that_contradict_each_other_are_refused_with_both_values(read):
    rows = [*published(), {**published()[4], "auc": 0.99}]
    value = rows[4]["auc"]
    message = (
        f"results.csv: rows 6 and 38 contradict each other: net-a, 0.5, seed 2 is {value} in one and 0.99 in "
        "the other."
    )
    with pytest.raises(MedbenchError, match=re.escape(message)):
        read(rows)


def test_a_declared_backbone_without_rows_is_told(read):
    results = read([row for row in published() if row["model"] != "net-d"])
    assert results.notes == ("declared but not in the table: net-d",)


def test_a_table_without_all_data_says_what_stands_for_it(read):
    results = read([row for row in published() if row["part"] != "1.0"])
    assert results.notes == ("the largest fraction, 0.5, stands for all data",)


@pytest.mark.parametrize(
    ("column", "cell", "message"),
    [
        ("model", "", "row 5: column `model` is empty. Fill it in, or leave the row out."),
        ("part", " ", "row 5: column `part` is empty."),
        ("run", "", "row 5: column `run` is empty."),
        ("auc", "", "row 5: column `auc` is empty."),
        ("model", "net-e", "row 5: backbone `net-e` is not declared in "),
        ("part", "half", "row 5, column `part`: expected a positive number, found `half`."),
        ("part", "0", "expected a positive number, found `0`."),
        ("part", "-1", "expected a positive number, found `-1`."),
        ("part", "nan", "expected a positive number, found `nan`."),
        ("part", "inf", "expected a positive number, found `inf`."),
        ("run", "1.5", "row 5: expected a whole number in column `run`, found `1.5`."),
        ("run", "first", "row 5: expected a whole number in column `run`, found `first`."),
        ("part", "1_0", "expected a positive number, found `1_0`."),
        ("part", "٣", "expected a positive number, found `٣`."),
        ("run", "1_0", "row 5: expected a whole number in column `run`, found `1_0`."),
        ("run", "٣", "row 5: expected a whole number in column `run`, found `٣`."),
        ("auc", "0.8_1", "row 5: expected a number in column `auc`, found `0.8_1`."),
        ("auc", "0,8", "row 5: expected a number in column `auc`, found `0,8`."),
        ("auc", "n/a", "row 5: expected a number in column `auc`, found `n/a`."),
        ("auc", "NaN", "row 5: expected a finite number in column `auc`, found `NaN`."),
        ("auc", "inf", "row 5: expected a finite number in column `auc`, found `inf`."),
        ("auc", "1e200", "row 5: 1e200 in column `auc` is too large to be squared. Use another unit."),
    ],
)
def test_a_cell_that_means_nothing_is_told_with_its_row(read, column, cell, message):
    with pytest.raises(MedbenchError) as error:
        read(changed(column, cell, row=3))
    assert message in str(error.value)


def test_percentages_are_no_areas(read):
    assert read(changed("auc", "1"), metric=metric_named("roc_auc")).rows == 36
    for cell, hint in (
        ("80.3", " Is it in percent? Divide by 100."),
        ("1.3", " Is it in percent? Divide by 100."),
        ("-0.1", ""),
        ("101", ""),
    ):
        with pytest.raises(MedbenchError) as error:
            read(changed("auc", cell), metric=metric_named("roc_auc"))
        message = f"results.csv: row 2: roc_auc lies between 0 and 1, found {cell} in column `auc`.{hint}"
        assert str(error.value).endswith(message)
        assert read(changed("auc", cell)).rows == 36


def test_a_column_that_is_not_there_is_told_with_the_nearest(read):
    with pytest.raises(MedbenchError, match=r"no column `aucs` \(for `value`\). Did you mean `auc`\?"):
        read(published(), roles={**COLUMNS, "value": "aucs"})


def test_an_amount_that_is_not_declared_is_told_with_the_nearest(read):
    scales = SCALES + "amounts: {'0.1': 1, '0.5': 5, 'full': full}\n"
    with pytest.raises(MedbenchError, match=r"row 5, column `part`: `1.0` is not among the `amounts` of"):
        read([row for row in published() if row["part"] != "0.5"], scales=scales)


def test_an_empty_table_and_one_that_is_not_there_are_told(read, tmp_path):
    with pytest.raises(MedbenchError, match="a header but no rows"):
        read([])
    _, scales = write(tmp_path, [])
    with pytest.raises(MedbenchError, match=r"nowhere.csv: the table cannot be read"):
        read_results(tmp_path / "nowhere.csv", COLUMNS, load_scales(scales))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(
    copies=st.lists(st.integers(0, 3), min_size=36, max_size=36),
    order=st.integers(0, 2**16),
    wrong=st.none() | st.integers(0, 35),
)
def test_however_often_rows_are_repeated_each_run_counts_once_and_a_contradiction_is_always_found(
    read, copies, order, wrong
):
    rows = [row for row, times in zip(published(), copies, strict=True) for _ in range(times + 1)]
    if wrong is not None:
        rows.append({**published()[wrong], "auc": 0.123})
    Random(order).shuffle(rows)
    if wrong is not None:
        row = published()[wrong]
        with pytest.raises(MedbenchError, match=f"contradict each other: {row['model']}, {row['part']}"):
            read(rows)
        return
    results = read(rows)
    assert results.values == read(published()).values
    if sum(copies):
        assert results.notes[0].startswith(f"{sum(copies):,} of {len(rows)} rows repeat")
