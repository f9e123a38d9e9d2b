"""The input's row, of few images."""

from bench import pipeline
from bench.cases import NetCase


def test_the_input_is_held_against_what_a_step_asks_for(monkeypatch):
    monkeypatch.setattr(pipeline, "IMAGES", 10)
    monkeypatch.setattr(pipeline, "BATCHES", 1)
    case = NetCase("train", "small", (1, 1, 1, 1), 0.25, 32, batch=4)
    (row,) = pipeline.rows(case, repetitions=2)
    assert (row.name, row.unit, row.note) == (
        "input/36px",
        "images/s",
        "beside what train/small/32px takes in",
    )
    assert row.ratio_range[0] <= row.ratio <= row.ratio_range[1]
