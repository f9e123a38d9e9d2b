"""What is kept of measurements, and how it comes into the page."""

import json

import pytest

from bench import page, table
from bench.table import Row

HEAD = {
    "machine": "a machine, 2 cores",
    "date": "2026-12-01",
    "commit": "1a2b3c4d5e6",
    "versions": {"jax": "0.10"},
}
TRAINED = Row("train/r50x1/64px", 40.0, 32.0, 1.25, "images/s", (1.2, 1.3), "compiled, contiguous")
PLANNED = Row("plan/100", 0.5, None, None, "s")


def test_the_file_has_head_and_rows_with_the_names_that_were_agreed_on(tmp_path):
    file = tmp_path / "build/bench.json"
    table.write_json(file, [TRAINED, PLANNED], HEAD)
    written = json.loads(file.read_text())
    assert {key: written[key] for key in HEAD} == HEAD
    first, second = written["rows"]
    assert list(first)[:5] == ["name", "ours", "peer", "ratio", "unit"]
    assert first["ratio_range"] == [1.2, 1.3]
    assert (second["peer"], second["ratio"]) == (None, None)


def test_rows_of_the_same_head_are_kept_and_measured_ones_replaced(tmp_path):
    file = tmp_path / "bench.json"
    table.write_json(file, [TRAINED, PLANNED], HEAD)
    table.write_json(file, [Row("plan/100", 0.4, None, None, "s")], HEAD)
    rows = {row["name"]: row["ours"] for row in json.loads(file.read_text())["rows"]}
    assert rows == {"train/r50x1/64px": 40.0, "plan/100": 0.4}


@pytest.mark.parametrize("other", [HEAD | {"commit": "another"}, HEAD | {"machine": "another"}])
def test_rows_of_another_head_are_not_mixed_with_new_ones(tmp_path, other):
    file = tmp_path / "bench.json"
    table.write_json(file, [TRAINED], other)
    table.write_json(file, [PLANNED], HEAD)
    assert [row["name"] for row in json.loads(file.read_text())["rows"]] == ["plan/100"]


@pytest.mark.parametrize("content", ["", "[1]", "{}", "no json"])
def test_a_file_that_is_something_else_is_replaced(tmp_path, content):
    file = tmp_path / "bench.json"
    file.write_text(content)
    table.write_json(file, [PLANNED], HEAD)
    assert len(json.loads(file.read_text())["rows"]) == 1


def test_the_environment_names_machine_day_versions_and_commit():
    found = table.environment()
    assert set(found) == {"machine", "date", "commit", "versions"}
    assert found["versions"]["jax"]
    json.dumps(found)


def test_the_page_has_a_table_at_each_mark_that_something_was_measured_for(tmp_path):
    file = tmp_path / "bench.json"
    table.write_json(file, [TRAINED, PLANNED], HEAD)
    text = "# Speed\n<!-- measured: train infer -->\nold\n<!-- end -->\n"
    text += "<!-- measured: trai suite -->\nnone\n<!-- end -->\n"
    written = page.filled(text, [json.loads(file.read_text())])
    assert "| `train/r50x1/64px` | 40 | 32 | images/s | 1.25 | 1.20 to 1.30 | the peer is compiled" in written
    assert "old" not in written
    assert "plan/100" not in written
    assert "<!-- measured: trai suite -->\nnone\n<!-- end -->" in written
    assert "a machine, 2 cores; 2026-12-01; commit 1a2b3c4d5; jax 0.10." in written
    assert page.filled(written, [json.loads(file.read_text())]) == written


def test_every_table_of_the_page_can_be_filled():
    names = {name for mark in page._MARKED.finditer(page.PAGE.read_text()) for name in mark["names"].split()}
    assert {
        "train",
        "infer",
        "machine",
        "part",
        "input",
        "store",
        "suite",
        "scheduling",
        "utilisation",
    } <= names


@pytest.mark.parametrize(
    ("value", "shown"), [(0.01234, "0.0123"), (7.0, "7"), (99.94, "99.9"), (12345.6, "12,346")]
)
def test_figures_have_three_digits_without_powers_of_ten(value, shown):
    assert table.figure(value) == shown
