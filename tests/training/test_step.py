"""A training step against optax and closed forms; augmentation against images that show their place."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.special
import scipy.stats

from medbench.training import memory
from medbench.training import step as steps
from medbench.training.step import Objective
from tests.training.linear import Linear, linear_params

NETWORK = Linear(3)
KEY = steps.random_key(7)


def objective(kind="single-label", *, crop=16, flip=False, mixup_alpha=0.0, weight_decay=0.0):
    return Objective(kind, crop, flip, mixup_alpha, 0.9, weight_decay)


def params(size=16):
    return linear_params(size * size * 3, 3)


def batch(n=4, size=16, channels=3, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.eye(3, dtype=np.int8)[rng.integers(3, size=n)]
    return rng.integers(256, size=(n, size, size, channels), dtype=np.uint8), labels


def take_steps(images, labels, rates, objective, start=None):
    state = steps.start(start or params())
    losses = []
    for number, rate in enumerate(rates):
        state, loss = steps.train_step(
            state, images, labels, learning_rate=np.float32(rate), key=KEY, step=number,
            network=NETWORK, objective=objective,
        )  # fmt: skip
        losses.append(float(loss))
    return state, losses


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_a_step_is_sgd_with_momentum_and_coupled_decay_of_kernels_as_in_optax(weight_decay):
    images, labels = batch()
    rates = [0.1, 0.01, 0.05]

    def reference_loss(weights):
        scaled = (jnp.asarray(images, jnp.float32) - 127.5) / 127.5
        logits, _ = NETWORK.apply(weights, scaled)
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels.argmax(axis=1)).mean()

    optimiser = optax.chain(
        optax.add_decayed_weights(weight_decay, mask={"kernel": True, "gamma": False}),
        optax.sgd(lambda i: jnp.array(rates)[i], 0.9),
    )
    expected = jax.tree.map(jnp.asarray, params())
    memory = optimiser.init(expected)
    for _ in rates:
        updates, memory = optimiser.update(jax.grad(reference_loss)(expected), memory, expected)
        expected = optax.apply_updates(expected, updates)

    state, _ = take_steps(images, labels, rates, objective(weight_decay=weight_decay))
    chex.assert_trees_all_close(state.params, expected, rtol=1e-4, atol=1e-6)


def test_the_loss_is_that_before_the_update():
    images, labels = batch()
    logits = np.asarray(steps.predict_step(params(), images, network=NETWORK)[0], np.float64)
    expected = -(scipy.special.log_softmax(logits, axis=1) * labels).sum(axis=1).mean()
    _, losses = take_steps(images, labels, [0.1], objective())
    assert losses[0] == pytest.approx(expected, rel=1e-5)


def test_sigmoid_loss_sums_known_labels_and_leaves_out_unknown_ones():
    logits = np.array([[2.0, -1.0], [0.5, 3.0]])
    labels = np.array([[1, 0], [-1, 0]], np.int8)
    cross_entropy = np.log1p(np.exp(-2.0)) + np.log1p(np.exp(-1.0)) + np.log1p(np.exp(3.0))
    loss, gradient = jax.value_and_grad(lambda z: steps.loss(z, labels, "multi-label"))(jnp.asarray(logits))
    assert float(loss) == pytest.approx(cross_entropy / 2, rel=1e-6)
    expected = (scipy.special.expit(logits) - np.array([[1, 0], [0, 0]])) / 2
    expected[1, 0] = 0
    np.testing.assert_allclose(gradient, expected, atol=1e-6)


def test_softmax_loss_of_a_zero_head_is_the_logarithm_of_the_number_of_classes():
    labels = np.eye(5, dtype=np.int8)
    assert float(steps.loss(jnp.zeros((5, 5)), labels, "single-label")) == pytest.approx(np.log(5))


def placed(n=64, size=7):
    """Images whose pixel values are row * 16 + column."""
    rows, columns = np.mgrid[:size, :size]
    return np.broadcast_to((rows * 16 + columns)[None, :, :, None], (n, size, size, 1)).astype(np.uint8)


def test_crops_are_squares_of_the_image_from_every_place():
    squares = np.asarray(steps.augment(KEY, jnp.asarray(placed(n=400)), 5, flip=False))[..., 0]
    corners = squares[:, 0, 0]
    relative = np.arange(5)[:, None] * 16 + np.arange(5)
    np.testing.assert_array_equal(squares, corners[:, None, None] + relative)
    assert set(corners.tolist()) == {row * 16 + column for row in range(3) for column in range(3)}


def test_flips_mirror_about_half_of_the_images_and_only_left_to_right():
    squares = np.asarray(steps.augment(KEY, jnp.asarray(placed(n=400)), 7, flip=True))[..., 0]
    straight = placed(n=1)[0, ..., 0]
    is_straight = (squares == straight).all(axis=(1, 2))
    is_mirrored = (squares == straight[:, ::-1]).all(axis=(1, 2))
    assert (is_straight | is_mirrored).all()
    assert 160 < is_mirrored.sum() < 240


def test_an_image_at_crop_size_without_flips_is_left_alone():
    images = jnp.asarray(batch()[0])
    np.testing.assert_array_equal(steps.augment(KEY, images, 16, flip=False), images)


def test_scaling_maps_bytes_to_minus_one_to_one_and_grey_to_three_equal_channels():
    grey = np.array([0, 51, 255], np.uint8).reshape(1, 1, 3, 1)
    scaled = np.asarray(steps.scale(jnp.asarray(grey)))
    assert scaled.dtype == np.float32
    np.testing.assert_allclose(scaled[0, 0], [[-1] * 3, [-0.6] * 3, [1] * 3], atol=1e-6)


def test_shares_of_mixup_follow_the_beta_distribution():
    keys = jax.random.split(KEY, 2000)
    shares = jax.vmap(lambda key: steps.mixup_share(key, 0.5))(keys)
    assert scipy.stats.kstest(np.asarray(shares), scipy.stats.beta(0.5, 0.5).cdf).pvalue > 1e-3


def test_mixup_is_cross_entropy_with_labels_mixed_as_the_images_are_with_those_of_the_reversed_batch():
    images, labels = batch()
    _, mixing = jax.random.split(jax.random.fold_in(KEY, 0))
    share = float(jax.random.beta(mixing, 0.4, 0.4, dtype=jnp.float32))
    assert 0.01 < share < 0.99
    scaled = images / 127.5 - 1
    mixed = share * scaled + (1 - share) * scaled[::-1]
    soft = share * labels + (1 - share) * labels[::-1]
    logits = np.asarray(NETWORK.apply(params(), jnp.asarray(mixed))[0], np.float64)
    expected = -(scipy.special.log_softmax(logits, axis=1) * soft).sum(axis=1).mean()
    _, losses = take_steps(images, labels, [0.0], objective(mixup_alpha=0.4))
    assert losses[0] == pytest.approx(expected, rel=1e-4)


def test_micro_batches_are_crops_flips_and_mixtures_of_the_whole_batch():
    images, labels = batch(n=6, size=24)
    labels[0] = -1  # an image of which nothing is known counts as one all the same
    settings = objective("multi-label", flip=True, mixup_alpha=0.4, weight_decay=0.1)
    whole, in_parts = (
        steps.train_step(
            steps.start(params()), images, labels, learning_rate=np.float32(0.1), key=KEY, step=3,
            network=NETWORK, objective=settings, parts=n,
        )
        for n in (1, 3)
    )  # fmt: skip
    chex.assert_trees_all_close(in_parts, whole, rtol=1e-5, atol=1e-6)


def test_every_step_has_augmentation_of_its_own_that_only_key_and_step_decide():
    images, labels = batch(size=24)
    losses = take_steps(images, labels, [0.0] * 4, objective(flip=True))[1]
    assert len(set(losses)) == 4
    assert take_steps(images, labels, [0.0] * 4, objective(flip=True))[1] == losses


def test_other_learning_rates_labels_and_steps_do_not_compile_again():
    counted = jax.jit(
        chex.assert_max_traces(steps.train_step.__wrapped__, n=1), static_argnames=("network", "objective")
    )
    state = steps.start(params())
    for number, rate in enumerate([0.1, 0.2, 0.3]):
        images, labels = batch(seed=number)
        state, _ = counted(
            state, images, labels, learning_rate=np.float32(rate), key=steps.random_key(number), step=number,
            network=Linear(3), objective=objective(),
        )  # fmt: skip


def test_starting_copies_the_parameters():
    """The first step gives its memory away; the caller's parameters must survive it."""
    mine = jax.tree.map(jnp.asarray, params())
    images, labels = batch()
    take_steps(images, labels, [0.5], objective(), mine)
    chex.assert_trees_all_equal(mine, params())


def test_the_host_is_some_steps_ahead_of_the_device_and_no_more(monkeypatch):
    waited, results = [], []
    monkeypatch.setattr(jax, "block_until_ready", waited.append)
    for step in range(9):
        results.append(step)
        steps.keep_close(results)
    assert waited == list(range(9 - memory.LOOK_BACK))
