"""What is to be run and judged, fully resolved: records without defaults, files or clocks.

A `RunSpec` holds everything that shapes a run's numbers and nothing else, so that its hash can
stand for the run. Nothing here imports jax.
"""

from typing import Literal

from medbench.spec.declared import Resolved
from medbench.spec.effects import Term
from medbench.spec.metrics import AnyMetric
from medbench.spec.units import Unit

Aspect = Literal["squashed", "kept"]
"""How an image becomes a square: both sides scaled on their own, or both by the same factor and padded."""

Precision = Literal["float32", "bfloat16"]
"""In which a BiT computes activations and products; all else is float32. Another network has its own."""


class Target(Resolved, frozen=True, kw_only=True):
    """What a model predicts."""

    kind: Literal["single-label", "multi-label"]
    """single-label: exactly one class is true (softmax); multi-label: each may be (sigmoid)."""
    classes: tuple[str, ...]
    """Names in the order of label and logit columns. Of two single-label classes the second is positive."""


class BackboneSpec(Resolved, frozen=True, kw_only=True):
    """A pre-trained network, pinned by the content of its weights."""

    name: str
    upstream: str
    architecture: str
    blocks: tuple[int, ...]
    width: float
    weights: str
    """File name, empty for random initialisation."""
    weights_sha256: str
    """Of the file's bytes, empty for random initialisation."""
    module: str = ""
    """Entry point of a network that is not BiT, which has neither blocks nor width; empty for a BiT."""
    distribution: str = ""
    """Name and version of the package that the module is of."""


class ResolvedRecipe(Resolved, frozen=True, kw_only=True):
    """Fine-tuning hyper-parameters, to the step."""

    name: str
    steps: int
    batch_size: int
    base_learning_rate: float
    momentum: float
    warmup_steps: int
    decay_steps: tuple[int, ...]
    mixup_alpha: float
    resize: int
    crop: int
    horizontal_flip: bool
    aspect: Aspect = "squashed"
    """Whether an image is squashed to the square, or keeps its aspect ratio on black."""
    precision: Precision = "float32"


def label(backbone: str, *, fraction: float = 1.0, recipe: str = "") -> str:
    """What is fine-tuned: the backbone, `@` a share of the patients below 1, `+` a recipe of its own."""
    share = f"@{fraction:g}" if fraction < 1 else ""
    return f"{backbone}{share}{f'+{recipe}' if recipe else ''}"


class RunSpec(Resolved, frozen=True, kw_only=True):
    """One fine-tuning: task x backbone x recipe x training fraction x seed."""

    tier: str
    task: str
    cohort: str
    """The cohort's name, such as `phantoms:chest`."""
    cohort_fingerprint: str
    target: Target
    evaluation_sets: tuple[str, ...]
    """`id` and the shifts, in the order they are scored; validation is always scored too."""
    backbone: BackboneSpec
    recipe: ResolvedRecipe
    own_recipe: bool = False
    """Whether it is another than the tier's: for words alone."""
    fraction: float
    """Share of the training patients, in (0, 1]."""
    seed: int

    @property
    def is_usual(self) -> bool:
        """Whether it has all training patients and the tier's recipe."""
        return self.fraction == 1 and not self.own_recipe

    @property
    def arm(self) -> str:
        """What is fine-tuned, as `Item.arms` has it."""
        recipe = self.recipe.name if self.own_recipe else ""
        return label(self.backbone.name, fraction=self.fraction, recipe=recipe)

    @property
    def label(self) -> str:
        """The run in words, for progress lines and messages."""
        patients = "all patients" if self.fraction == 1 else f"{self.fraction:.0%} of patients"
        recipe = [self.recipe.name] if self.own_recipe else []
        return " · ".join((self.task, self.backbone.name, *recipe, patients, f"seed {self.seed}"))


class Item(Resolved, frozen=True, kw_only=True):
    """A claim on one task and one evaluation set: what is judged, and what an expectation is keyed by."""

    task: str
    claim: str
    evaluation_set: str
    metric: str
    """The metric's name, never `primary`."""
    attribute: str = ""
    """Whose sub-groups are compared, for claims on each attribute."""
    arms: dict[str, str]
    """What is fine-tuned in each arm, in the order declared: the backbone, and its share of the patients and
    recipe where these are not the usual ones. Backbones may change; the item stays."""

    @property
    def id(self) -> str:
        """`task/claim/evaluation-set`, and `/attribute` for claims on each attribute."""
        of_set = f"{self.task}/{self.claim}/{self.evaluation_set}"
        return f"{of_set}/{self.attribute}" if self.attribute else of_set


class PlannedItem(Resolved, frozen=True, kw_only=True):
    """An item and the runs it needs, paired by seed."""

    item: Item
    metrics: dict[str, AnyMetric]
    """The item's metric by its name, and the one that it is `of`, if it is: judging needs no suite."""
    terms: tuple[Term, ...]
    """What the effect is made of."""
    units: tuple[Unit, ...] = ()
    """From images to what is scored."""
    runs: dict[str, dict[int, RunSpec]]
    """By arm and seed."""

    @property
    def all_runs(self) -> list[RunSpec]:
        """Every run, by arm and seed."""
        return [spec for by_seed in self.runs.values() for spec in by_seed.values()]


class Plan(Resolved, frozen=True, kw_only=True):
    """The distinct runs that a selection of items needs."""

    items: tuple[PlannedItem, ...]
    runs: tuple[RunSpec, ...]
    """Each distinct run once, in the order of execution."""
    naive: int
    """Runs that the same items would need if each trained its own."""
