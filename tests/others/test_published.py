"""The published table that docs/published.md judges, where it is at hand."""

import os
from pathlib import Path

import pytest

from docs import published
from medbench.others.results import read_results
from medbench.others.scales import load_scales

ROOT = Path(__file__).parents[2]
TABLES = Path(os.environ.get("MEDBENCH_TEST_PUBLISHED", ROOT / ".." / "shared" / "published"))

pytestmark = pytest.mark.skipif(
    not (TABLES / published.TABLE).is_file(),
    reason="no published table; MEDBENCH_TEST_PUBLISHED names the folder that holds it",
)


@pytest.fixture
def results(monkeypatch):
    monkeypatch.chdir(ROOT)
    columns = dict(part.split("=") for part in published.COLUMNS.split(","))
    return read_results(TABLES / published.TABLE, columns, load_scales(published.SCALES))


@pytest.mark.parametrize(
    ("backbone", "mean"),
    [
        ("imagenet1k_bit50x1", 0.8017),
        ("imagenet21k_bit50x1", 0.8203),
        ("imagenet1k_bit152x4", 0.8255),
        ("imagenet21k_bit152x4", 0.8402),
        ("chexpert_mimic_bit152x4", 0.8314),
    ],
)
def test_the_means_are_those_that_others_computed_from_it(results, backbone, mean):
    values = results.of(backbone, "full_shot").values()
    assert sum(values) / len(values) == pytest.approx(mean, abs=5e-5)


def test_every_repeated_row_is_found_and_none_contradicts_another(results):
    assert results.rows == 489
    assert sum(len(by_seed) for by_seed in results.values.values()) == 249
    assert results.notes[0].startswith("240 of 489 rows repeat")
    assert set(results.of("chexpert_mimic_bit50x1", "10_shot")) == {0, 1, 2, 3}


def test_the_page_is_what_the_table_says(monkeypatch):
    monkeypatch.chdir(ROOT)
    assert published.page(published.judged(TABLES / published.TABLE)) == published.PAGE.read_text("utf-8")
