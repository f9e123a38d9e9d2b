"""What a suite declares in YAML, as typed records; the order of the fields is part of the format.

Nothing here computes or reads files, and nothing imports jax.
"""

from typing import Literal

import msgspec

from medbench.spec.declared import Declared
from medbench.spec.effects import AnyEffect, Gain
from medbench.spec.metrics import PRIMARY, AnyMetric
from medbench.spec.runs import Aspect, Precision, label
from medbench.spec.units import Unit


class Source(Declared, frozen=True, kw_only=True):
    """Where a claim comes from and how sure we are of it."""

    study: str
    """The study's number for the claim (`C6`), or a citation."""
    strength: Literal["P", "G", "2nd", "C", "R", "own"]
    """P the paper's own text, G a summary, 2nd a secondary source, C a companion paper, R a repository."""


class Arm(Declared, frozen=True, kw_only=True):
    """One side of a comparison: a backbone named by its two axes of scale, and how it is fine-tuned."""

    upstream: str
    architecture: str
    fraction: float = 1.0
    """Share of the training patients, in (0, 1]; smaller shares lie within larger ones."""
    recipe: str = ""
    """A recipe of its own; empty for the tier's."""

    @property
    def backbone(self) -> str:
        """The backbone's name, `bit-<upstream>-<architecture>`."""
        return f"bit-{self.upstream}-{self.architecture}"

    @property
    def label(self) -> str:
        """See `label`."""
        return label(self.backbone, fraction=self.fraction, recipe=self.recipe)


class Claim(Declared, frozen=True, kw_only=True):
    """A statement of the study as a predicate over runs (`claims/*.yaml`)."""

    claim: str
    """Name, lower case with hyphens; the second part of an item's id."""
    statement: str
    """One sentence that can be true or false."""
    source: Source
    tasks: list[str]
    arms: dict[str, dict[str, Arm]]
    """Which backbones are compared, by tier (each has its own upstreams) and name: `baseline` and
    `treatment`, or as the effect needs them."""
    effect: AnyEffect = Gain()
    """How the metric of the arms becomes one number."""
    seeds: int = 0
    """The first so many seeds of the tier; 0 for all."""
    evaluate: Literal["id", "each-shift", "each-set"]
    """`id`: one item on the in-distribution set; `each-shift`: one per shift that the cohort declares;
    `each-set`: both."""
    each_attribute: bool = False
    """One item per sub-group attribute of the task: of a metric that compares groups and names none."""
    metric: str = PRIMARY
    """A metric that is built in (`roc_auc`) or declared, or `primary` for the task's own."""
    predicate: Literal["superiority", "non-inferiority", "equivalence"]
    margin: float
    """In units of the metric: the gain that the treatment must exceed (superiority, at least 0), the loss
    that it must stay within (non-inferiority), or either (equivalence)."""
    margin_reason: str
    relevant_effect: float
    """The true effect that power is stated for, one of which the claim holds: the smallest worth detecting
    (superiority), usually 0 (non-inferiority, equivalence)."""
    family: str
    """Groups claims that ask one question, such as `ood`: p-values are adjusted within it (Holm), the
    verdict is not."""


class Property(Declared, frozen=True, kw_only=True):
    """Two claims that ask the same at both ends of the ladder."""

    at_scale: str
    """The claim about the largest scale."""
    small: str
    """The claim about the smallest."""


class Synthesis(Declared, frozen=True, kw_only=True):
    """A statement of the study that is judged from the verdicts of other claims (`syntheses/*.yaml`)."""

    synthesis: str
    """Name, lower case with hyphens."""
    statement: str
    """That something holds at scale and not when small, for at least one of the properties."""
    source: Source
    tasks: list[str]
    properties: dict[str, Property]


class Task(Declared, frozen=True, kw_only=True):
    """A prediction problem of a domain (`tasks/*.yaml`)."""

    task: str
    domain: Literal["chest", "mammography", "dermatology"]
    statement: str
    """What is predicted, from what, in one sentence."""
    claims_of: str = ""
    """Another task, whose claims this one is judged by too: the same question, asked of another cohort."""
    cohorts: dict[str, str]
    """The cohort by tier: `source:name` (`phantoms:chest`), or a folder with `cohort.yaml`, from the suite's
    folder."""
    recipes: dict[str, str] = msgspec.field(default_factory=dict)
    """By tier, where the task's images need another recipe than the tier's."""
    primary: str
    """The metric that claims mean by `primary`."""
    horizontal_flip: bool
    """Whether a mirrored image keeps its labels, so that training may flip."""
    units: list[Unit] = msgspec.field(default_factory=list)
    """From images to what is scored, one step after another; empty where images are scored."""
    attributes: list[str] = msgspec.field(default_factory=list)
    """Whose sub-groups are compared, as far as a cohort has them."""


class Architecture(Declared, frozen=True, kw_only=True):
    """A BiT ResNet-v2 by depth and width, or another net by its module (`backbones.yaml`)."""

    blocks: list[int] = msgspec.field(default_factory=list)
    """Units in each of the four blocks."""
    width: float = 0.0
    """Factor on the channels of every layer: root 64 x width."""
    module: str = ""
    """In place of both, the entry point (group `medbench.backbones`) of a Flax module that is not BiT."""
    description: str = ""


class Upstream(Declared, frozen=True, kw_only=True):
    """What a backbone was pre-trained on (`backbones.yaml`)."""

    description: str
    images: int
    """Number of distinct training images; 0 for random initialisation."""
    classes: int
    weights: dict[str, str] = msgspec.field(default_factory=dict)
    """File name of the weights by architecture; `medbench.models.weights.find` says where to put it."""


class Backbones(Declared, frozen=True, kw_only=True):
    """The file `backbones.yaml`."""

    architectures: dict[str, Architecture] = msgspec.field(default_factory=dict)
    upstreams: dict[str, Upstream] = msgspec.field(default_factory=dict)


class HyperRule(Declared, frozen=True, kw_only=True, tag="hyperrule", tag_field="kind"):
    """The BiT-HyperRule: everything follows from the size of the training set and of its images."""

    variant: Literal["paper", "code"]
    """The rule as the paper prints it, or as the released code has it; they differ."""
    aspect: Aspect = "squashed"
    """Whether images are squashed to a square, as BiT's are, or keep their aspect ratio on black."""
    precision: Precision = "float32"
    """In which a BiT computes activations and products; the rest is float32."""
    description: str
    deviations: list[str] = msgspec.field(default_factory=list)
    """How it departs from the rule all the same, one sentence each."""


class FixedRecipe(Declared, frozen=True, kw_only=True, tag="fixed", tag_field="kind"):
    """Fine-tuning hyper-parameters spelled out."""

    description: str
    deviations: list[str]
    """How it departs from the BiT-HyperRule, one sentence each."""
    steps: int
    batch_size: int
    base_learning_rate: float
    warmup_steps: int
    decay_steps: list[int]
    """Steps after which the learning rate is divided by ten."""
    mixup_alpha: float = 0.0
    resize: int
    """Pixels a training image is resized to before the random crop."""
    crop: int
    """Pixels of the random crop, and of evaluation images."""
    aspect: Aspect = "squashed"
    """Whether images are squashed to a square, as BiT's are, or keep their aspect ratio on black."""
    precision: Precision = "float32"
    """In which a BiT computes activations and products; the rest is float32."""


Recipe = HyperRule | FixedRecipe


class Recipes(Declared, frozen=True, kw_only=True):
    """The file `recipes.yaml`."""

    recipes: dict[str, Recipe]


class Tier(Declared, frozen=True, kw_only=True):
    """How a tier runs its claims (`tiers.yaml`)."""

    description: str
    recipe: str
    arms_of: str = ""
    """Another tier, whose arms are compared where a claim has none of this tier."""
    seeds: list[int]
    """Every arm is fine-tuned once per seed; arms are paired by seed."""
    sentinels: list[int]
    """Seeds that are always trained, never loaded from a reference run."""
    sentinel_backbones: list[str] = msgspec.field(default_factory=list)
    """With these arms only (`bit-<upstream>-<architecture>`, `+` a recipe); none named means all arms."""


class Tiers(Declared, frozen=True, kw_only=True):
    """The file `tiers.yaml`."""

    tiers: dict[str, Tier]


class Replaces(Declared, frozen=True, kw_only=True):
    """Names that medbench's suite declares too, and that are meant to take the place of its own."""

    claims: list[str] = msgspec.field(default_factory=list)
    syntheses: list[str] = msgspec.field(default_factory=list)
    tasks: list[str] = msgspec.field(default_factory=list)
    architectures: list[str] = msgspec.field(default_factory=list)
    upstreams: list[str] = msgspec.field(default_factory=list)
    recipes: list[str] = msgspec.field(default_factory=list)
    tiers: list[str] = msgspec.field(default_factory=list)
    metrics: list[str] = msgspec.field(default_factory=list)


class SuiteFile(Declared, frozen=True, kw_only=True):
    """The file `suite.yaml`, in a suite that adds to medbench's own; without it a suite stands alone."""

    extends: Literal["medbench"]
    """Whose claims, tasks, backbones, recipes, tiers and metrics are there beside those declared here."""
    replaces: Replaces = msgspec.field(default_factory=Replaces)


class Suite(msgspec.Struct, frozen=True, kw_only=True):
    """A whole folder of declarations, with references checked."""

    root: str
    """The folder the suite was read from."""
    base: str = ""
    """The folder of the suite that it extends; empty for one that stands alone."""
    replaces: Replaces = msgspec.field(default_factory=Replaces)
    """What the base declares and this suite declares anew."""
    claims: dict[str, Claim]
    claim_files: dict[str, str]
    """The file that declares each claim, relative to the root; `suite.yaml` for the base's."""
    tasks: dict[str, Task]
    architectures: dict[str, Architecture]
    upstreams: dict[str, Upstream]
    recipes: dict[str, Recipe]
    tiers: dict[str, Tier]
    syntheses: dict[str, Synthesis] = msgspec.field(default_factory=dict)
    metrics: dict[str, AnyMetric]
    """Those built in and those the suite declares, by the names that claims and tasks use."""

    def arms(self, claim: Claim, tier: str) -> dict[str, Arm]:
        """The arms of a claim in a declared tier: its own, else of the tier that it takes arms of."""
        return claim.arms.get(tier) or claim.arms.get(self.tiers[tier].arms_of, {})

    def replaces_item(self, item: str) -> bool:
        """Whether the task or the claim of an item, by its id, is one that the base declares otherwise."""
        task, claim = item.split("/")[:2]
        return task in self.replaces.tasks or claim in self.replaces.claims
