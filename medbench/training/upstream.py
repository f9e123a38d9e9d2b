"""What a pre-training is asked for and what it gives: settings, recipe, result. Nothing here imports jax."""

from dataclasses import dataclass
from pathlib import Path

import msgspec

from medbench.spec.runs import ResolvedRecipe
from medbench.training.cifar10 import SIZE
from medbench.training.hyperrule import MOMENTUM

STEPS = 12_000
WEIGHT_DECAY = 1e-4
_LEARNING_RATE = 0.1
_WARMUP_SHARE = 0.05
_DECAY_SHARES = (0.6, 0.8, 0.95)
ARCHITECTURES: dict[str, tuple[tuple[int, ...], float]] = {
    "r14x0.25": ((1, 1, 1, 1), 0.25),
    "r26x0.25": ((2, 2, 2, 2), 0.25),
    "r14x0.5": ((1, 1, 1, 1), 0.5),
}
"""Units by block and width of the embedded ladder: the smallest, one twice as deep, one twice as wide."""
# Pixels of mirrored border around a photograph before the random crop back to its own size.
BORDER = 4


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What determines the weights, besides the photographs."""

    images: int
    """Training images: a random subset with equally many of each class; smaller ones lie in larger ones."""
    steps: int = STEPS
    """The same for every number of images, so that upstreams differ in their data alone."""
    batch_size: int = 128
    seed: int = 1
    blocks: tuple[int, ...] = (1, 1, 1, 1)
    width: float = 0.5

    @property
    def architecture(self) -> str:
        """Named as BiT's are: layers with kernels (three a unit, root and head) and width."""
        return f"r{3 * sum(self.blocks) + 2}x{self.width:g}"


@dataclass(frozen=True)
class Upstream:
    """A finished pre-training.

    Attributes:
      path: the weight file.
      sha256: of its bytes.
      accuracy: share of test images classified correctly by the file as written, in [0, 1].
    """

    path: Path
    sha256: str
    accuracy: float


def upstream_recipe(settings: Settings) -> ResolvedRecipe:
    """BiT's upstream recipe (arXiv 1912.11370v3, section 3.2) for so few steps of so small batches.

    BiT has a learning rate of 0.03 x batch / 256, a tenth of it after 30, 60 and 80 % of the steps, and
    a warm-up of 18 % (BiT-S). In 12,000 steps that leaves nets far from trained, so the rate is
    higher, the warm-up shorter and the falls are later; chosen by accuracy on CIFAR-10. Instead of an
    Inception crop, which leaves little of 32 pixels, a random crop after a mirrored border of 4.
    """
    return ResolvedRecipe(
        name="bit-upstream-scaled",
        steps=settings.steps,
        batch_size=settings.batch_size,
        base_learning_rate=_LEARNING_RATE,
        momentum=MOMENTUM,
        warmup_steps=round(_WARMUP_SHARE * settings.steps),
        decay_steps=tuple(round(share * settings.steps) for share in _DECAY_SHARES),
        mixup_alpha=0.0,
        resize=SIZE + 2 * BORDER,
        crop=SIZE,
        horizontal_flip=True,
    )
