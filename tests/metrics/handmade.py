"""Predictions written down by hand or drawn at random, for the tests of metrics."""

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from medbench.metrics.sample import Sample
from medbench.predictions import Predictions
from medbench.spec.runs import Target

BINARY = Target(kind="single-label", classes=("benign", "malignant"))
THREE = Target(kind="single-label", classes=("a", "b", "c"))
FINDINGS = Target(kind="multi-label", classes=("nodule", "effusion"))

HUGE = 3e38
"""About the largest float32."""


def predictions(target, labels, logits, evaluation_set="id", dtype=np.float32):
    n, k = len(labels), len(target.classes)
    return Predictions(
        evaluation_set=evaluation_set,
        target=target,
        image=np.array([f"i{i}" for i in range(n)], dtype=np.str_),
        patient=np.array([f"p{i}" for i in range(n)], dtype=np.str_),
        labels=np.asarray(labels, dtype=np.int8).reshape(n, k),
        logits=np.asarray(logits, dtype=dtype).reshape(n, k),
        attributes={},
    )


def binary(outcomes, log_odds, **changes):
    """Two classes, the first with logits of 0."""
    log_odds = np.asarray(log_odds)
    logits = np.stack([np.zeros_like(log_odds), log_odds], axis=1)
    return predictions(BINARY, np.eye(2)[np.asarray(outcomes, dtype=int)], logits, **changes)


def random(target, n, seed, *, unknown=0.0, spread=1.5, **changes):
    """Logits that know something of the labels; some labels of several are unknown."""
    rng = np.random.default_rng(seed)
    k = len(target.classes)
    logits = spread * rng.normal(size=(n, k))
    if target.kind == "single-label":
        labels = np.eye(k)[(logits + rng.gumbel(size=(n, k))).argmax(axis=1)]
    else:
        labels = (logits + rng.logistic(size=(n, k)) > 0).astype(int)
        labels[rng.random((n, k)) < unknown] = -1
    return predictions(target, labels, logits, **changes)


def drawn(n, b, seed):
    """(b, n) bootstrap weights."""
    return np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=b).astype(float)


def probabilities(scored):
    """(n, k) by the textbook formulas, for logits that need no care."""
    logits = scored.logits.astype(np.float64)
    if scored.target.kind == "multi-label":
        return 1 / (1 + np.exp(-logits))
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


def one(metric, spec, scored, **sample):
    """The metric of all examples, each counted once; or its reason."""
    estimates = metric(spec, Sample(scored, **sample), np.ones((1, len(scored))))
    assert bool(estimates.reason) != estimates.defined[0]
    return float(estimates.values[0]) if estimates.defined[0] else estimates.reason


@st.composite
def degenerate(draw):
    """Any target, up to six examples, hostile logits, unknown labels, and weights of whole numbers."""
    target = draw(st.sampled_from([BINARY, THREE, FINDINGS]))
    n, k = draw(st.integers(0, 6)), len(target.classes)
    hostile = st.sampled_from([-HUGE, -800.0, -1.0, -0.0, 0.0, 1.0, 37.0, 800.0, HUGE])
    logits = draw(hnp.arrays(np.float32, (n, k), elements=hostile))
    if target.kind == "single-label":
        labels = np.eye(k)[draw(hnp.arrays(np.int64, n, elements=st.integers(0, k - 1)))]
    else:
        labels = draw(hnp.arrays(np.int8, (n, k), elements=st.sampled_from([-1, 0, 1])))
    weights = draw(hnp.arrays(np.float64, (3, n), elements=st.sampled_from([0.0, 1.0, 2.0])))
    return predictions(target, labels, logits), weights
