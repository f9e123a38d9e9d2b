"""Operations and layers of the roofline, against XLA's own counts and against the estimate of costs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bench import roofline
from bench.cases import NetCase
from bench.roofline import Layer, Limits
from medbench import cost
from medbench.models import on_accelerator


def flops(function, *shapes):
    """As XLA counts them, before anything is optimised."""
    arrays = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
    return jax.jit(function).lower(*arrays).cost_analysis()["flops"]


@pytest.mark.parametrize(
    ("shape", "size", "stride"),
    [((2, 8, 8, 16), 1, 1), ((2, 8, 8, 16), 3, 1), ((2, 8, 8, 16), 3, 2), ((2, 32, 32, 3), 7, 2)],
)
def test_operations_of_a_convolution_are_those_that_xla_counts(shape, size, stride):
    """On an image that is padded already: XLA leaves out products with padding."""
    layer = Layer("", shape, size, stride, 24)
    n, height, width, channels = shape
    padded = (n, height + size - 1, width + size - 1, channels)

    def convolve(x, kernel):
        return jax.lax.conv_general_dilated(
            x, kernel, (stride, stride), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )

    assert layer.operations == flops(convolve, padded, layer.kernel)


def test_gradients_of_a_product_take_twice_as_many_operations_again():
    layer = Layer("", (2, 8, 8, 16), channels=24)

    def with_gradient(x, kernel):
        out, pull_back = jax.vjp(lambda x, kernel: x.reshape(-1, 16) @ kernel[0, 0], x, kernel)
        return pull_back(out)

    assert 3 * layer.operations == flops(with_gradient, layer.shape, layer.kernel)


@pytest.mark.parametrize("blocks", [(1, 1, 1, 1), (3, 4, 6, 3)])
def test_layers_are_all_that_the_net_calls(blocks):
    found = roofline.layers(NetCase("train", "net", blocks, 0.5, 64, batch=2))
    convolutions = [layer for layer in found if layer.part[0].isdigit()]
    assert sum(layer.operations for layer in convolutions) == 2 * cost.forward_operations(blocks, 0.5, 64)
    units = sum(blocks)
    assert len(convolutions) == 1 + 3 * units + 4
    assert [layer.part for layer in found].count("group norm, relu") == 3 * units + 1
    assert found[1] == Layer("max-pool", (2, 32, 32, 32), 3, 2, 32)
    assert found[1].output == jax.eval_shape(on_accelerator.max_pool, jnp.zeros(found[1].shape)).shape


def test_the_least_time_is_the_longer_of_computing_and_moving():
    limits = Limits(operations=100.0, bytes=10.0)
    assert limits.seconds(200.0, 1.0) == 2.0
    assert limits.seconds(1.0, 50.0) == 5.0


def test_a_step_is_told_in_parts_that_add_up(monkeypatch):
    monkeypatch.setattr(roofline, "seconds", lambda function, args, repetitions: 0.001)
    monkeypatch.setattr(roofline, "step_seconds", lambda case, repetitions: 0.5)
    case = NetCase("train", "small", (1, 1, 1, 1), 0.25, 32, batch=2)
    *parts, total, step = roofline.of_step(case, Limits(1e11, 1e10), repetitions=1)
    assert total.ours == pytest.approx(sum(row.ours for row in parts))
    assert total.peer == pytest.approx(sum(row.peer for row in parts))
    assert step.ours == 500.0
    assert step.peer == total.peer
    assert all(row.ratio == pytest.approx(row.peer / row.ours) for row in parts)
    (norms,) = (row for row in parts if row.name == "part/small/32px/group norm, relu")
    assert norms.ours == pytest.approx(13)
    assert norms.note == "13 layers, 13 ms without gradient, 3% of the step"


def test_parts_are_measured_as_they_are(monkeypatch):
    monkeypatch.setattr(roofline, "TURN_SECONDS", 0)
    case = NetCase("train", "small", (1, 1, 1, 1), 0.25, 32, batch=2)
    found = roofline.parts(case, Limits(1e11, 1e10), repetitions=1)
    assert {
        "7x7 in root",
        "3x3 in block4",
        "1x1 in block1",
        "max-pool",
        "optimiser",
        "standardisation",
    } <= set(found)
    assert all(np.isfinite([part.forward, part.whole, part.least]).all() for part in found.values())
