"""The card beside pre-trained weights: where they come from and what they may be used for."""

import jax

from medbench.training.cifar10 import CLASSES, Photographs
from medbench.training.upstream import BORDER, WEIGHT_DECAY, Settings, Upstream, upstream_recipe


def card(photographs: Photographs, settings: Settings, upstream: Upstream) -> str:
    """The card in Markdown; it names no path of the machine."""
    recipe = upstream_recipe(settings)
    images, available = settings.images, len(photographs.labels)
    command = (
        f"medbench pretrain --data DIR --architecture {settings.architecture} --images {images} "
        f"--steps {settings.steps} --seed {settings.seed}"
    )
    rows = {
        "architecture": f"BiT ResNet-v2, {settings.blocks} units in the blocks, width {settings.width:g}",
        "data": f"CIFAR-10 ({photographs.source}): {images:,} of its {available:,} training images, "
        "equally many of each class, 32 x 32 pixels",
        "licence of the data": "none stated by the author; free use in research with citation is customary; "
        "the photographs were collected from the web "
        '(A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009)',
        "steps": f"{settings.steps:,} of {settings.batch_size} images, softmax over the {CLASSES} classes",
        "optimiser": f"SGD, momentum {recipe.momentum:g}, weight decay {WEIGHT_DECAY:g} on kernels",
        "learning rate": f"{recipe.base_learning_rate:g} after {recipe.warmup_steps} steps of warm-up, a "
        f"tenth of it after each of {recipe.decay_steps}",
        "augmentation": f"random crop after a mirrored border of {BORDER} pixels, random horizontal flip",
        "seed": str(settings.seed),
        "test accuracy": f"{upstream.accuracy:.2%} of {len(photographs.test_labels):,} images",
        "file": f"16-bit arrays under the names of the released BiT files, head included; sha256 "
        f"`{upstream.sha256}`",
        "made on": f"{jax.devices()[0].device_kind}, jax {jax.__version__}",
    }
    table = "\n".join(f"| {name} | {value} |" for name, value in rows.items())
    return f"""# {upstream.path.stem}

An upstream of the embedded tier: it exists to compare scales of pre-training on a CPU, not to be good.

| | |
| --- | --- |
{table}

Made by

    {command}

with `DIR` the folder of CIFAR-10. On one CPU the same command gives the same bytes; on another machine or an
accelerator it gives weights that are as good, not the same. The recipe is BiT's for pre-training (Kolesnikov
et al., arXiv 1912.11370), scaled down, with a higher learning rate, a shorter warm-up and later falls.
"""
