import dataclasses
import functools
import math

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import traverse_util
from jax.test_util import check_grads

from medbench.errors import MedbenchError
from medbench.models import bit
from tests.models import plain

SMALL = ((1, 1, 1, 1), 0.5)
LOSS_WEIGHTS = np.array([1, -2, 0.5], np.float32)
R50, R101, R152 = (3, 4, 6, 3), (3, 4, 23, 3), (3, 8, 36, 3)

# blocks, width: parameters of the body, with 1,000 and 21,843 classes, feature dimension, arrays in the file
RELEASED = {
    "R50x1": (R50, 1, 23_500_352, 25_549_352, 68_256_659, 2048, 153),
    "R50x3": (R50, 3, 211_174_080, 217_319_080, 345_399_315, 6144, 153),
    "R101x1": (R101, 1, 42_492_480, 44_541_480, 87_248_787, 2048, 306),
    "R101x3": (R101, 3, 381_789_888, 387_934_888, 516_015_123, 6144, 306),
    "R152x2": (R152, 2, 232_238_208, 236_335_208, 321_728_979, 4096, 459),
    "R152x4": (R152, 4, 928_340_224, 936_533_224, 1_107_299_923, 8192, 459),
}


def images(n, height, width, seed=1):
    return np.random.default_rng(seed).uniform(-1, 1, (n, height, width, 3)).astype(np.float32)


@functools.cache
def compiled(blocks, width):
    """The net with three classes, compiled once a shape for all tests."""
    model = bit.BiT(blocks, width, 3)
    return jax.jit(lambda params, batch: model.apply({"params": params}, batch))


@functools.cache
def compiled_gradient(blocks, width):
    """Value and gradient of the weighted sum of all logits, for all tests."""
    forward = compiled(blocks, width)
    return jax.jit(jax.value_and_grad(lambda params, batch: (forward(params, batch)[0] * LOSS_WEIGHTS).sum()))


@pytest.mark.parametrize("name", RELEASED)
def test_a_released_architecture_has_the_published_numbers_of_parameters_and_arrays(name):
    blocks, width, body, with_1000, with_21843, features, arrays = RELEASED[name]
    shapes = traverse_util.flatten_dict(bit.param_shapes(blocks, width, 21_843))
    sizes = {path: math.prod(leaf.shape) for path, leaf in shapes.items()}
    assert len(sizes) == arrays
    assert sum(sizes.values()) == with_21843
    assert sum(size for path, size in sizes.items() if path[0] != "head") == body
    assert shapes["head", "conv2d", "kernel"].shape == (1, 1, features, 21_843)
    assert body + 1000 * (features + 1) == with_1000


@pytest.mark.parametrize(
    ("blocks", "width", "height", "breadth"),
    [
        ((1, 1, 1, 1), 0.5, 64, 64),
        ((2, 1, 1, 2), 0.25, 32, 32),  # 16 channels at the root: 16 groups of one
        ((1, 1, 2, 1), 0.5, 37, 50),  # odd sides: every rounding differs
        ((1, 1, 1, 1), 0.375, 128, 96),  # 24 channels: 8 groups; no map of the last block is 4x4
    ],
)
def test_logits_and_features_agree_with_plain_numpy_in_double_precision(
    random_params, blocks, width, height, breadth
):
    params = random_params(blocks, width, 3)
    batch = images(2, height, breadth)
    logits, stages = compiled(blocks, width)(params, batch)
    expected_logits, expected_stages = plain.forward(params, batch)
    assert set(stages) == {"root", "block1", "block2", "block3", "block4", "pre_logits"}
    plain.assert_close(logits, expected_logits, "logits")
    for stage, expected in expected_stages.items():
        plain.assert_close(stages[stage], expected, stage)


def test_a_bright_image_with_little_contrast_keeps_its_features(random_params):
    params = random_params(*SMALL, 3)
    batch = 0.999 + 0.001 * images(2, 64, 64)
    logits, _ = compiled(*SMALL)(params, batch)
    np.testing.assert_allclose(logits, plain.forward(params, batch)[0], rtol=2e-3, atol=2e-3)


def test_an_empty_black_image_gives_finite_logits_and_gradients(random_params):
    params = random_params(*SMALL, 3)
    chex.assert_tree_all_finite(compiled_gradient(*SMALL)(params, np.full((2, 64, 64, 3), -1, np.float32)))


def test_the_whole_net_has_the_gradient_of_finite_differences(random_params):
    params, batch = random_params(*SMALL, 3), images(2, 64, 64)
    _, gradient = compiled_gradient(*SMALL)(params, batch)

    def loss(tree):
        return (plain.forward(tree, batch)[0] * LOSS_WEIGHTS).sum()

    gradient = jax.tree.map(np.float64, gradient)
    length = math.sqrt(sum((leaf**2).sum() for leaf in jax.tree.leaves(gradient)))
    step = 1e-7
    moved = [
        loss(jax.tree.map(lambda p, g, s=sign: np.float64(p) + s * step * g / length, params, gradient))
        for sign in (1, -1)
    ]
    assert (moved[0] - moved[1]) / (2 * step) == pytest.approx(length, rel=2e-3)


def test_kernels_are_standardized_whatever_their_scale_and_offset(random_params):
    params = random_params(*SMALL, 3)

    def rescaled(path, array):
        return 3 * array + 0.5 if path[-2] == "standardized_conv2d" else array

    flat = traverse_util.flatten_dict(params)
    moved = traverse_util.unflatten_dict({path: rescaled(path, array) for path, array in flat.items()})
    batch = images(2, 64, 64)
    np.testing.assert_allclose(
        compiled(*SMALL)(moved, batch)[0], compiled(*SMALL)(params, batch)[0], rtol=1e-3, atol=1e-3
    )


@pytest.mark.parametrize("platform", ["cpu", "cuda"])
def test_kernels_that_were_prepared_beforehand_give_the_same_net(random_params, platform):
    params, batch = random_params((2, 1, 2, 1), 0.25, 3), images(2, 64, 64)
    program = bit.Program(platform=platform)
    net = bit.BiT((2, 1, 2, 1), 0.25, 3, program=dataclasses.replace(program, prepared=True))
    logits, stages = jax.jit(net.apply)({"params": bit.prepared(params, program)}, batch)
    expected_logits, expected_stages = plain.forward(params, batch)
    plain.assert_close(logits, expected_logits, "logits")
    for stage, expected in expected_stages.items():
        plain.assert_close(stages[stage], expected, stage)


@pytest.mark.parametrize("side", [64, 50])
def test_a_cpu_and_an_accelerator_compute_the_same_logits_and_gradients(random_params, side):
    params, batch = random_params((1, 2, 1, 1), 0.25, 3), images(2, side, side)

    def computed(platform):
        net = bit.BiT((1, 2, 1, 1), 0.25, 3, program=bit.Program(platform=platform))

        def weighted(tree):
            logits, _ = net.apply({"params": tree}, batch)
            return (logits * LOSS_WEIGHTS).sum(), logits

        return jax.device_get(jax.jit(jax.grad(weighted, has_aux=True))(params))

    (gradient, logits), (expected_gradient, expected_logits) = computed("cpu"), computed("tpu")
    plain.assert_close(logits, expected_logits, "logits")
    jax.tree.map(plain.assert_close, gradient, expected_gradient)


def test_standardized_kernels_have_the_gradient_of_finite_differences():
    with jax.enable_x64(True):
        kernel = jnp.asarray(np.random.default_rng(0).normal(0.3, 0.1, (3, 3, 4, 5)))
        weights = jnp.asarray(np.random.default_rng(1).normal(size=kernel.shape))
        check_grads(
            lambda kernel: jnp.sum(jnp.sin(bit.standardized(kernel)) * weights),
            (kernel,),
            order=1,
            modes=("rev",),
        )


def test_a_net_that_computes_its_units_twice_has_the_same_parameters_logits_and_gradients(random_params):
    params, batch = random_params(*SMALL, 3), images(2, 64, 64)
    net = bit.BiT(*SMALL, 3, program=bit.Program(rematerialized=True))
    assert jax.tree.map(jnp.shape, params) == jax.tree.map(
        jnp.shape, jax.eval_shape(net.init, jax.random.key(0), batch)["params"]
    )

    def weighted(tree):
        return (net.apply({"params": tree}, batch)[0] * LOSS_WEIGHTS).sum()

    value, gradient = jax.jit(jax.value_and_grad(weighted))(params)
    expected_value, expected = compiled_gradient(*SMALL)(params, batch)
    assert float(value) == pytest.approx(float(expected_value), rel=1e-5)
    jax.tree.map(plain.assert_close, jax.device_get(gradient), jax.device_get(expected))


def test_a_fresh_net_answers_zero_and_its_head_alone_has_a_gradient():
    params, batch = bit.init_params(*SMALL, 3, np.random.default_rng(0)), images(2, 64, 64)
    assert not np.asarray(compiled(*SMALL)(params, batch)[0]).any()
    value, gradient = compiled_gradient(*SMALL)(params, batch)
    moving = {
        path[0] for path, leaf in traverse_util.flatten_dict(gradient).items() if np.asarray(leaf).any()
    }
    assert value == 0
    assert moving == {"head"}


def test_initial_parameters_depend_on_the_seed_alone():
    first, again, other = (bit.init_params(*SMALL, 5, np.random.default_rng(seed)) for seed in (1, 1, 2))
    chex.assert_trees_all_equal(first, again)
    kernel = first["block2"]["unit01"]["b"]["standardized_conv2d"]["kernel"]
    assert kernel.dtype == np.float32
    assert kernel.std() == pytest.approx(1 / math.sqrt(3 * 3 * 64), rel=0.02)
    assert not np.array_equal(
        first["root_block"]["standardized_conv2d"]["kernel"],
        other["root_block"]["standardized_conv2d"]["kernel"],
    )
    shapes = jax.tree.map(lambda leaf: leaf.shape, bit.param_shapes(*SMALL, 5))
    assert shapes == jax.tree.map(np.shape, first)


def test_half_precision_activations_leave_logits_and_features_in_single_precision(random_params):
    params = random_params(*SMALL, 3)
    batch = images(2, 64, 64)
    logits, stages = jax.jit(bit.BiT(*SMALL, 3, dtype=jnp.bfloat16).apply)({"params": params}, batch)
    chex.assert_type([logits, *stages.values()], jnp.float32)
    np.testing.assert_allclose(logits, plain.forward(params, batch)[0], atol=0.15)


def test_every_parameter_belongs_to_a_stage():
    paths = traverse_util.flatten_dict(bit.param_shapes(*SMALL, 3))
    stages = {bit.stage_of(path) for path in paths}
    assert stages == {"root", "block1", "block2", "block3", "block4", "norm", "head"}


@pytest.mark.parametrize("width", [0, -1, 0.3, 1 / 128])
def test_a_width_without_whole_channels_is_refused_by_name(width):
    with pytest.raises(MedbenchError, match=rf"width {width:g} .* channels; expected a whole number"):
        bit.param_shapes((1, 1, 1, 1), width, 3)
