"""The measurement of large reports measures what it says: so many claims, each copy with runs of its own."""

import re

import pytest

from bench import report
from tests.report.records import DRIFT, figures, result, run


@pytest.fixture
def results():
    return [
        result(check=DRIFT, runs=[run(1), run(2)]),
        result("mammography/ood-robustness/vendor-b", runs=[run(1), run(3)]),
    ]


def test_copies_have_names_and_runs_of_their_own(results):
    found = report.repeated(results, 5)
    assert found[:2] == results
    assert [each.id for each in found[2:]] == [
        "chest/scale-data-1/id",
        "mammography/ood-robustness-1/vendor-b",
        "chest/scale-data-2/id",
    ]
    assert {each.id for each in found} == {each.judgement.id for each in found} == {e.check.id for e in found}
    assert [len({run.run_id for each in found[:n] for run in each.runs}) for n in (2, 4, 5)] == [
        3,
        6,
        8,
    ]


def test_every_form_has_all_claims_and_is_timed(results):
    made, seconds = report.made_of(report.repeated(results, 40), figures())
    assert set(seconds) == {"record", *made}
    assert set(made) == {"json", "html", "md", "csv"}
    assert len(re.findall(rb'<tr [^>]*id="(?:chest|mammography)/', made["html"])) == 40


def test_rows_say_what_was_measured_of_how_many_claims(results, monkeypatch):
    monkeypatch.setattr(report, "judged", lambda folder: (results, figures()))
    monkeypatch.setattr(report, "has_modules", lambda *_: False)
    found = {row.name: row for row in report.rows(40, repetitions=2)}
    parts = [row.ours for name, row in found.items() if name.startswith("report/40/make/")]
    assert found["report/40/make"].ours == pytest.approx(sum(parts), rel=0.5)
    assert found["report/40/size/html"].unit == "MB"
    assert 0.01 < found["report/40/size/html"].ours < 1
