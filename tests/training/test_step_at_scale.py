"""A step of a small BiT in bfloat16, in micro-batches, with units computed twice, and for other platforms."""

import functools
import re
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export

from medbench.models import bit
from medbench.training import step as steps
from medbench.training.step import Network, Objective
from tests.models import plain

NETWORK = Network((1, 1, 1, 1), 1 / 4, 3)
TWICE = replace(NETWORK, program=bit.Program(rematerialized=True))
HALF = replace(NETWORK, precision="bfloat16")
OBJECTIVE = Objective("single-label", 32, True, 0.3, 0.9)
KEY = steps.random_key(5)
N, SIZE = 8, 36


@functools.cache
def params():
    """With a head that is not zero, so that every parameter has a gradient."""
    random = np.random.default_rng(0)
    tree = bit.init_params(NETWORK.blocks, NETWORK.width, NETWORK.classes, random)
    head = tree["head"]["conv2d"]["kernel"]
    tree["head"]["conv2d"]["kernel"] = random.normal(0, 0.1, head.shape).astype(np.float32)
    return tree


def batch():
    random = np.random.default_rng(1)
    labels = np.eye(3, dtype=np.int8)[random.integers(3, size=N)]
    return random.integers(256, size=(N, SIZE, SIZE, 1), dtype=np.uint8), labels


@functools.cache
def first_step(network, parts=1):
    """The gradient, which is the first velocity, and the loss."""
    alone = replace(OBJECTIVE, mixup_alpha=0.0)  # which takes as long to compile as the net
    state, loss = steps.train_step(
        steps.start(params()), *batch(), learning_rate=np.float32(0.1), key=KEY, step=0, network=network,
        objective=alone, parts=parts,
    )  # fmt: skip
    assert {leaf.dtype for leaf in jax.tree.leaves(state)} == {np.dtype(np.float32)}
    return jax.device_get(state.velocity), float(loss)


def test_micro_batches_and_units_computed_twice_give_the_gradient_of_the_whole_batch():
    gradient, loss = first_step(TWICE, parts=4)
    expected_gradient, expected_loss = first_step(NETWORK)
    assert loss == pytest.approx(expected_loss, rel=1e-5)
    jax.tree.map(plain.assert_close, gradient, expected_gradient)


ROUNDINGS = 1 + 2 * 13 + 12 + 4
"""One after another on the longest way through the net in bfloat16: of the images; of 13 kernels and of what
each convolution gives out; of 12 normalised maps; of 4 sums with the shortcut."""
KINKS = 13
"""Times that a ReLU stands on that way."""
UNIT = 1 / 256
"""The most that rounding to the eight bits of bfloat16 moves a number by, as a share of it."""


def apart(got, expected):
    """Length of the difference of two trees as a share of the second one's."""
    got, expected = (np.concatenate([np.ravel(x) for x in jax.tree.leaves(tree)]) for tree in (got, expected))
    return np.linalg.norm(got - expected) / np.linalg.norm(expected)


def test_logits_features_and_loss_in_bfloat16_are_within_as_many_roundings_of_float32():
    images = batch()[0][:, :32, :32]
    logits, features = steps.predict_step(params(), images, network=HALF)
    expected_logits, expected_features = steps.predict_step(params(), images, network=NETWORK)
    assert 0 < apart(logits, expected_logits) < ROUNDINGS * UNIT
    for stage, expected in expected_features.items():
        assert 0 < apart(features[stage], expected) < ROUNDINGS * UNIT, stage
    # The gradient of cross-entropy by the logits is at most sqrt(2) long.
    longest = np.linalg.norm(expected_logits, axis=1).mean()
    assert abs(first_step(HALF)[1] - first_step(NETWORK)[1]) < np.sqrt(2) * ROUNDINGS * UNIT * longest


def test_the_gradient_in_bfloat16_is_that_of_float32_but_where_a_relu_changes_sides():
    """What is normal, and wrong by a share e of its deviation, changes its sign with probability e / pi.

    Each such place has a gradient that it should not have, or none: these add up as lengths of vectors that
    have nothing to do with each other. The rounding of the gradient itself comes on top.
    """
    images = batch()[0][:, :32, :32]
    features, expected_features = (
        steps.predict_step(params(), images, network=network)[1]["pre_logits"] for network in (HALF, NETWORK)
    )
    changed = KINKS * apart(features, expected_features) / np.pi
    allowed = np.sqrt(changed) + 2 * np.sqrt(ROUNDINGS) * UNIT
    assert 0 < apart(first_step(HALF)[0], first_step(NETWORK)[0]) < allowed


def program_of(network, parts):
    """The step as jax traces it, with everything that it calls within."""
    return jax.make_jaxpr(
        lambda state, *batch: steps.train_step(
            state, *batch, learning_rate=np.float32(0.1), key=KEY, step=0, network=network,
            objective=OBJECTIVE, parts=parts,
        )
    )(steps.start(params()), *batch())  # fmt: skip


def equations(jaxpr):
    for equation in jaxpr.eqns:
        yield equation
        for value in jax.tree.leaves(list(equation.params.values()), is_leaf=lambda x: hasattr(x, "eqns")):
            inner = getattr(value, "jaxpr", value)
            if hasattr(inner, "eqns"):
                yield from equations(inner)


@pytest.mark.parametrize("parts", [1, 2])
def test_bfloat16_is_for_products_alone_and_sums_statistics_and_updates_are_float32(parts):
    found = [*equations(program_of(replace(HALF, program=bit.Program(platform="tpu")), parts).jaxpr)]
    of = {
        name: [e.invars[0].aval.dtype for e in found if e.primitive.name == name]
        for name in ("conv_general_dilated", "reduce_sum", "rsqrt", "log", "sub", "scan")
    }
    assert of["conv_general_dilated"]
    assert set(of["conv_general_dilated"]) == {jnp.dtype(jnp.bfloat16)}
    assert of["reduce_sum"]
    assert of["rsqrt"]
    assert {*of["reduce_sum"], *of["rsqrt"], *of["log"]} == {jnp.dtype(jnp.float32)}
    assert bool(of["scan"]) == (parts > 1)
    for equation in found:
        if equation.primitive.name == "scan":
            summed = {v.aval.dtype for v in equation.outvars}
            assert jnp.dtype(jnp.float32) in summed
            assert jnp.dtype(jnp.bfloat16) not in summed


FOREIGN = {"cuda": {"cu_threefry2x32_ffi"}, "tpu": set()}
"""Functions that XLA is asked to call of the platform's own: jax's random numbers on NVIDIA's GPUs."""


LAYERS = 1 + 4 * 4
"""Convolutions of the net: the root, and three and a projection in each unit."""


@pytest.mark.parametrize("platform", ["tpu", "cuda"])
@pytest.mark.parametrize("network", [NETWORK, HALF], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("parts", [1, 2])
def test_a_step_is_lowered_for_accelerators_with_their_own_convolutions_and_no_foreign_code(
    platform, network, parts
):
    program = bit.Program(rematerialized=parts > 1, platform=platform)
    shapes = bit.param_shapes(network.blocks, network.width, network.classes)
    step = export.export(steps.train_step, platforms=[platform])(
        steps.State(shapes, shapes), *batch(), learning_rate=np.float32(0.1), key=KEY, step=0,
        network=replace(network, program=program), objective=OBJECTIVE, parts=parts,
    )  # fmt: skip
    assert step.platforms == (platform,)
    text = step.mlir_module()
    assert "custom_call" not in text
    convolutions = re.findall("stablehlo.convolution.*", text)
    # Gradients by the kernel and by the input, which the root's need not have; computed twice: `a` and `b`.
    assert len(convolutions) == 3 * LAYERS - 1 + (8 if parts > 1 else 0)
    of_bfloat16 = ["bf16" in line and "f32" not in line for line in convolutions]
    assert all(of_bfloat16) if network is HALF else not any(of_bfloat16)


def test_only_cpus_get_their_convolutions_rearranged():
    """Of the same step, traced on the same machine."""
    traced = {
        platform: [*equations(program_of(replace(NETWORK, program=bit.Program(platform=platform)), 1).jaxpr)]
        for platform in ("", "cpu", "tpu")
    }
    counted = {
        platform: sum(e.primitive.name == "conv_general_dilated" for e in found)
        for platform, found in traced.items()
    }
    here = "cpu" if jax.default_backend() == "cpu" else "tpu"
    assert counted[""] == counted[here]
    assert counted["cpu"] < counted["tpu"]
