"""The HyperRule, compared with what the paper prints and with a trace of the released code."""

import subprocess
import sys

import pytest

from medbench.spec.records import Architecture, FixedRecipe, HyperRule
from medbench.training.hyperrule import learning_rate, resolve

PHOTOGRAPH = 600 * 450


R50X1 = Architecture(blocks=[3, 4, 6, 3], width=1)
R152X4 = Architecture(blocks=[3, 8, 36, 3], width=4)


def rule(variant: str, n_train: int = 1_000, image_area: int = PHOTOGRAPH, architecture=R50X1):
    return resolve(
        HyperRule(variant=variant, description=""),
        name=f"bit-hyperrule-{variant}",
        architecture=architecture,
        n_train=n_train,
        image_area=image_area,
        horizontal_flip=True,
    )


def rates(recipe) -> list[float]:
    return [learning_rate(recipe, step) for step in range(recipe.steps)]


def as_released(step: int, supports: list[int]) -> float | None:
    """`get_lr` of google-research/big_transfer, bit_hyperrule.py, restated."""
    if step < supports[0]:
        return 0.003 * step / supports[0]
    if step >= supports[-1]:
        return None
    rate = 0.003
    for s in supports[1:]:
        if s < step:
            rate /= 10
    return rate


@pytest.mark.parametrize(
    ("n_train", "supports"),
    [
        (19_999, [100, 200, 300, 400, 500]),
        (20_000, [500, 3000, 6000, 9000, 10_000]),
        (499_999, [500, 3000, 6000, 9000, 10_000]),
        (500_000, [500, 6000, 12_000, 18_000, 20_000]),
    ],
)
def test_the_code_variant_traces_the_released_code_to_the_step(n_train, supports):
    recipe = rule("code", n_train)
    assert as_released(recipe.steps, supports) is None
    assert rates(recipe) == pytest.approx([as_released(step, supports) for step in range(recipe.steps)])


def test_a_decay_takes_effect_one_step_late_as_in_the_released_code():
    medium = rule("code", 20_000)
    changes = {
        step: learning_rate(medium, step) for step in (0, 499, 500, 3000, 3001, 6000, 6001, 9000, 9001, 9999)
    }
    expected = {
        0: 0.0, 499: 0.003 * 499 / 500, 500: 3e-3, 3000: 3e-3, 3001: 3e-4, 6000: 3e-4,
        6001: 3e-5, 9000: 3e-5, 9001: 3e-6, 9999: 3e-6,
    }  # fmt: skip
    assert changes == pytest.approx(expected)


@pytest.mark.parametrize(
    ("n_train", "steps"), [(1, 500), (19_999, 500), (20_000, 10_000), (499_999, 10_000), (500_000, 20_000)]
)
def test_the_paper_variant_decays_at_30_60_and_90_percent_without_warm_up(n_train, steps):
    recipe = rule("paper", n_train)
    assert recipe.steps == steps
    assert learning_rate(recipe, 0) == 0.003
    for share, before in ((0.3, 3e-3), (0.6, 3e-4), (0.9, 3e-5)):
        assert learning_rate(recipe, round(steps * share)) == pytest.approx(before)
        assert learning_rate(recipe, round(steps * share) + 1) == pytest.approx(before / 10)


def test_mixup_is_for_medium_and_large_sets_only():
    alphas = {n: rule(v, n).mixup_alpha for v in ("paper", "code") for n in (19_999, 20_000, 500_000)}
    assert alphas == {19_999: 0.0, 20_000: 0.1, 500_000: 0.1}


@pytest.mark.parametrize(
    ("variant", "architecture", "area", "resolution"),
    [
        ("paper", R50X1, 96 * 96 - 1, (160, 128)),
        ("paper", R50X1, 96 * 96, (448, 384)),
        ("paper", R152X4, 96 * 96 - 1, (160, 128)),
        ("paper", R152X4, 96 * 96, (512, 480)),
        ("code", R50X1, 96 * 96 - 1, (160, 128)),
        ("code", R50X1, 96 * 96, (512, 480)),
        ("code", R152X4, 96 * 96, (512, 480)),
    ],
)
def test_the_resolution_follows_from_the_images_area_and_from_the_largest_net(
    variant, architecture, area, resolution
):
    recipe = rule(variant, image_area=area, architecture=architecture)
    assert (recipe.resize, recipe.crop) == resolution


def test_optimiser_and_batch_are_those_of_both_variants():
    for variant in ("paper", "code"):
        recipe = rule(variant)
        assert (recipe.batch_size, recipe.base_learning_rate, recipe.momentum) == (512, 0.003, 0.9)


def test_a_fixed_recipe_resolves_to_itself():
    fixed = FixedRecipe(
        description="", deviations=[], steps=6, batch_size=4, base_learning_rate=0.5, warmup_steps=2,
        decay_steps=[3, 4], mixup_alpha=0.2, resize=20, crop=16,
    )  # fmt: skip
    recipe = resolve(fixed, name="tiny", architecture=R50X1, n_train=9, image_area=1, horizontal_flip=False)
    assert rates(recipe) == pytest.approx([0.0, 0.25, 0.5, 0.5, 0.05, 0.005])
    assert (recipe.name, recipe.horizontal_flip, recipe.resize, recipe.crop) == ("tiny", False, 20, 16)
    assert (recipe.batch_size, recipe.mixup_alpha) == (4, 0.2)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_rule_has_the_precision_that_is_declared(precision):
    declared = HyperRule(variant="code", precision=precision, description="")
    recipe = resolve(
        declared, name="rule", architecture=R50X1, n_train=9, image_area=PHOTOGRAPH, horizontal_flip=True
    )
    assert recipe.precision == precision


@pytest.mark.parametrize("step", [-1, 500])
def test_a_step_outside_training_is_refused(step):
    with pytest.raises(ValueError, match="steps 0 to 499"):
        learning_rate(rule("code"), step)


def test_an_empty_training_set_is_refused():
    with pytest.raises(ValueError, match="at least 1"):
        rule("paper", n_train=0)


def test_planning_needs_no_jax():
    code = (
        "import sys; import medbench.training.hyperrule, medbench.training.streams, "
        "medbench.training.progress, medbench.training.pretrain_cli; sys.exit('jax' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
