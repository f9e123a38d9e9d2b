"""The BiT-HyperRule as pure functions of the training set's size, and the learning rate by step.

Both published variants (Kolesnikov et al., arXiv 1912.11370v3, section 3.3, and the released
`bit_hyperrule.py`), which differ. Nothing here imports jax: a plan resolves recipes with it.
"""

from bisect import bisect_left
from typing import Literal

from medbench.spec.records import Architecture, FixedRecipe, HyperRule
from medbench.spec.runs import ResolvedRecipe

MOMENTUM = 0.9
VALIDATED_AT = (0.03, 0.06, 0.12, 0.25, 0.5, 0.75)
"""Shares of the steps after which the validation set is scored, beside the end: closest where scores move."""
_BASE_LEARNING_RATE, _BATCH_SIZE = 0.003, 512
_MIXUP_ALPHA = 0.1
_SMALL_IMAGE = 96 * 96
_SMALL_RESOLUTION = (160, 128)

# Both variants call fewer than 20,000 images small and fewer than 500,000 medium.
_SizeClass = Literal["small", "medium", "large"]
# (resize, crop) of larger images; the paper's footnote excepts its largest net.
_RESOLUTION = {"paper": (448, 384), "code": (512, 480)}
_LARGEST_NET, _ITS_RESOLUTION = ([3, 8, 36, 3], 4), (512, 480)
# Warm-up, three decays, end of training, in steps. The paper's come from its percentages, without warm-up.
_SCHEDULE = {
    ("paper", "small"): (0, 150, 300, 450, 500),
    ("paper", "medium"): (0, 3_000, 6_000, 9_000, 10_000),
    ("paper", "large"): (0, 6_000, 12_000, 18_000, 20_000),
    ("code", "small"): (100, 200, 300, 400, 500),
    ("code", "medium"): (500, 3_000, 6_000, 9_000, 10_000),
    ("code", "large"): (500, 6_000, 12_000, 18_000, 20_000),
}


def resolve(
    recipe: HyperRule | FixedRecipe,
    *,
    name: str,
    architecture: Architecture,
    n_train: int,
    image_area: int,
    horizontal_flip: bool,
) -> ResolvedRecipe:
    """The recipe for one training set, to the step.

    Args:
      recipe: as declared.
      name: what `recipes.yaml` calls it.
      architecture: of the net; the paper gives R152x4 larger images.
      n_train: number of training images, at least 1.
      image_area: median width x height of the training images, in pixels.
      horizontal_flip: whether the task allows mirrored images.

    Raises:
      ValueError: there are no training images.
    """
    if n_train < 1:
        raise ValueError(f"recipe `{name}` for {n_train} training images: expected at least 1")
    if isinstance(recipe, FixedRecipe):
        return ResolvedRecipe(
            name=name,
            steps=recipe.steps,
            batch_size=recipe.batch_size,
            base_learning_rate=recipe.base_learning_rate,
            momentum=MOMENTUM,
            warmup_steps=recipe.warmup_steps,
            decay_steps=tuple(recipe.decay_steps),
            mixup_alpha=recipe.mixup_alpha,
            resize=recipe.resize,
            crop=recipe.crop,
            horizontal_flip=horizontal_flip,
            aspect=recipe.aspect,
            precision=recipe.precision,
        )
    size = size_class(n_train)
    warmup, *decays, steps = _SCHEDULE[recipe.variant, size]
    resize, crop = _resolution(recipe.variant, architecture, image_area)
    return ResolvedRecipe(
        name=name,
        steps=steps,
        batch_size=_BATCH_SIZE,
        base_learning_rate=_BASE_LEARNING_RATE,
        momentum=MOMENTUM,
        warmup_steps=warmup,
        decay_steps=tuple(decays),
        mixup_alpha=0.0 if size == "small" else _MIXUP_ALPHA,
        resize=resize,
        crop=crop,
        horizontal_flip=horizontal_flip,
        aspect=recipe.aspect,
        precision=recipe.precision,
    )


def _resolution(
    variant: Literal["paper", "code"], architecture: Architecture, image_area: int
) -> tuple[int, int]:
    if image_area < _SMALL_IMAGE:
        return _SMALL_RESOLUTION
    is_largest = (architecture.blocks, architecture.width) == _LARGEST_NET
    return _ITS_RESOLUTION if is_largest else _RESOLUTION[variant]


def size_class(n_train: int) -> _SizeClass:
    """`small` below 20,000 training images, `medium` below 500,000, else `large`."""
    if n_train < 20_000:
        return "small"
    return "medium" if n_train < 500_000 else "large"


def learning_rate(recipe: ResolvedRecipe, step: int) -> float:
    """The learning rate of a 0-based step: linear warm-up from 0, then a tenth past every decay step.

    As the released code has it, a decay step itself still takes the old rate and the next one the
    new (`if s < step`). The paper names only percentages; its variant follows the same convention.

    Raises:
      ValueError: `step` is outside [0, recipe.steps).
    """
    if not 0 <= step < recipe.steps:
        raise ValueError(f"step {step} of recipe `{recipe.name}`, which has steps 0 to {recipe.steps - 1}")
    if step < recipe.warmup_steps:
        return recipe.base_learning_rate * step / recipe.warmup_steps
    return recipe.base_learning_rate / 10 ** bisect_left(sorted(recipe.decay_steps), step)
