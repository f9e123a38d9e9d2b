import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medbench.judgement import Check
from medbench.report import table
from medbench.report.record import ItemResult
from tests.report.records import DRIFT, report, result


def rows(made):
    return list(csv.DictReader(io.StringIO(table.render(made), newline="")))


def test_every_item_has_a_row_that_reads_back():
    made = rows(
        report(
            result(check=DRIFT, category="failed", red=True),
            result("chest/b/id", state="missing", verdict=None, effect=None),
            ItemResult(id="chest/c/id", category="error", red=True, sentence="no weights"),
            ItemResult(
                id="chest/d/id",
                category="failed",
                red=True,
                sentence="gone",
                check=Check(id="chest/d/id", status="vanished", detail="no longer declared"),
            ),
        )
    )
    by_id = {row["id"]: row for row in made}
    first = by_id["chest/scale-data/id"]
    assert (first["task"], first["claim"], first["evaluation_set"]) == ("chest", "scale-data", "id")
    assert [float(first[name]) for name in ("effect", "low", "high", "margin")] == [
        *(0.021, 0.008, 0.034, 0.005)
    ]
    assert (first["verdict"], first["accepted"], first["status"]) == ("supported", "supported", "drifted")
    assert (first["red"], first["values"], first["values_measured"]) == ("true", "4", "0")
    assert (by_id["chest/b/id"]["effect"], by_id["chest/b/id"]["state"]) == ("", "missing")
    assert by_id["chest/c/id"]["detail"] == "no weights"
    assert by_id["chest/d/id"]["status"] == "vanished"
    assert len(made) == 4


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "  =", "＝"])
def test_a_formula_is_text(start):
    assert table.cell(f"{start}cmd|' /C calc'!A0").startswith("'")


def test_a_negative_number_stays_a_number():
    assert [table.cell(value) for value in (-0.25, 3, True, None)] == ["-0.25", "3", "true", ""]


@given(text=st.text(max_size=60))
def test_any_text_comes_back_as_one_cell_that_no_spreadsheet_computes(text):
    (row,) = rows(report(result(attribute=text)))
    assert row["attribute"].isprintable()
    assert not row["attribute"].startswith(("=", "+", "-", "@"))
