"""Marks of a history, looked at night after night."""

from pathlib import Path

import numpy as np
import pytest

from medbench.gate import looks
from medbench.gate.looks import NEVER, NOISES, Planted, Unchanged, first_marks, found_after, looked_at
from medbench.stats.change_points import Changes, changes

PAGE = (Path(__file__).parents[2] / "docs/history.md").read_text(encoding="utf-8")


def by_every_look(values, level, *, noisy):
    """The first look at which the whole of a line is marked, without any shortcut."""
    for n in range(1, len(values) + 1):
        shown = changes(values[:n], tolerance=looks.TOLERANCE, level=level, noisy=noisy)
        if shown != Changes():
            return n
    return NEVER


@pytest.mark.parametrize("noise", NOISES, ids=lambda noise: noise.name)
def test_the_shortcut_misses_no_mark(noise):
    """At a level at which chance alone marks some, and with changes planted in others."""
    values = looks.SD * noise.draw(np.random.default_rng(1), (6, 40))
    values[2:4, 25:] -= 0.05
    values[4:] -= 0.004 * np.arange(40)
    slow = [by_every_look(list(line), 0.5, noisy=noise.noisy) for line in values]
    assert first_marks(values, 0.5, noisy=noise.noisy).tolist() == slow
    assert min(slow[2:]) < NEVER


def test_a_suite_whose_values_stay_as_they_are_is_never_marked():
    constant = next(i for i, noise in enumerate(NOISES) if "byte-identical" in noise.name)
    assert (looked_at(Unchanged(constant, (1,), items=5)) == NEVER).all()


def test_a_larger_change_is_found_sooner_and_in_a_longer_history_later():
    after = {
        (size, lines): np.mean([found_after(Planted("jump", size, 0, lines, (1, i))) for i in range(5)])
        for size in (2.0, 4.0)
        for lines in (2, 340)
    }
    assert after[4.0, 2] < after[4.0, 340] < after[2.0, 340]
    assert after[4.0, 2] < after[2.0, 2] < after[2.0, 340]


def test_the_tables_have_a_row_for_every_noise_and_change(monkeypatch):
    monkeypatch.setattr(looks, "ITEMS", 2)
    monkeypatch.setattr(looks, "NIGHTS", 65)
    monkeypatch.setattr(looks, "UNTIL", (3, 65))
    table = looks.measured(suites=1, series=1, seed=1, workers=1)
    assert [noise.name for noise in NOISES if f"| {noise.name} |" in table] == [n.name for n in NOISES]
    rows = [line for line in table.splitlines() if line.startswith(("| jump", "| slide"))]
    assert len(rows) == sum(map(len, looks.SIZES.values())) * 2 * 2
    widths = {line.count("|") for line in rows}
    assert widths == {7}


def test_the_page_of_the_history_has_the_tables_and_nothing_else_of_it_is_touched():
    filled = looks.filled(PAGE, "new\n")
    assert filled != PAGE
    before, _, rest = PAGE.partition("<!-- measured: looks -->\n")
    assert filled == f"{before}<!-- measured: looks -->\nnew\n<!-- end -->{rest.partition('<!-- end -->')[2]}"
    assert all(f"| {noise.name} |" in PAGE for noise in NOISES)
