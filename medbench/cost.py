"""What a run costs on an accelerator that nobody has timed it on: counted operations over an assumed speed.

An estimate before the first run, to choose between an evening and a month; runs that were timed come first.
"""

from collections import Counter
from collections.abc import Iterable, Mapping

from medbench.execute.progress import duration
from medbench.models import shape
from medbench.spec.runs import Precision, RunSpec

PEAKS: dict[Precision, dict[str, float]] = {
    "float32": {"A100": 156.0, "H100": 494.7, "TPU v5e": 197.0},
    "bfloat16": {"A100": 312.0, "H100": 989.4, "TPU v5e": 197.0},
}
"""Tera operations per second of one device by the recipe's precision. Products of float32 are jax's own: TF32
on the GPUs (NVIDIA's datasheets of the SXM variants, without sparsity), bfloat16 on the TPU
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
    root = shape.root(width, size)
    products = root.side**2 * 7 * 7 * 3 * root.channels
    for unit in shape.units(blocks, width, size):
        products += unit.side**2 * unit.incoming * unit.middle + unit.out**2 * (9 + 4) * unit.middle**2
        products += unit.out**2 * unit.incoming * 4 * unit.middle if unit.projects else 0
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


def hours(totals: Mapping[Precision, float]) -> dict[str, float]:
    """Hours of one device of each kind for so many operations; none where they are too few to matter.

    Args:
      totals: operations by the precision that they are done in.
    """
    found: Counter[str] = Counter()
    for precision, total in totals.items():
        found.update({name: total / (SHARE * peak * 1e12) / 3600 for name, peak in PEAKS[precision].items()})
    return dict(found) if min(found.values(), default=0.0) >= LEAST_HOURS else {}


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
