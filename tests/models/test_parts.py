"""The parts of a BiT on CPUs and on accelerators, against plain numpy in double precision and jax's own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax
from jax.test_util import check_grads

from medbench.models import on_accelerator, on_cpu, products
from tests.models import plain

PARTS = pytest.mark.parametrize("parts", [on_cpu, on_accelerator], ids=["cpu", "accelerator"])
SHAPES = pytest.mark.parametrize(("size", "stride"), [(1, 1), (1, 2), (3, 1), (3, 2), (7, 2)])


def as_map(parts, x):
    """(n, height, width, channels) as the parts have it."""
    return x if parts.CHANNELS == -1 else jnp.transpose(x, (3, 1, 2, 0))


def from_map(parts, y):
    return y if parts.CHANNELS == -1 else jnp.transpose(y, (3, 1, 2, 0))


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@PARTS
@pytest.mark.parametrize("side", [1, 2, 3, 4, 5, 8])
@SHAPES
def test_every_way_to_convolve_is_the_same_convolution(parts, side, size, stride):
    x, kernel = normal(2, side, side + 1, 4), normal(size, size, 4, 6, seed=1)
    expected = plain.convolution(np.float64(x), np.float64(kernel), stride, size // 2)
    got = parts.convolve(as_map(parts, x), jnp.asarray(kernel), stride)
    np.testing.assert_allclose(from_map(parts, got), expected, rtol=1e-4, atol=1e-4)
    prepared = parts.prepared(jnp.asarray(kernel), stride)
    got = parts.convolve_prepared(as_map(parts, x), prepared, size, stride)
    np.testing.assert_allclose(from_map(parts, got), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("side", [1, 2, 5, 8])
@pytest.mark.parametrize("channels", [4, 64])  # of the two factors of a product, either is the smaller
@SHAPES
def test_on_a_cpu_a_convolution_has_the_gradient_that_jax_derives(side, channels, size, stride):
    x, kernel = normal(2, side, side + 1, channels), normal(size, size, channels, channels + 2, seed=1)

    def own(x, kernel):
        return from_map(on_cpu, on_cpu.convolve(as_map(on_cpu, x), kernel, stride))

    def derived(x, kernel):
        return on_accelerator.convolve(x, kernel, stride)

    y, gradient = jax.vjp(own, x, kernel)
    g = normal(*y.shape, seed=2)
    expected = jax.vjp(derived, x, kernel)[1](g)
    for got, wanted, name in zip(gradient(g), expected, ("map", "kernel"), strict=True):
        np.testing.assert_allclose(
            got, wanted, rtol=1e-4, atol=1e-5 * float(np.abs(wanted).max()) + 1e-5, err_msg=name
        )


@PARTS
def test_group_norm_and_relu_have_the_gradient_of_finite_differences(parts):
    random = np.random.default_rng(0)
    with jax.enable_x64(True):
        x, beta = jnp.asarray(random.normal(size=(2, 3, 4, 64))), jnp.asarray(random.normal(size=64))
        gamma = jnp.asarray(random.uniform(0.2, 0.6, size=64))
        x = as_map(parts, x)
        check_grads(
            # Far from the corner of the ReLU, where a difference is no gradient.
            lambda x, gamma, beta: jnp.sin(parts.norm_relu(x, gamma, 0.1 * beta + 4)),
            (x, gamma, beta),
            order=1,
            modes=("rev",),
            atol=5e-3,
            rtol=5e-3,
            eps=1e-2,
        )


@pytest.mark.parametrize("channels", [24, 64, 96])
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_group_norm_and_relu_are_the_same_on_a_cpu_with_the_gradient_that_jax_derives(channels, dtype):
    x = jnp.asarray(3 + normal(2, 3, 5, channels), dtype)
    gamma, beta = normal(channels, seed=1), normal(channels, seed=2)
    y, gradient = jax.vjp(
        lambda *given: from_map(on_cpu, on_cpu.norm_relu(as_map(on_cpu, given[0]), *given[1:])),
        x, gamma, beta,
    )  # fmt: skip
    expected, derived = jax.vjp(on_accelerator.norm_relu, x, gamma, beta)
    tolerance = 1e-5 if dtype == jnp.float32 else 2e-2
    assert y.dtype == dtype
    np.testing.assert_allclose(np.float32(y), np.float32(expected), rtol=tolerance, atol=tolerance)
    g = jnp.asarray(normal(*y.shape, seed=3), dtype)
    for got, wanted in zip(gradient(g), derived(g), strict=True):
        assert got.dtype == wanted.dtype
        size = float(jnp.abs(wanted).max())
        np.testing.assert_allclose(np.float32(got), np.float32(wanted), rtol=tolerance, atol=tolerance * size)


@PARTS
def test_where_an_empty_image_leaves_a_map_at_zero_no_gradient_passes(parts):
    x, gamma, beta = jnp.zeros((32, 4, 4, 32)), jnp.ones(32), jnp.zeros(32)
    gradient = jax.grad(lambda beta: jnp.sum(parts.norm_relu(x, gamma, beta)))(beta)
    assert not np.asarray(gradient).any()


@pytest.mark.parametrize("side", [1, 2, 5, 8])
def test_max_pooling_sees_zeros_outside_the_map(side):
    x = np.random.default_rng(0).normal(-3, 1, (2, side, side + 3, 4)).astype(np.float32)
    pooled = on_accelerator.max_pool(jnp.asarray(x))
    np.testing.assert_array_equal(pooled, np.float32(plain.maximum(x)))
    assert (np.asarray(on_accelerator.max_pool(jnp.asarray(-np.abs(x))))[:, 0, 0] == 0).all()


def test_max_pooling_sends_the_gradient_to_the_largest_value():
    x = jnp.asarray(normal(2, 8, 8, 3))

    def windowed(x):
        padded = jnp.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)])
        return lax.reduce_window(padded, -jnp.inf, lax.max, (1, 3, 3, 1), (1, 2, 2, 1), "VALID")

    def weighted(pool):
        return jax.grad(lambda x: jnp.sum(pool(x) * jnp.arange(1.0, 4.0)))(x)

    np.testing.assert_allclose(weighted(on_accelerator.max_pool), weighted(windowed), rtol=1e-6)


@PARTS
def test_the_spatial_mean_is_of_each_image_and_channel(parts):
    x = normal(2, 3, 4, 5)
    got = parts.spatial_mean(as_map(parts, x))
    np.testing.assert_allclose(got, x.mean(axis=(1, 2)), rtol=1e-5, atol=1e-6)


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 70), st.integers(1, 70), st.integers(1, 70))
def test_products_are_numpys_whatever_their_shape(inputs, outputs, places):
    matrix, x = normal(inputs, outputs), normal(inputs, places, seed=1)
    y = normal(outputs, places, seed=2)
    np.testing.assert_allclose(products.applied(matrix, x), matrix.T @ x, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(
        products.over_places(jnp.asarray(x), jnp.asarray(y)), x @ y.T, rtol=1e-4, atol=1e-4
    )


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2), st.integers(1, 70), st.integers(1, 70))
def test_matrices_are_turned_in_stacks_of_any_shape(lead, rows, columns):
    matrices = normal(*(2,) * lead, rows, columns)
    np.testing.assert_array_equal(products.turned(jnp.asarray(matrices)), matrices.swapaxes(-1, -2))
