"""Scoring: every image once, whatever the number, in one compiled shape."""

import chex
import jax
import numpy as np
import pytest

from medbench.training import mesh, scoring
from medbench.training.step import predict_step
from tests.training.linear import Linear, linear_params

NETWORK = Linear(2)
PARAMS = linear_params(16 * 16 * 3, 2)
LAYOUT = mesh.over(jax.devices()[:1], PARAMS)
SCORER = scoring.Scorer(PARAMS, network=NETWORK, batch_size=4, layout=LAYOUT)
IMAGES = np.random.default_rng(1).integers(256, size=(11, 16, 16, 1), dtype=np.uint8)


@pytest.mark.parametrize("n", [1, 3, 4, 5, 8, 11])
def test_every_image_is_scored_exactly_once_and_in_its_place(n):
    alone = np.concatenate([predict_step(PARAMS, IMAGES[i : i + 1], network=NETWORK)[0] for i in range(n)])
    together = SCORER.logits(IMAGES[:n])
    assert together.shape == (n, 2)
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_no_images_have_no_logits():
    logits = SCORER.logits(IMAGES[:0])
    assert logits.shape == (0, 2)
    assert logits.dtype == np.float32


def test_features_are_those_of_the_network_at_16_bits():
    features = SCORER.features(IMAGES)
    _, stages = predict_step(PARAMS, IMAGES, network=NETWORK)
    assert list(features) == list(stages)
    for stage, values in features.items():
        assert values.dtype == np.float16
        np.testing.assert_allclose(values, stages[stage], rtol=2e-3, atol=1e-3)


def test_the_last_batch_is_not_compiled_apart(monkeypatch):
    counted = jax.jit(chex.assert_max_traces(predict_step.__wrapped__, n=1), static_argnames="network")
    monkeypatch.setattr(scoring, "predict_step", counted)
    for n in (4, 5, 11):
        SCORER.logits(IMAGES[:n])
