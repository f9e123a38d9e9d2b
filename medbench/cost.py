"""What a run costs on an accelerator that nobody has timed it on: counted operations over an assumed speed.

An estimate before the first run, to choose between an evening and a month; runs that were timed come first.
"""

from collections.abc import Iterable, Mapping

from medbench.execute.progress import duration
from medbench.spec.runs import RunSpec

PEAKS = {"A100": 156.0, "H100": 494.7, "TPU v5e": 197.0}
"""Tera operations per second of one device in the precision in which jax multiplies float32 there: TF32 on
the GPUs (NVIDIA's datasheets of the SXM variants, without sparsity), bfloat16 on the TPU
(cloud.google.com/tpu/docs/v5e)."""
SHARE = 0.25
"""Of the peak that is assumed to be reached; an assumption, nothing measured."""
LEAST_HOURS = 0.1
"""Of the fastest device; smaller plans need no accelerator, and are timed by their first run."""
BACKWARD = 2
"""Gradients by activations and by weights cost a forward pass each."""


def forward_operations(blocks: Iterable[int], width: float, size: int) -> int:
    """Multiplications and additions of a BiT net's convolutions for one square image.

    Args:
      blocks: units in each block.
      width: factor on the channels.
      size: pixels of a side.

    Returns:
      Twice the multiply-accumulates: R50x1 at 224 pixels has 4.1 billion of these.
    """
    side, channels = _strided(size), int(64 * width)
    products = side**2 * 7 * 7 * 3 * channels
    side = _strided(side)
    incoming = channels
    for index, units in enumerate(blocks):
        middle = channels * 2**index
        for unit in range(units):
            first = unit == 0
            out = _strided(side) if first and index else side
            products += side**2 * incoming * middle + out**2 * (9 * middle**2 + 4 * middle**2)
            products += out**2 * incoming * 4 * middle if first else 0
            side, incoming = out, 4 * middle
    return 2 * products


def operations(run: RunSpec, scored: int) -> float | None:
    """Of fine-tuning and scoring; None where the net is not a BiT, whose operations nobody counted.

    Args:
      run: the run.
      scored: images that it scores, each time counted.
    """
    if not run.backbone.blocks:
        return None
    one = forward_operations(run.backbone.blocks, run.backbone.width, run.recipe.crop)
    return float(one) * ((1 + BACKWARD) * run.recipe.steps * run.recipe.batch_size + scored)


def hours(total: float) -> dict[str, float]:
    """Hours of one device of each kind for so many operations; none where they are too few to matter."""
    found = {name: total / (SHARE * peak * 1e12) / 3600 for name, peak in PEAKS.items()}
    return found if min(found.values()) >= LEAST_HOURS else {}


def in_words(by_device: Mapping[str, float], *, on_cpu: bool = False) -> str:
    """`about 310 h on one A100, 98 h on one H100 (counted operations at 25 % of the peak, …)`.

    Args:
      by_device: hours by accelerator.
      on_cpu: whether none is used here, which is said, as it then takes far longer.
    """
    each = ", ".join(f"{_in_words(value)} on one {name}" for name, value in by_device.items())
    here = ". None is used here: on the CPU it would take days" if on_cpu else ""
    return f"about {each} (counted operations at {SHARE:.0%} of the peak, nothing measured){here}"


def _in_words(value: float) -> str:
    return f"{value:,.0f} h" if value >= 10 else duration(3600 * value)


def _strided(size: int) -> int:
    """Pixels after a step of two with padding: half, rounded up."""
    return -(-size // 2)
