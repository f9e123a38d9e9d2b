"""Which rows there are, and that the peer does what medbench does."""

import sys

import numpy as np
import pytest

from bench import __main__ as main
from bench import cases, ours, steps
from bench.cases import MachineCase, NetCase

SMALL = {"net": "small", "blocks": (1, 1, 1, 1), "width": 0.25, "size": 32, "batch": 4, "classes": 5}


def test_rows_are_chosen_by_the_beginning_of_their_names():
    assert [case.name for case in steps.chosen(["train/r50x1"])] == [
        "train/r50x1/64px", "train/r50x1/128px", "train/r50x1/224px",
    ]  # fmt: skip
    assert [case.name for case in steps.chosen(["*/r26x0.25"])] == [
        "train/r26x0.25/64px",
        "infer/r26x0.25/64px",
    ]
    assert {case.name for case in steps.chosen(["train", "infer"])} == {
        case.name for case in steps.all_cases()
    }


def test_a_name_that_nothing_has_is_refused_before_anything_is_measured(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["bench", "train/r51x1"])
    with pytest.raises(SystemExit):
        main.main()
    assert "train/r51x1: no row begins so; expected one of train, infer" in capsys.readouterr().err


@pytest.mark.parametrize("case", [NetCase("train", **SMALL), MachineCase("matmul", (2, 3, 4))])
def test_a_case_survives_its_way_through_the_pipe(case):
    import json

    assert cases.of_message(json.loads(json.dumps(case.as_message()))) == case


@pytest.fixture(params=["train", "infer"])
def case(request):
    return NetCase(request.param, **SMALL)


@pytest.fixture
def peer():
    pytest.importorskip("torch", reason="the extra `oracle` is not installed")
    from bench import peer

    return peer


def test_the_peer_has_our_parameters_after_a_step(peer):
    case = NetCase("train", **SMALL)
    problem = cases.Problem(ours.random_params(case), *cases.random_batches(case))
    mine = ours.Training(case, problem)
    theirs = peer.Training(case, problem, "eager", "contiguous")
    theirs.difference(mine.answer)
    for place, parameter in theirs.net.named_parameters():
        path = peer.path_of(place)
        expected = problem.params[path] - np.float32(cases.LEARNING_RATE) * mine.answer.velocity[path]
        close = {"rtol": 0, "atol": 1e-6, "err_msg": path}
        np.testing.assert_allclose(mine.params()[path], expected, **close)
        np.testing.assert_allclose(parameter.detach().numpy(), peer.turned(expected), **close)


@pytest.mark.parametrize("form", ["contiguous", "channels-last"])
def test_the_peer_has_our_logits_and_our_gradients(peer, tmp_path, case, form):
    ours.prepare(case, tmp_path)
    kind = peer.Training if case.kind == "train" else peer.Inference
    subject = kind(case, cases.read_problem(tmp_path), "eager", form)
    difference = subject.difference(cases.read_answer(tmp_path))
    print(f"{case.name}, {form}: {difference:.2g} apart")
    assert difference < 1e-4
    assert subject.run(2) > 0


def test_a_peer_that_standardises_otherwise_is_seen(peer, tmp_path, case, monkeypatch):
    ours.prepare(case, tmp_path)
    monkeypatch.setattr(peer.StandardConv, "standardized", lambda self: self.weight)
    kind = peer.Training if case.kind == "train" else peer.Inference
    assert (
        kind(case, cases.read_problem(tmp_path), "eager", "contiguous").difference(
            cases.read_answer(tmp_path)
        )
        > 0.1
    )


def test_the_peer_crops_and_mirrors_as_we_do(peer):
    column = np.arange(9, dtype=np.uint8)
    images = np.broadcast_to(column[:, None] * 9 + column, (64, 9, 9))[..., None].repeat(3, axis=3)
    squares = peer.augment(images, 8, np.random.default_rng(0)).permute(0, 2, 3, 1).numpy()
    seen = set()
    for square in squares[..., 0]:
        y, x = divmod(int(square.min()), 9)
        mirrored = square[0, 0] > square[0, 1]
        seen.add((y, x, bool(mirrored)))
        expected = images[0, y : y + 8, x : x + 8, 0]
        np.testing.assert_array_equal(square, expected[:, ::-1] if mirrored else expected)
    assert len(seen) == 8


@pytest.mark.parametrize("case", [MachineCase("matmul", (16, 8, 24)), MachineCase("triad", (32,))])
def test_products_and_sums_of_both_sides_are_numpys(peer, case):
    for side in (ours.Operation(case), peer.Operation(case)):
        (variant,) = side.variants()
        assert side.difference(variant) < 1e-6
