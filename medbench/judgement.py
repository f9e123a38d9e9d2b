"""What judging leaves: records that the terminal, report and expectations are made from."""

from typing import Literal

import msgspec

Verdict = Literal["supported", "refuted", "inconclusive"]
State = Literal["judged", "missing", "not-run"]


class Interval(msgspec.Struct, frozen=True, kw_only=True):
    """An estimate with the two one-sided 5 % limits (so a 90 % interval)."""

    value: float
    low: float
    high: float


class Settle(msgspec.Struct, frozen=True, kw_only=True):
    """What would settle an inconclusive claim with a power of 80 %, if the effect is what was measured."""

    patients: float | None
    """Factor on the number of patients; null where more patients alone cannot."""
    seeds: int | None
    """Number of seeds an arm; null where more seeds alone cannot."""
    both: float | None = None
    """Factor on patients and seeds together; null where the effect lies too close to the margin."""


class Definition(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What makes two values of an item comparable; when it changes, what was accepted is stale."""

    predicate: str
    margin: float
    metric: str
    """Name and version, such as `roc_auc@1`."""
    evaluate: str
    cohort: str
    """The cohort's name, such as `phantoms:chest`."""
    labels: str
    """The kind of target and its classes in order: `single-label: benign, malignant`."""
    effect: str
    """How the terms become one number: `gain`, or another kind of effect."""
    weights: dict[str, float]
    """Of each term in the effect, before signs are turned where lower is better; none where it is no sum."""
    units: str
    """What is scored: `image`, or how images are joined: `mean by patient and laterality, then …`."""


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """One item, judged: does it reproduce the study?"""

    id: str
    task: str
    claim: str
    evaluation_set: str
    statement: str
    source: str = ""
    """The study's number for the claim and how sure we are of its wording, such as `C6 [G]`."""
    metric: str
    """Name and version, such as `roc_auc@1`."""
    certified: bool = False
    """Whether intervals of this metric were measured to hold on such data (docs/gate.md)."""
    attribute: str = ""
    """Whose sub-groups are compared, for claims on each attribute."""
    arms: dict[str, str]
    """What was fine-tuned in each: a backbone, `@` a share of the patients, `+` a recipe of its own."""
    state: State
    """`missing`: a value is undefined or absent, see `reason`; `not-run`: its runs were not to be made."""
    reason: str = ""
    verdict: Verdict | None = None
    effect: Interval | None = None
    interval: Literal["influence", "bootstrap", "seeds"] | None = None
    """Where the variance over patients comes from: closed form, or 1,000 replicates; `seeds`: none, as the
    metric is known of a run as a whole, and the interval is over seeds alone."""
    margin: float
    verdict_at_half_margin: Verdict | None = None
    verdict_at_twice_margin: Verdict | None = None
    p: float | None = None
    """Of the t test whose rejection is `supported`; null where nothing could be concluded."""
    p_holm: float | None = None
    """Adjusted over the items of its `family` that were judged together (Holm 1979)."""
    p_bh: float | None = None
    """Adjusted over all items that were judged together (Benjamini and Hochberg 1995)."""
    family: str = ""
    """Claims that ask one question."""
    n_images: int = 0
    """What was scored: images, or what the task joins them to."""
    n_patients: int = 0
    n_seeds: int = 0
    relevant_effect: float
    power: float | None = None
    """Probability of `supported` at a true effect of `relevant_effect`, in [0, 1]."""
    detectable: float | None = None
    """True effect at which that probability is 80 %; null where none is, as of equivalence on few."""
    replicates: int = 0
    """Of the bootstrap, where the interval is by it."""
    undefined_replicates: int = 0
    settle: Settle | None = None
    note: str = ""
    samples: dict[str, dict[int, float]] = {}
    """The metric by term (an arm such as `baseline`, ` at id` where another set is in play) and seed."""
    groups: dict[str, list[str]] = {}
    """The sub-groups present, by attribute."""
    trained: dict[str, list[int]] = {}
    """Seeds by term whose run was trained (now or in the store), the rest being loaded."""
    devices: dict[str, dict[int, str]] = {}
    """The device class that each run was trained on, by term and seed."""
    environments: list[str] = []
    """Device classes the trained runs came from; those of the loaded runs where none was trained."""
    definition: Definition | None = None
    cohort_fingerprint: str = ""
    generated: bool = False
    """True for phantoms."""
    cluster: str = "patient"


Status = Literal[
    "ok", "drifted", "verdict-changed", "vanished", "stale", "not-compared", "no-expectation", "not-run"
]


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One item against what was accepted: has it regressed?"""

    id: str
    status: Status
    check: str = ""
    """The rule that applied, such as `numeric@1`."""
    expected: float | None = None
    measured: float | None = None
    band: tuple[float, float] | None = None
    """Of the value that lies furthest out, relative to the width of its band."""
    quantity: str = ""
    """What that value is: `treatment, seed 1`, or `mean of baseline`."""
    accepted_verdict: Verdict | None = None
    detail: str = ""
    """One sentence for a person: what changed, or why no check was made."""
