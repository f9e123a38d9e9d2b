"""Micro-batches and what they rest on: estimates of memory against what XLA plans, and the rule itself."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medbench.models import bit, shape
from medbench.training import memory
from medbench.training import step as steps
from medbench.training.memory import FEWEST, LARGEST_EVALUATION, SHARE, Footprint, Split
from tests import runs

GB = 10**9
R50X1 = Footprint((3, 4, 6, 3), 1, 512, 480, "bfloat16")
R152X4 = Footprint((3, 8, 36, 3), 4, 512, 480, "bfloat16")
SMALL = Footprint((1, 2, 4, 1), 0.25, 64, 64, "float32")


def planned(footprint, images, *, scored):
    """Bytes that XLA plans for a batch beside what goes in and comes out, with an accelerator's program."""
    program = bit.Program(platform="cuda")
    network = steps.Network(
        footprint.blocks, footprint.width, 3, precision=footprint.precision, program=program
    )
    batch = jax.ShapeDtypeStruct((images, footprint.crop, footprint.crop, 3), jnp.uint8)

    def logits(params, images):
        return network.apply(params, steps.scale(images))[0]

    def loss(params, images):
        return jnp.square(logits(params, images)).mean()

    step = jax.jit(logits if scored else jax.grad(loss))
    shapes = bit.param_shapes(network.blocks, network.width, 3)
    return step.lower(shapes, batch).compile().memory_analysis().temp_size_in_bytes


def planned_for_one(footprint, *, scored=False):
    """What an image more adds."""
    return (planned(footprint, 8, scored=scored) - planned(footprint, 4, scored=scored)) / 4


def test_an_image_keeps_as_many_bytes_in_training_as_xla_plans_for_it():
    for footprint in (SMALL, replace(SMALL, crop=128)):
        assert footprint.kept(rematerialized=False) == pytest.approx(planned_for_one(footprint), rel=0.2)


def test_in_scoring_it_takes_no_more_than_is_counted_and_not_far_less():
    planned = planned_for_one(SMALL, scored=True)
    assert planned < SMALL.alive() < 2 * planned


@pytest.mark.parametrize("size", [64, 128])
def test_of_units_that_are_computed_twice_what_jax_keeps_and_the_largest_unit_are_counted(size):
    """By what the gradient's function holds: XLA for CPUs undoes the saving, so its plan does not tell."""
    footprint = replace(SMALL, crop=size)
    program = bit.Program(rematerialized=True, platform="cuda")
    network = steps.Network(SMALL.blocks, SMALL.width, 3, program=program)

    def gradient(params, images):
        return jax.vjp(lambda params: network.apply(params, images)[0], params)[1]

    batch = jax.ShapeDtypeStruct((7, size, size, 3), jnp.float32)
    held = jax.tree.leaves(jax.eval_shape(gradient, bit.param_shapes(SMALL.blocks, SMALL.width, 3), batch))
    saved = sum(leaf.size * leaf.dtype.itemsize for leaf in held if leaf.ndim and leaf.shape[0] == 7) / 7
    widest = max(unit.side**2 * (unit.incoming + unit.middle) + unit.out**2 * unit.middle
                 for unit in shape.units(SMALL.blocks, SMALL.width, size))  # fmt: skip
    assert saved < footprint.kept(rematerialized=True) < saved + 2 * 4 * widest


def test_half_the_precision_takes_half_the_memory_of_maps():
    for rematerialized in (False, True):
        single, half = (
            replace(SMALL, precision=precision).kept(rematerialized=rematerialized)
            for precision in ("float32", "bfloat16")
        )
        assert single == 2 * half


def test_images_that_wait_and_their_crops_are_counted_beside_the_parameters():
    each = R50X1.fixed(1) - R50X1.fixed(0)
    waiting, crops = (memory.LOOK_BACK + 1) * 3 * 512**2, 2 * 3 * 480**2
    assert waiting + crops <= each <= waiting + 2 * crops


@pytest.mark.parametrize(
    ("blocks", "width", "body"),
    [((3, 4, 6, 3), 1, 23_500_352), ((3, 4, 23, 3), 3, 381_789_888), ((3, 8, 36, 3), 4, 928_340_224)],
)
def test_parameters_are_as_many_as_published(blocks, width, body):
    assert shape.parameters(blocks, width) == body


def test_what_fits_is_one_batch_and_computed_once():
    assert SMALL.split(32, memory=4 * GB) == Split(parts=1, rematerialized=False)


def test_the_largest_released_net_fits_60_gigabytes_and_computed_twice_40():
    """Of an accelerator with 80, jax takes 60 unless it is told otherwise."""
    assert R152X4.split(512, memory=60 * GB).rematerialized is False
    assert R152X4.split(512, memory=40 * GB).rematerialized is True
    for capacity in (40 * GB, 60 * GB):
        split = R152X4.split(512, memory=capacity)
        images = 512 // split.parts
        needed = R152X4.fixed(512) + images * R152X4.kept(rematerialized=split.rematerialized)
        assert images >= FEWEST
        assert needed <= SHARE * capacity


@given(
    batch=st.integers(1, 64),
    devices=st.integers(1, 8),
    memory=st.integers(1, 300 * GB),
    footprint=st.sampled_from([SMALL, R50X1, R152X4]),
)
def test_micro_batches_divide_the_batch_and_all_devices_and_none_could_be_larger(
    batch, devices, memory, footprint
):
    split = footprint.split(batch * devices, memory=memory, devices=devices)
    assert batch % split.parts == 0
    left = SHARE * memory - footprint.fixed(batch)
    each = footprint.kept(rematerialized=split.rematerialized)
    images = batch // split.parts
    assert images == 1 or images * each <= left
    larger = [n for n in range(images + 1, batch + 1) if batch % n == 0]
    assert not larger or larger[0] * each > left


def test_more_memory_never_takes_more_micro_batches():
    parts = [R50X1.split(512, memory=capacity * GB, fewest=1).parts for capacity in range(1, 200)]
    assert parts == sorted(parts, reverse=True)
    assert (parts[0], parts[-1]) == (512, 1)


def test_batches_that_are_scored_are_as_large_as_memory_and_use_allow():
    sizes = [R152X4.evaluation_batch(memory=capacity * GB) for capacity in (1, 16, 40, 80)]
    assert sizes == sorted(sizes)
    assert (sizes[0], sizes[-1]) == (1, LARGEST_EVALUATION)
    assert all(size & (size - 1) == 0 for size in sizes)


def test_what_is_scored_fits_beside_the_state_of_training_and_prepared_kernels():
    """While a validation set is scored, parameters and velocity wait for the next step."""
    for capacity in (16 * GB, 24 * GB, 40 * GB):
        images = R152X4.evaluation_batch(memory=capacity)
        parameters = 4 * shape.parameters(R152X4.blocks, R152X4.width)
        assert 3 * parameters + parameters / 2 + images * R152X4.alive() <= capacity


def test_a_run_takes_the_micro_batches_that_the_device_asks_for(monkeypatch):
    recipe = runs.spec(recipe={"batch_size": 512, "resize": 512, "crop": 480}).recipe
    network = steps.Network(R50X1.blocks, R50X1.width, 2, precision="bfloat16")
    monkeypatch.setattr(memory, "of_device", lambda: 8 * GB)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    fitted, parts = network.fitting(recipe, devices=2)
    split = R50X1.split(512, memory=8 * GB, devices=2)
    assert (fitted.program.rematerialized, parts) == (split.rematerialized, split.parts)
    assert network.scored_at_once(recipe, devices=2) == 2 * R50X1.evaluation_batch(memory=8 * GB)
    monkeypatch.setattr(memory, "of_device", lambda: 2 * GB)
    assert network.fitting(recipe)[0].program.rematerialized
    monkeypatch.setattr(jax, "default_backend", lambda: "cpu")
    assert not network.fitting(recipe)[0].program.rematerialized


def test_a_net_of_another_package_gets_its_batch_whole():
    network = steps.Network((), 0.0, 2, module="another")
    recipe = runs.spec().recipe
    assert network.fitting(recipe) == (network, 1)
    assert network.scored_at_once(recipe) == recipe.batch_size


def test_this_machine_has_memory():
    assert memory.of_device() > GB
