"""What a run costs: operations as the program has them, and as the nets' authors and users publish them."""

import math

import jax
import jax.numpy as jnp
import pytest

from medbench.cost import PEAKS, SHARE, forward_operations, hours, in_words, operations
from medbench.models.bit import BiT, param_shapes
from tests import runs


@pytest.mark.parametrize(
    ("blocks", "width", "giga"),
    [((3, 4, 6, 3), 1, 4.3), ((3, 4, 23, 3), 1, 8.1), ((3, 4, 23, 3), 3, 71.4)],
)
def test_the_released_nets_have_as_many_operations_as_their_model_cards_say(blocks, width, giga):
    """Multiply-accumulates at 224 pixels, timm's cards, which count norms and the head too."""
    assert forward_operations(blocks, width, 224) / 2e9 == pytest.approx(giga, rel=0.05)


def convolutions(jaxpr):
    """Every convolution that a program has, also within its parts."""
    for equation in jaxpr.eqns:
        if equation.primitive.name == "conv_general_dilated":
            yield equation
        for part in equation.params.values():
            if hasattr(part, "jaxpr"):
                yield from convolutions(part.jaxpr)


@pytest.mark.parametrize("blocks", [(1, 2, 1, 1), (3, 4, 6, 3)])
@pytest.mark.parametrize("size", [32, 65, 96])
def test_operations_are_those_of_every_convolution_in_the_program(blocks, size, monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")  # convolutions, not patches and products
    net = BiT(blocks, 0.5, 1)
    image = jax.ShapeDtypeStruct((1, size, size, 3), jnp.float32)
    program = jax.make_jaxpr(net.apply)({"params": param_shapes(blocks, 0.5, 1)}, image)
    counted = 0
    for equation in convolutions(program.jaxpr):
        kernel, out = equation.invars[1].aval.shape, equation.outvars[0].aval.shape
        counted += 2 * math.prod(out) * math.prod(kernel[:3])
    assert forward_operations(blocks, 0.5, size) == counted > 0


def test_a_step_is_three_passes_over_its_batch():
    run = runs.spec()
    one = forward_operations(run.backbone.blocks, run.backbone.width, run.recipe.crop)
    assert operations(run, scored=0) == 3 * one * run.recipe.steps * run.recipe.batch_size
    assert operations(run, scored=7) - operations(run, scored=0) == 7 * one


def test_a_net_that_is_no_bit_has_no_estimate():
    assert operations(runs.spec(backbone={"blocks": ()}), scored=0) is None


def test_hours_are_operations_over_the_assumed_share_of_the_peak():
    single, half = (SHARE * PEAKS[precision]["H100"] * 1e12 * 7200 for precision in ("float32", "bfloat16"))
    assert hours({"float32": single})["H100"] == pytest.approx(2)
    assert hours({"bfloat16": half})["H100"] == pytest.approx(2)
    assert hours({"float32": single, "bfloat16": half})["H100"] == pytest.approx(4)


def test_what_takes_minutes_is_not_estimated():
    assert hours({"float32": SHARE * PEAKS["float32"]["H100"] * 1e12 * 359}) == {}
    assert hours({}) == {}


def test_on_a_cpu_it_is_said_that_there_is_no_accelerator():
    assert in_words({"H100": 1.5}, on_cpu=True).endswith(". None is used here: on the CPU it would take days")


def test_hours_are_said_with_what_they_rest_on():
    assert in_words({"A100": 310.4, "H100": 1.5}) == (
        "about 310 h on one A100, 1 h 30 min on one H100 "
        "(counted operations at 25% of the peak, nothing measured)"
    )
