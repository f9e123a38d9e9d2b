"""A folder of declarations: what the project declares is sound, and every mistake is one message."""

import shutil
from math import inf
from pathlib import Path
from textwrap import indent
from typing import NamedTuple

import pytest

from medbench.errors import MedbenchError
from medbench.spec.effects import Contrast, DataSaved, Gain, Robustness, Slope
from medbench.spec.metrics import BUILT_IN, CalibrationError, SensitivityAtSpecificity, WorstGroup
from medbench.spec.records import Arm
from medbench.spec.suite import backbone_named, load_suite
from medbench.spec.units import Unit

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
OOD, SCALE, CHEST = "claims/ood.yaml", "claims/scale-data.yaml", "tasks/chest.yaml"
CONTRAST, DROP, FAIR = "claims/contrast.yaml", "claims/drop.yaml", "claims/fair.yaml"
SAVED, TREND, MAMMOGRAPHY = "claims/saved.yaml", "claims/trend.yaml", "tasks/mammography.yaml"
BACKBONES, RECIPES, TIERS = "backbones.yaml", "recipes.yaml", "tiers.yaml"
METRICS = "metrics.yaml"


def of_mammograms(claim: str, arms: str, how: str) -> str:
    """A claim whose arms begin in line 7, and what is said of them in the line after the last."""
    return f"""\
claim: {claim}
statement: More images make a backbone better.
source: {{study: C5, strength: G}}
tasks: [mammography]
arms:
  embedded:
{indent(arms, "    ")}{how}
predicate: superiority
margin: 0
margin_reason: any gain counts
relevant_effect: 0.03
family: scale
"""


PAIR = """\
baseline: {upstream: small, architecture: r14x0.5}
treatment: {upstream: large, architecture: r14x0.5}
"""
GOOD = {
    CONTRAST: of_mammograms(
        "contrast",
        """\
many: {upstream: large, architecture: r14x0.5}
few: {upstream: small, architecture: r14x0.5}
many-on-half: {upstream: large, architecture: r14x0.5, fraction: 0.5}
few-on-half: {upstream: small, architecture: r14x0.5, fraction: 0.5}
""",
        """\
effect: {kind: contrast, weights: {many: 1, few: -1, many-on-half: -1, few-on-half: 1}}
seeds: 2
evaluate: each-set""",
    ),
    DROP: of_mammograms("drop", PAIR, "effect: {kind: robustness}\nevaluate: each-shift"),
    FAIR: of_mammograms("fair", PAIR, "each_attribute: true\nmetric: open-gap\nevaluate: id"),
    SAVED: of_mammograms(
        "saved",
        """\
baseline: {upstream: small, architecture: r14x0.5}
with-half: {upstream: large, architecture: r14x0.5, fraction: 0.5}
with-all: {upstream: large, architecture: r14x0.5}
""",
        "effect: {kind: data-saved}\nevaluate: id\nmetric: nll",
    ),
    TREND: of_mammograms(
        "trend",
        """\
none: {upstream: random, architecture: r14x0.5, recipe: rule}
few: {upstream: small, architecture: r14x0.5}
many: {upstream: large, architecture: r14x0.5}
""",
        "effect: {kind: slope}\nevaluate: id",
    ),
    OOD: """\
claim: ood-robustness
statement: More images make a backbone better on shifted data.
source: {study: C6, strength: G}
tasks: [chest, mammography]
arms:
  embedded:
    baseline: {upstream: small, architecture: r14x0.5}
    treatment: {upstream: large, architecture: r14x0.5}
evaluate: each-shift
metric: primary
predicate: superiority
margin: 0.005
margin_reason: less is not worth a retraining
relevant_effect: 0.03
family: ood
""",
    SCALE: """\
claim: scale-data
statement: More images make a backbone better.
source: {study: C4, strength: G}
tasks: [chest]
arms:
  embedded:
    baseline: {upstream: random, architecture: r50x1}
    treatment: {upstream: large, architecture: r14x0.5}
evaluate: id
predicate: superiority
margin: 0
margin_reason: any gain counts
relevant_effect: 0.03
family: scale
""",
    CHEST: """\
task: chest
domain: chest
statement: What a chest film shows.
cohorts: {embedded: phantoms:chest}
primary: roc_auc
horizontal_flip: false
""",
    MAMMOGRAPHY: """\
task: mammography
domain: mammography
statement: Whether a mammogram shows a tumour.
cohorts: {embedded: phantoms:mammography}
primary: roc_auc
horizontal_flip: true
units:
  - {by: [patient, laterality], over: mean}
  - {by: [patient], over: max}
attributes: [age, density]
""",
    BACKBONES: """\
architectures:
  r14x0.5: {blocks: [1, 1, 1, 1], width: 0.5}
  r50x1: {blocks: [3, 4, 6, 3], width: 1}
upstreams:
  random: {description: none, images: 0, classes: 0}
  small:
    description: few photographs
    images: 2000
    classes: 10
    weights: {r14x0.5: small.npz}
  large:
    description: many photographs
    images: 50000
    classes: 10
    weights:
      r14x0.5: large.npz
""",
    RECIPES: """\
recipes:
  rule: {kind: hyperrule, variant: code, description: as released}
  short:
    kind: fixed
    description: for two cores
    deviations: [fewer steps]
    steps: 150
    batch_size: 32
    base_learning_rate: 3e-3
    warmup_steps: 30
    decay_steps: [60, 90, 120]
    mixup_alpha: 0.0
    resize: 72
    crop: 64
""",
    TIERS: """\
tiers:
  embedded:
    description: small
    recipe: short
    seeds: [1, 2, 3]
    sentinels: [1]
    sentinel_backbones: [bit-small-r14x0.5, bit-random-r14x0.5+rule, bit-large-r14x0.5@0.5]
""",
    METRICS: """\
metrics:
  screening: {kind: sensitivity_at_specificity, specificity: 0.9}
  fair-ece: {kind: ece, binning: equal-mass, bins: 10}
  worst-ece: {kind: worst_group, of: fair-ece, attributes: [sex, age], smallest: 10}
  gap: {kind: group_gap, of: roc_auc, attributes: [sex]}
  odds: {kind: equalized_odds_gap, attributes: [sex]}
  rule_out: {kind: specificity_at_sensitivity, sensitivity: 0.8}
  two: {kind: top_k, k: 2}
  ppv: {kind: average_precision}
  open-gap: {kind: group_gap, of: primary}
  reuse: {kind: feature_reuse, stage: block4}
  steps: {kind: steps_to_share, share: 0.5}
""",
}


class Mistake(NamedTuple):
    name: str
    file: str
    old: str
    """Stands once in the file; empty to append."""
    new: str
    message: str


MISTAKES = [
    Mistake(
        "an unknown key in a claim",
        OOD,
        "margin:",
        "margn:",
        "bench/claims/ood.yaml:12: unknown key `margn` in claim `ood-robustness`. Did you mean `margin`?",
    ),
    Mistake(
        "a duplicate key in a claim",
        OOD,
        "",
        "margin: 0.01\n",
        "bench/claims/ood.yaml:16: duplicate key `margin` in claim `ood-robustness`, first given "
        "in line 12. Keep one.",
    ),
    Mistake(
        "a claim without its reason for the margin",
        OOD,
        "margin_reason: less is not worth a retraining\n",
        "",
        "bench/claims/ood.yaml:1: claim `ood-robustness` lacks the key `margin_reason`.",
    ),
    Mistake(
        "an empty statement",
        OOD,
        GOOD[OOD].splitlines()[1],
        "statement: ''",
        "bench/claims/ood.yaml:2: expected one sentence that can be true or false for `statement` in claim "
        "`ood-robustness`, found nothing.",
    ),
    Mistake(
        "an empty reason for the margin",
        OOD,
        "less is not worth a retraining",
        "' '",
        "bench/claims/ood.yaml:13: expected why this margin for `margin_reason` in claim "
        "`ood-robustness`, found nothing.",
    ),
    Mistake(
        "a margin in words",
        OOD,
        "0.005",
        "small",
        "bench/claims/ood.yaml:12: expected a number for `margin` in claim `ood-robustness`, found `small`.",
    ),
    Mistake(
        "a negative margin",
        OOD,
        "0.005",
        "-0.005",
        "bench/claims/ood.yaml:12: expected at least 0 for `margin` in claim `ood-robustness`, found -0.005.",
    ),
    Mistake(
        "a margin in percent",
        OOD,
        "margin: 0.005",
        "margin: 2",
        "bench/claims/ood.yaml:12: expected less than 1, the width of the metric's range (is it in "
        "percent?), for `margin` in claim `ood-robustness`, found 2.",
    ),
    Mistake(
        "a relevant effect in percent",
        OOD,
        "relevant_effect: 0.03",
        "relevant_effect: 3",
        "bench/claims/ood.yaml:14: expected less than 1, the width of the metric's range (is it in "
        "percent?), for `relevant_effect` in claim `ood-robustness`, found 3.",
    ),
    Mistake(
        "a relevant effect within the margin",
        OOD,
        "relevant_effect: 0.03",
        "relevant_effect: 0.005",
        "bench/claims/ood.yaml:14: expected more than the margin (0.005) for `relevant_effect` "
        "in claim `ood-robustness`, found 0.005.",
    ),
    Mistake(
        "no margin of equivalence",
        OOD,
        "superiority\nmargin: 0.005",
        "equivalence\nmargin: 0",
        "bench/claims/ood.yaml:12: expected more than 0 for `margin` in claim `ood-robustness`, found 0.",
    ),
    Mistake(
        "a relevant effect that is not equivalent",
        OOD,
        "superiority",
        "equivalence",
        "bench/claims/ood.yaml:14: expected more than -0.005 and less than 0.005, within the margin, for "
        "`relevant_effect` in claim `ood-robustness`, found 0.03.",
    ),
    Mistake(
        "a relevant effect that is inferior",
        OOD,
        "superiority\nmargin: 0.005\nmargin_reason: less is not worth a retraining\nrelevant_effect: 0.03",
        "non-inferiority\nmargin: 0.005\nmargin_reason: but this much\nrelevant_effect: -0.005",
        "bench/claims/ood.yaml:14: expected more than -0.005, a loss of the margin, for "
        "`relevant_effect` in claim `ood-robustness`, found -0.005.",
    ),
    Mistake(
        "an unknown task",
        OOD,
        "[chest, mammography]",
        "[chest, mamography]",
        "bench/claims/ood.yaml:4: unknown task `mamography` in claim `ood-robustness`. Did you "
        "mean `mammography`?",
    ),
    Mistake(
        "an unknown task on a line of its own",
        OOD,
        "tasks: [chest, mammography]",
        "tasks:\n- chest\n- brain",
        "bench/claims/ood.yaml:6: unknown task `brain` in claim `ood-robustness`. Expected "
        "`chest`, `mammography`.",
    ),
    Mistake(
        "a task twice",
        OOD,
        "[chest, mammography]",
        "[chest, chest]",
        "bench/claims/ood.yaml:4: `chest` comes twice in `tasks` in claim `ood-robustness`. Keep one.",
    ),
    Mistake(
        "no task",
        OOD,
        "[chest, mammography]",
        "[]",
        "bench/claims/ood.yaml:4: expected at least one task for `tasks` in claim "
        "`ood-robustness`, found none.",
    ),
    Mistake(
        "one task without brackets",
        OOD,
        "[chest, mammography]",
        "chest",
        "bench/claims/ood.yaml:4: expected a list for `tasks` in claim `ood-robustness`, found "
        "`chest`. Write `[chest]`.",
    ),
    Mistake(
        "an unknown tier of the arms",
        OOD,
        "  embedded:",
        "  embeded:",
        "bench/claims/ood.yaml:6: unknown tier `embeded` in claim `ood-robustness`. Did you mean `embedded`?",
    ),
    Mistake(
        "an unknown upstream",
        OOD,
        "{upstream: large",
        "{upstream: lage",
        "bench/claims/ood.yaml:8: unknown upstream `lage` in claim `ood-robustness`. Did you mean `large`?",
    ),
    Mistake(
        "an unknown architecture",
        OOD,
        "small, architecture: r14x0.5",
        "small, architecture: r14x05",
        "bench/claims/ood.yaml:7: unknown architecture `r14x05` in claim `ood-robustness`. Did "
        "you mean `r14x0.5`?",
    ),
    Mistake(
        "an architecture that the upstream lacks",
        OOD,
        "large, architecture: r14x0.5",
        "large, architecture: r50x1",
        "bench/claims/ood.yaml:8: upstream `large` has no weights for architecture `r50x1` in "
        "claim `ood-robustness`. Expected `r14x0.5`.",
    ),
    Mistake(
        "a backbone against itself",
        OOD,
        "{upstream: large",
        "{upstream: small",
        "bench/claims/ood.yaml:6: expected `baseline` and `treatment`, which differ, for `embedded` in claim "
        "`ood-robustness`, found baseline (bit-small-r14x0.5), treatment (bit-small-r14x0.5).",
    ),
    Mistake(
        "a backbone against itself, with the tier's recipe by its name",
        OOD,
        "{upstream: large",
        "{recipe: short, upstream: small",
        "bench/claims/ood.yaml:6: expected `baseline` and `treatment`, which differ, for `embedded` in claim "
        "`ood-robustness`, found baseline (bit-small-r14x0.5), treatment (bit-small-r14x0.5).",
    ),
    Mistake(
        "an arm too few",
        OOD,
        "    baseline: {upstream: small, architecture: r14x0.5}\n",
        "",
        "bench/claims/ood.yaml:6: expected `baseline` and `treatment`, which differ, for `embedded` in claim "
        "`ood-robustness`, found treatment (bit-large-r14x0.5).",
    ),
    Mistake(
        "an arm too many",
        OOD,
        "    baseline:",
        "    third: {upstream: random, architecture: r50x1}\n    baseline:",
        "bench/claims/ood.yaml:6: expected `baseline` and `treatment`, which differ, for `embedded` in claim "
        "`ood-robustness`, found third (bit-random-r50x1), baseline (bit-small-r14x0.5), treatment "
        "(bit-large-r14x0.5).",
    ),
    Mistake(
        "no arms",
        DROP,
        indent(PAIR, "    "),
        "    {}\n",
        "bench/claims/drop.yaml:6: expected `baseline` and `treatment`, which differ, for `embedded` in "
        "claim `drop`, found none.",
    ),
    Mistake(
        "an arm's name with a blank",
        OOD,
        "    treatment:",
        "    the treatment:",
        "bench/claims/ood.yaml:8: `the treatment` cannot name a declared arm: expected lower-case letters "
        "and digits, joined by `-` or `.`. Did you mean `the-treatment`?",
    ),
    Mistake(
        "a fraction of no patients",
        CONTRAST,
        "few-on-half: {upstream: small, architecture: r14x0.5, fraction: 0.5}",
        "few-on-half: {upstream: small, architecture: r14x0.5, fraction: 0}",
        "bench/claims/contrast.yaml:10: expected a share above 0 and up to 1 for `fraction` in claim "
        "`contrast`, found 0.",
    ),
    Mistake(
        "a fraction in percent",
        SAVED,
        "fraction: 0.5",
        "fraction: 50",
        "bench/claims/saved.yaml:8: expected a share above 0 and up to 1 for `fraction` in claim `saved`, "
        "found 50.",
    ),
    Mistake(
        "an arm with an unknown recipe",
        TREND,
        "recipe: rule",
        "recipe: rul",
        "bench/claims/trend.yaml:7: unknown recipe `rul` in claim `trend`. Did you mean `rule`?",
    ),
    Mistake(
        "an unknown kind of effect",
        TREND,
        "kind: slope",
        "kind: slop",
        "bench/claims/trend.yaml:10: unknown value `slop` for `kind` in `effect` in claim `trend`. Did you "
        "mean `slope`?",
    ),
    Mistake(
        "a weight of an unknown arm",
        CONTRAST,
        "few-on-half: 1}",
        "few-on-have: 1}",
        "bench/claims/contrast.yaml:6: expected those that have weights (many, few, many-on-half, "
        "few-on-have) for `embedded` in claim `contrast`, found many (bit-large-r14x0.5), few "
        "(bit-small-r14x0.5), many-on-half (bit-large-r14x0.5@0.5), few-on-half (bit-small-r14x0.5@0.5).",
    ),
    Mistake(
        "an arm without a weight",
        CONTRAST,
        ", many-on-half: -1, few-on-half: 1}",
        "}",
        "bench/claims/contrast.yaml:6: expected those that have weights (many, few) "
        "for `embedded` in claim `contrast`, found many (bit-large-r14x0.5), few (bit-small-r14x0.5), "
        "many-on-half (bit-large-r14x0.5@0.5), few-on-half (bit-small-r14x0.5@0.5).",
    ),
    Mistake(
        "weights that do not sum to 0",
        CONTRAST,
        "few-on-half: 1}",
        "few-on-half: 0.9}",
        "bench/claims/contrast.yaml:11: expected numbers other than 0 that sum to 0 for `weights` in claim "
        "`contrast`, found 1, -1, -1, 0.9.",
    ),
    Mistake(
        "an arm that weighs nothing",
        CONTRAST,
        "many-on-half: -1, few-on-half: 1}",
        "many-on-half: 0, few-on-half: 0}",
        "bench/claims/contrast.yaml:11: expected numbers other than 0 that sum to 0 for `weights` in claim "
        "`contrast`, found 1, -1, 0, 0.",
    ),
    Mistake(
        "a ladder of two rungs",
        TREND,
        "    few: {upstream: small, architecture: r14x0.5}\n",
        "",
        "bench/claims/trend.yaml:6: expected at least three, which differ, for `embedded` in claim `trend`, "
        "found none (bit-random-r14x0.5+rule), many (bit-large-r14x0.5).",
    ),
    Mistake(
        "a ladder with a rung twice",
        TREND,
        "few: {upstream: small",
        "few: {upstream: large",
        "bench/claims/trend.yaml:6: expected at least three, which differ, for `embedded` in claim `trend`, "
        "found none (bit-random-r14x0.5+rule), few (bit-large-r14x0.5), many (bit-large-r14x0.5).",
    ),
    Mistake(
        "data saved against nothing",
        SAVED,
        "baseline:",
        "base:",
        "bench/claims/saved.yaml:6: expected `baseline`, and one backbone at two or more fractions for "
        "`embedded` in claim `saved`, found base (bit-small-r14x0.5), with-half (bit-large-r14x0.5@0.5), "
        "with-all (bit-large-r14x0.5).",
    ),
    Mistake(
        "a learning curve of two backbones",
        SAVED,
        "with-half: {upstream: large",
        "with-half: {upstream: small",
        "bench/claims/saved.yaml:6: expected `baseline`, and one backbone at two or more fractions for "
        "`embedded` in claim `saved`, found baseline (bit-small-r14x0.5), with-half (bit-small-r14x0.5@0.5), "
        "with-all (bit-large-r14x0.5).",
    ),
    Mistake(
        "a learning curve under two recipes",
        SAVED,
        "fraction: 0.5",
        "fraction: 0.5, recipe: rule",
        "bench/claims/saved.yaml:6: expected `baseline`, and one backbone at two or more fractions for "
        "`embedded` in claim `saved`, found baseline (bit-small-r14x0.5), with-half "
        "(bit-large-r14x0.5@0.5+rule), with-all (bit-large-r14x0.5).",
    ),
    Mistake(
        "a learning curve of one point",
        SAVED,
        "    with-all: {upstream: large, architecture: r14x0.5}\n",
        "",
        "bench/claims/saved.yaml:6: expected `baseline`, and one backbone at two or more fractions for "
        "`embedded` in claim `saved`, found baseline (bit-small-r14x0.5), with-half (bit-large-r14x0.5@0.5).",
    ),
    Mistake(
        "a learning curve with a point twice",
        SAVED,
        ", fraction: 0.5",
        "",
        "bench/claims/saved.yaml:6: expected `baseline`, and one backbone at two or more fractions for "
        "`embedded` in claim `saved`, found baseline (bit-small-r14x0.5), with-half (bit-large-r14x0.5), "
        "with-all (bit-large-r14x0.5).",
    ),
    Mistake(
        "savings in percent",
        SAVED,
        "margin: 0\n",
        "margin: 40\n",
        "bench/claims/saved.yaml:14: expected less than 1, the width of the metric's range (is it in "
        "percent?), for `margin` in claim `saved`, found 40.",
    ),
    Mistake(
        "robustness at home",
        DROP,
        "each-shift",
        "id",
        "bench/claims/drop.yaml:10: expected `each-shift`, for it is about what a shift takes away, for "
        "`evaluate` in claim `drop`, found `id`.",
    ),
    Mistake(
        "robustness at home too",
        DROP,
        "each-shift",
        "each-set",
        "bench/claims/drop.yaml:10: expected `each-shift`, for it is about what a shift takes away, for "
        "`evaluate` in claim `drop`, found `each-set`.",
    ),
    Mistake(
        "robustness of telling shifts from home",
        DROP,
        "each-shift",
        "each-shift\nmetric: ood_auroc",
        "bench/claims/drop.yaml:9: metric `ood_auroc` tells a shift from `id`, so on `id` itself claim "
        "`drop` has nothing to tell apart. Expected another effect or metric.",
    ),
    Mistake(
        "one seed of a tier's",
        CONTRAST,
        "seeds: 2",
        "seeds: 1",
        "bench/claims/contrast.yaml:12: expected 0 for all seeds of the tier, or 2 to 3 of them, for `seeds` "
        "in claim `contrast`, found 1.",
    ),
    Mistake(
        "more seeds than the tier has",
        CONTRAST,
        "seeds: 2",
        "seeds: 4",
        "bench/claims/contrast.yaml:12: expected 0 for all seeds of the tier, or 2 to 3 of them, for `seeds` "
        "in claim `contrast`, found 4.",
    ),
    Mistake(
        "fewer seeds than none",
        CONTRAST,
        "seeds: 2",
        "seeds: -2",
        "bench/claims/contrast.yaml:12: expected 0 for all seeds of the tier, or 2 to 3 of them, for `seeds` "
        "in claim `contrast`, found -2.",
    ),
    Mistake(
        "each attribute of a metric that names its own",
        FAIR,
        "open-gap",
        "gap",
        "bench/claims/fair.yaml:10: claim `fair` is about each attribute of the task, and metric `gap` is "
        "not of sub-groups, or names its attributes. Expected `open-gap`.",
    ),
    Mistake(
        "each attribute of a metric without groups",
        FAIR,
        "open-gap",
        "roc_auc",
        "bench/claims/fair.yaml:10: claim `fair` is about each attribute of the task, and metric `roc_auc` "
        "is not of sub-groups, or names its attributes. Expected `open-gap`.",
    ),
    Mistake(
        "each attribute of a task that has none",
        FAIR,
        "tasks: [mammography]",
        "tasks: [mammography, chest]",
        "bench/claims/fair.yaml:4: task `chest` declares no `attributes`, and claim `fair` is about each of "
        "them.",
    ),
    Mistake(
        "groups by nothing",
        FAIR,
        "each_attribute: true\n",
        "",
        "bench/claims/fair.yaml:9: metric `open-gap` names no attributes, so claim `fair` must be about each "
        "of the task's: add `each_attribute: true`, or name the attributes in metrics.yaml.",
    ),
    Mistake(
        "a metric of a run on each set",
        CONTRAST,
        "evaluate: each-set",
        "evaluate: each-set\nmetric: reuse",
        "bench/claims/contrast.yaml:13: metric `reuse` is known of a run as a whole, the same on every set, "
        "so there is one item a task in claim `contrast`. Expected `id`.",
    ),
    Mistake(
        "nothing to tell from home on one of the sets",
        CONTRAST,
        "evaluate: each-set",
        "evaluate: each-set\nmetric: ood_auroc",
        "bench/claims/contrast.yaml:13: metric `ood_auroc` tells a shift from `id`, so on `id` itself "
        "claim `contrast` has nothing to tell apart. Expected `each-shift`.",
    ),
    Mistake(
        "an unknown key in an arm",
        OOD,
        "{upstream: small, architecture",
        "{upstream: small, architekture",
        "bench/claims/ood.yaml:7: unknown key `architekture` in arm `baseline`. Did you mean `architecture`?",
    ),
    Mistake(
        "an unknown metric",
        OOD,
        "metric: primary",
        "metric: roc-auc",
        "bench/claims/ood.yaml:10: unknown metric `roc-auc` in claim `ood-robustness`. Did you "
        "mean `roc_auc`?",
    ),
    Mistake(
        "an unknown evaluation",
        OOD,
        "each-shift",
        "each shift",
        "bench/claims/ood.yaml:9: unknown value `each shift` for `evaluate` in claim "
        "`ood-robustness`. Did you mean `each-shift`?",
    ),
    Mistake(
        "an unknown predicate",
        OOD,
        "superiority",
        "superior",
        "bench/claims/ood.yaml:11: unknown value `superior` for `predicate` in claim "
        "`ood-robustness`. Did you mean `superiority`?",
    ),
    Mistake(
        "an unknown strength of the source",
        OOD,
        "strength: G",
        "strength: strong",
        "bench/claims/ood.yaml:3: unknown value `strong` for `strength` in source. Expected "
        "`2nd`, `C`, `G`, `P`, `R`, `own`.",
    ),
    Mistake(
        "a name that cannot be part of an id",
        OOD,
        "claim: ood-robustness",
        "claim: OOD robustness",
        "bench/claims/ood.yaml:1: `OOD robustness` cannot name a declared claim: expected "
        "lower-case letters and digits, joined by `-` or `.`. Did you mean `ood-robustness`?",
    ),
    Mistake(
        "a name that is a path",
        OOD,
        "claim: ood-robustness",
        "claim: ../ood",
        "bench/claims/ood.yaml:1: `../ood` cannot name a declared claim: expected lower-case "
        "letters and digits, joined by `-` or `.`.",
    ),
    Mistake(
        "two claims of one name",
        SCALE,
        "claim: scale-data",
        "claim: ood-robustness",
        "bench/claims/scale-data.yaml:1: claim `ood-robustness` is already declared in "
        "bench/claims/ood.yaml. Rename one of them.",
    ),
    Mistake(
        "a task of an unknown domain",
        CHEST,
        "domain: chest",
        "domain: chess",
        "bench/tasks/chest.yaml:2: unknown value `chess` for `domain` in task `chest`. Did you mean `chest`?",
    ),
    Mistake(
        "a task with an unknown metric",
        CHEST,
        "roc_auc",
        "roc_acu",
        "bench/tasks/chest.yaml:5: unknown metric `roc_acu` in task `chest`. Did you mean `roc_auc`?",
    ),
    Mistake(
        "a task with a cohort for an unknown tier",
        CHEST,
        "{embedded:",
        "{embed:",
        "bench/tasks/chest.yaml:4: unknown tier `embed` in task `chest`. Did you mean `embedded`?",
    ),
    Mistake(
        "a task with unknown phantoms",
        CHEST,
        "phantoms:chest",
        "phantoms:chst",
        "bench/tasks/chest.yaml:4: unknown cohort `phantoms:chst` in task `chest`. Did you mean "
        "`phantoms:chest`?",
    ),
    Mistake(
        "a task with phantoms of another domain",
        CHEST,
        "phantoms:chest",
        "phantoms:dermatology",
        "bench/tasks/chest.yaml:4: unknown cohort `phantoms:dermatology` in task `chest`. Did "
        "you mean `phantoms:chest`?",
    ),
    Mistake(
        "a task whose own metric is of the task's own",
        MAMMOGRAPHY,
        "primary: roc_auc",
        "primary: open-gap",
        "bench/tasks/mammography.yaml:5: metric `open-gap` leaves open what it compares, so it cannot be the "
        "own one of task `mammography`. Name attributes, and another metric than `primary`, in metrics.yaml.",
    ),
    Mistake(
        "a unit of several patients",
        MAMMOGRAPHY,
        "by: [patient, laterality]",
        "by: [laterality]",
        "bench/tasks/mammography.yaml:8: expected `patient`, alone or with attributes, for `by` in task "
        "`mammography`, found `laterality`.",
    ),
    Mistake(
        "a unit by nothing",
        MAMMOGRAPHY,
        "by: [patient], over",
        "by: [], over",
        "bench/tasks/mammography.yaml:9: expected `patient`, alone or with attributes, for `by` in task "
        "`mammography`, found nothing.",
    ),
    Mistake(
        "an unknown way to join",
        MAMMOGRAPHY,
        "over: mean",
        "over: median",
        "bench/tasks/mammography.yaml:8: unknown value `median` for `over` in unit. Did you mean `mean`?",
    ),
    Mistake(
        "an attribute twice",
        MAMMOGRAPHY,
        "[age, density]",
        "[age, age]",
        "bench/tasks/mammography.yaml:10: `age` comes twice in `attributes` in task `mammography`. Keep one.",
    ),
    Mistake(
        "no for false",
        CHEST,
        "horizontal_flip: false",
        "horizontal_flip: no",
        "bench/tasks/chest.yaml:6: expected `true` or `false` for `horizontal_flip` in task "
        "`chest`, found `no`.",
    ),
    Mistake(
        "two tasks of one name",
        "tasks/mammography.yaml",
        "task: mammography",
        "task: chest",
        "bench/tasks/mammography.yaml:1: task `chest` is already declared in "
        "bench/tasks/chest.yaml. Rename one of them.",
    ),
    Mistake(
        "three blocks",
        BACKBONES,
        "[1, 1, 1, 1]",
        "[1, 1, 1]",
        "bench/backbones.yaml:2: expected four positive numbers for `blocks` in architecture "
        "`r14x0.5`, found [1, 1, 1].",
    ),
    Mistake(
        "a block without units",
        BACKBONES,
        "[1, 1, 1, 1]",
        "[1, 0, 1, 1]",
        "bench/backbones.yaml:2: expected four positive numbers for `blocks` in architecture "
        "`r14x0.5`, found [1, 0, 1, 1].",
    ),
    Mistake(
        "half a unit",
        BACKBONES,
        "[1, 1, 1, 1]",
        "[1, 0.5, 1, 1]",
        "bench/backbones.yaml:2: expected a whole number for an entry of `blocks` in "
        "architecture `r14x0.5`, found `0.5`.",
    ),
    Mistake(
        "no width",
        BACKBONES,
        "width: 0.5",
        "width: 0",
        "bench/backbones.yaml:2: expected a positive multiple of 1/64 for `width` in "
        "architecture `r14x0.5`, found 0.",
    ),
    Mistake(
        "a width that leaves parts of channels",
        BACKBONES,
        "width: 0.5",
        "width: 0.33",
        "bench/backbones.yaml:2: expected a positive multiple of 1/64 for `width` in "
        "architecture `r14x0.5`, found 0.33.",
    ),
    Mistake(
        "weights of an unknown architecture",
        BACKBONES,
        "      r14x0.5: large.npz",
        "      r14: large.npz",
        "bench/backbones.yaml:16: unknown architecture `r14` in upstream `large`. Did you mean `r14x0.5`?",
    ),
    Mistake(
        "a module with blocks",
        BACKBONES,
        "  r14x0.5: {blocks: [1, 1, 1, 1], width: 0.5}",
        "  r14x0.5: {blocks: [1, 1, 1, 1], module: my-vit}",
        "bench/backbones.yaml:2: architecture `r14x0.5` has a `module`, so it has no `blocks`.",
    ),
    Mistake(
        "neither a module nor blocks",
        BACKBONES,
        "  r14x0.5: {blocks: [1, 1, 1, 1], width: 0.5}",
        "  r14x0.5: {width: 0.5}",
        "bench/backbones.yaml:2: expected four positive numbers for `blocks` in architecture `r14x0.5`, "
        "found [].",
    ),
    Mistake(
        "weights in a folder",
        BACKBONES,
        "      r14x0.5: large.npz",
        "      r14x0.5: ../large.npz",
        "bench/backbones.yaml:16: expected the name of an .npz or .safetensors file, without "
        "folders, for `r14x0.5` in upstream `large`, found `../large.npz`.",
    ),
    Mistake(
        "weights in another format",
        BACKBONES,
        "      r14x0.5: large.npz",
        "      r14x0.5: large.h5",
        "bench/backbones.yaml:16: expected the name of an .npz or .safetensors file, without "
        "folders, for `r14x0.5` in upstream `large`, found `large.h5`.",
    ),
    Mistake(
        "random initialisation with weights",
        BACKBONES,
        "images: 2000",
        "images: 0",
        "bench/backbones.yaml:10: upstream `small` has 0 images and 1 weight files. Expected "
        "neither, which means random initialisation, or both.",
    ),
    Mistake(
        "pre-training without weights",
        BACKBONES,
        "    weights: {r14x0.5: small.npz}\n",
        "",
        "bench/backbones.yaml:6: upstream `small` has 2000 images and 0 weight files. Expected "
        "neither, which means random initialisation, or both.",
    ),
    Mistake(
        "fewer images than none",
        BACKBONES,
        "images: 2000",
        "images: -1",
        "bench/backbones.yaml:8: expected at least 0 for `images` in upstream `small`, found -1.",
    ),
    Mistake(
        "fewer classes than none",
        BACKBONES,
        "images: 0, classes: 0",
        "images: 0, classes: -1",
        "bench/backbones.yaml:5: expected at least 0 for `classes` in upstream `random`, found -1.",
    ),
    Mistake(
        "an upstream's name with a capital letter",
        BACKBONES,
        "  large:",
        "  Large:",
        "bench/backbones.yaml:11: `Large` cannot name a declared upstream: expected lower-case "
        "letters and digits, joined by `-` or `.`. Did you mean `large`?",
    ),
    Mistake(
        "an architecture's name with a blank",
        BACKBONES,
        "  r50x1:",
        "  r50 x1:",
        "bench/backbones.yaml:3: `r50 x1` cannot name a declared architecture: expected "
        "lower-case letters and digits, joined by `-` or `.`. Did you mean `r50-x1`?",
    ),
    Mistake(
        "an unknown kind of recipe",
        RECIPES,
        "kind: fixed",
        "kind: fixd",
        "bench/recipes.yaml:4: unknown value `fixd` for `kind` in `short` in `recipes`. Did you "
        "mean `fixed`?",
    ),
    Mistake(
        "a recipe without a kind",
        RECIPES,
        "    kind: fixed\n",
        "",
        "bench/recipes.yaml:4: `short` in `recipes` lacks the key `kind`. Expected `fixed`, `hyperrule`.",
    ),
    Mistake(
        "an unknown key in a recipe",
        RECIPES,
        "batch_size",
        "batchsize",
        "bench/recipes.yaml:8: unknown key `batchsize` in fixed recipe `short`. Did you mean `batch_size`?",
    ),
    Mistake(
        "an unknown variant of the rule",
        RECIPES,
        "variant: code",
        "variant: codes",
        "bench/recipes.yaml:2: unknown value `codes` for `variant` in hyper rule `rule`. Did you "
        "mean `code`?",
    ),
    Mistake(
        "no steps",
        RECIPES,
        "steps: 150",
        "steps: 0",
        "bench/recipes.yaml:7: expected at least 1 for `steps` in recipe `short`, found 0.",
    ),
    Mistake(
        "no images in a batch",
        RECIPES,
        "batch_size: 32",
        "batch_size: 0",
        "bench/recipes.yaml:8: expected at least 1 for `batch_size` in recipe `short`, found 0.",
    ),
    Mistake(
        "no learning rate",
        RECIPES,
        "3e-3",
        "0.0",
        "bench/recipes.yaml:9: expected more than 0 for `base_learning_rate` in recipe `short`, found 0.0.",
    ),
    Mistake(
        "a warm-up without end",
        RECIPES,
        "warmup_steps: 30",
        "warmup_steps: 150",
        "bench/recipes.yaml:10: expected 0 or more, and less than `steps` (150), for "
        "`warmup_steps` in recipe `short`, found 150.",
    ),
    Mistake(
        "decays out of order",
        RECIPES,
        "[60, 90, 120]",
        "[90, 60, 120]",
        "bench/recipes.yaml:11: expected ascending steps from `warmup_steps` (30) to below "
        "`steps` (150) for `decay_steps` in recipe `short`, found [90, 60, 120].",
    ),
    Mistake(
        "a decay twice",
        RECIPES,
        "[60, 90, 120]",
        "[60, 60, 120]",
        "bench/recipes.yaml:11: expected ascending steps from `warmup_steps` (30) to below "
        "`steps` (150) for `decay_steps` in recipe `short`, found [60, 60, 120].",
    ),
    Mistake(
        "a decay after the end",
        RECIPES,
        "[60, 90, 120]",
        "[60, 90, 150]",
        "bench/recipes.yaml:11: expected ascending steps from `warmup_steps` (30) to below "
        "`steps` (150) for `decay_steps` in recipe `short`, found [60, 90, 150].",
    ),
    Mistake(
        "a decay during warm-up",
        RECIPES,
        "[60, 90, 120]",
        "[29, 90, 120]",
        "bench/recipes.yaml:11: expected ascending steps from `warmup_steps` (30) to below "
        "`steps` (150) for `decay_steps` in recipe `short`, found [29, 90, 120].",
    ),
    Mistake(
        "a negative MixUp",
        RECIPES,
        "mixup_alpha: 0.0",
        "mixup_alpha: -0.1",
        "bench/recipes.yaml:12: expected at least 0 for `mixup_alpha` in recipe `short`, found -0.1.",
    ),
    Mistake(
        "a crop larger than the image",
        RECIPES,
        "resize: 72",
        "resize: 48",
        "bench/recipes.yaml:13: expected at least `crop` (64) for `resize` in recipe `short`, found 48.",
    ),
    Mistake(
        "no crop",
        RECIPES,
        "crop: 64",
        "crop: 0",
        "bench/recipes.yaml:14: expected at least 1 for `crop` in recipe `short`, found 0.",
    ),
    Mistake(
        "an unknown recipe",
        TIERS,
        "recipe: short",
        "recipe: shrt",
        "bench/tiers.yaml:4: unknown recipe `shrt` in tier `embedded`. Did you mean `short`?",
    ),
    Mistake(
        "no seeds",
        TIERS,
        "[1, 2, 3]",
        "[]",
        "bench/tiers.yaml:5: expected at least one seed for `seeds` in tier `embedded`, found none.",
    ),
    Mistake(
        "a seed twice",
        TIERS,
        "[1, 2, 3]",
        "[1, 2, 2]",
        "bench/tiers.yaml:5: `2` comes twice in `seeds` in tier `embedded`. Keep one.",
    ),
    Mistake(
        "a negative seed",
        TIERS,
        "[1, 2, 3]",
        "[1, 2, -3]",
        "bench/tiers.yaml:5: expected at least 0 for `seeds` in tier `embedded`, found -3.",
    ),
    Mistake(
        "a sentinel that is no seed",
        TIERS,
        "sentinels: [1]",
        "sentinels: [4]",
        "bench/tiers.yaml:6: expected some of the seeds (1, 2, 3) for `sentinels` in tier "
        "`embedded`, found 4.",
    ),
    Mistake(
        "a sentinel twice",
        TIERS,
        "sentinels: [1]",
        "sentinels: [1, 1]",
        "bench/tiers.yaml:6: `1` comes twice in `sentinels` in tier `embedded`. Keep one.",
    ),
    Mistake(
        "a sentinel that is no arm",
        TIERS,
        "[bit-small-r14x0.5",
        "[bit-smal-r14x0.5",
        "bench/tiers.yaml:7: unknown arm `bit-smal-r14x0.5` in tier `embedded`. Did you mean "
        "`bit-small-r14x0.5`?",
    ),
    Mistake(
        "a sentinel that is an arm by another recipe",
        TIERS,
        "r14x0.5+rule",
        "r14x0.5",
        "bench/tiers.yaml:7: unknown arm `bit-random-r14x0.5` in tier `embedded`. Did you mean "
        "`bit-random-r14x0.5+rule`?",
    ),
    Mistake(
        "a sentinel arm twice",
        TIERS,
        "bit-large-r14x0.5@0.5",
        "bit-small-r14x0.5",
        "bench/tiers.yaml:7: `bit-small-r14x0.5` comes twice in `sentinel_backbones` in tier `embedded`. "
        "Keep one.",
    ),
    Mistake(
        "a metric of an unknown kind",
        METRICS,
        "kind: ece",
        "kind: eece",
        "bench/metrics.yaml:3: unknown value `eece` for `kind` in `fair-ece` in `metrics`. Did "
        "you mean `ece`?",
    ),
    Mistake(
        "a metric without a kind",
        METRICS,
        "{kind: worst_group, of",
        "{of",
        "bench/metrics.yaml:4: `worst-ece` in `metrics` lacks the key `kind`. Expected `aurc`, "
        "`average_precision`, `balanced_accuracy`, `brier`, `calibration_intercept_error`, "
        "`calibration_slope_error`, `ece`, `equalized_odds_gap`, `feature_reuse`, `group_gap`, "
        "`misclassification_auroc`, `nll`, `ood_auroc`, `roc_auc`, `sensitivity_at_specificity`, "
        "`specificity_at_sensitivity`, `steps_to_share`, `top_k`, `worst_group`.",
    ),
    Mistake(
        "a metric with an unknown parameter",
        METRICS,
        "specificity: 0.9}",
        "specifity: 0.9}",
        "bench/metrics.yaml:2: unknown key `specifity` in sensitivity at specificity "
        "`screening`. Did you mean `specificity`?",
    ),
    Mistake(
        "a metric that is built in",
        METRICS,
        "  ppv: {kind: average_precision}",
        "  nll: {kind: average_precision}",
        "bench/metrics.yaml:9: `nll` is built in, so give the declared one another name.",
    ),
    Mistake(
        "a metric named as the task's own",
        METRICS,
        "  ppv: {kind: average_precision}",
        "  primary: {kind: average_precision}",
        "bench/metrics.yaml:9: `primary` means the task's own metric, so give the declared one another name.",
    ),
    Mistake(
        "a metric with a name of several words",
        METRICS,
        "  ppv: {",
        "  Positive value: {",
        "bench/metrics.yaml:9: `Positive value` cannot name a metric: expected lower-case "
        "letters and digits, joined by `_`, `-` or `.`.",
    ),
    Mistake(
        "a specificity in percent",
        METRICS,
        "specificity: 0.9}",
        "specificity: 90}",
        "bench/metrics.yaml:2: expected more than 0 and less than 1 for `specificity` in metric "
        "`screening`, found 90.",
    ),
    Mistake(
        "a specificity of everything",
        METRICS,
        "specificity: 0.9}",
        "specificity: 1}",
        "bench/metrics.yaml:2: expected more than 0 and less than 1 for `specificity` in metric "
        "`screening`, found 1.",
    ),
    Mistake(
        "a sensitivity of nothing",
        METRICS,
        "sensitivity: 0.8}",
        "sensitivity: 0}",
        "bench/metrics.yaml:7: expected more than 0 and less than 1 for `sensitivity` in metric "
        "`rule_out`, found 0.",
    ),
    Mistake(
        "one bin",
        METRICS,
        "bins: 10}",
        "bins: 1}",
        "bench/metrics.yaml:3: expected 2 to 1000 for `bins` in metric `fair-ece`, found 1.",
    ),
    Mistake(
        "more bins than examples",
        METRICS,
        "bins: 10}",
        "bins: 1001}",
        "bench/metrics.yaml:3: expected 2 to 1000 for `bins` in metric `fair-ece`, found 1001.",
    ),
    Mistake(
        "bins of what has none",
        METRICS,
        "{kind: ece, binning: equal-mass, bins: 10}",
        "{kind: brier, bins: 15}",
        "bench/metrics.yaml:3: `bins` are of a `part` of metric `fair-ece`, and it names none.",
    ),
    Mistake(
        "groups by an attribute without a name",
        METRICS,
        "attributes: [sex, age]",
        "attributes: [sex, ' ']",
        "bench/metrics.yaml:4: expected a name for `attributes` in metric `worst-ece`, found nothing.",
    ),
    Mistake(
        "nothing to tell from home at home",
        SCALE,
        "evaluate: id",
        "evaluate: id\nmetric: ood_auroc",
        "bench/claims/scale-data.yaml:9: metric `ood_auroc` tells a shift from `id`, so on `id` itself "
        "claim `scale-data` has nothing to tell apart. Expected `each-shift`.",
    ),
    Mistake(
        "a broken number of bins",
        METRICS,
        "bins: 10}",
        "bins: 1.5}",
        "bench/metrics.yaml:3: expected a whole number for `bins` in calibration error "
        "`fair-ece`, found `1.5`.",
    ),
    Mistake(
        "none of the largest logits",
        METRICS,
        "k: 2}",
        "k: 0}",
        "bench/metrics.yaml:8: expected at least 1 for `k` in metric `two`, found 0.",
    ),
    Mistake(
        "groups of one patient",
        METRICS,
        "smallest: 10}",
        "smallest: 1}",
        "bench/metrics.yaml:4: expected at least 2 for `smallest` in metric `worst-ece`, found 1.",
    ),
    Mistake(
        "features of an unknown stage",
        METRICS,
        "stage: block4",
        "stage: block5",
        "bench/metrics.yaml:11: unknown stage `block5` in metric `reuse`. Did you mean `block4`?",
    ),
    Mistake(
        "features of no stage",
        METRICS,
        ", stage: block4",
        "",
        "bench/metrics.yaml:11: feature reuse `reuse` lacks the key `stage`.",
    ),
    Mistake(
        "none of the way",
        METRICS,
        "share: 0.5",
        "share: 0",
        "bench/metrics.yaml:12: expected more than 0 and up to 1 for `share` in metric `steps`, found 0.",
    ),
    Mistake(
        "a share of the way in percent",
        METRICS,
        "share: 0.5",
        "share: 50",
        "bench/metrics.yaml:12: expected more than 0 and up to 1 for `share` in metric `steps`, found 50.",
    ),
    Mistake(
        "groups of what is known of a run",
        METRICS,
        "of: fair-ece, attributes: [sex, age]",
        "of: steps_to_share, attributes: [sex, age]",
        "bench/metrics.yaml:4: `steps_to_share` is known of a run as a whole, so metric `worst-ece` cannot "
        "be of it. Expected `accuracy`, `aurc`, `average_precision`, `balanced_accuracy`, "
        "`brier`, `calibration_intercept_error`, `calibration_slope_error`, `ece`, `fair-ece`, "
        "`misclassification_auroc`, `nll`, `ood_auroc`, `ppv`, `primary`, `roc_auc`, `rule_out`, "
        "`screening`, `two`.",
    ),
    Mistake(
        "groups by one attribute twice",
        METRICS,
        "attributes: [sex, age]",
        "attributes: [sex, sex]",
        "bench/metrics.yaml:4: `sex` comes twice in `attributes` in metric `worst-ece`. Keep one.",
    ),
    Mistake(
        "a group metric of an unknown one",
        METRICS,
        "of: fair-ece, attributes: [sex, age]",
        "of: fair-eec, attributes: [sex, age]",
        "bench/metrics.yaml:4: unknown metric `fair-eec` in metric `worst-ece`. Did you mean `fair-ece`?",
    ),
    Mistake(
        "a group metric of itself",
        METRICS,
        "of: fair-ece, attributes: [sex, age]",
        "of: worst-ece, attributes: [sex, age]",
        "bench/metrics.yaml:4: `worst-ece` compares groups itself, so metric `worst-ece` cannot "
        "be of it. Expected `accuracy`, `aurc`, `average_precision`, `balanced_accuracy`, "
        "`brier`, `calibration_intercept_error`, `calibration_slope_error`, `ece`, `fair-ece`, "
        "`misclassification_auroc`, `nll`, `ood_auroc`, `ppv`, `primary`, `roc_auc`, `rule_out`, "
        "`screening`, `two`.",
    ),
    Mistake(
        "a group metric of another",
        METRICS,
        "of: fair-ece, attributes: [sex, age]",
        "of: gap, attributes: [sex, age]",
        "bench/metrics.yaml:4: `gap` compares groups itself, so metric `worst-ece` cannot be of "
        "it. Expected `accuracy`, `aurc`, `average_precision`, `balanced_accuracy`, `brier`, "
        "`calibration_intercept_error`, `calibration_slope_error`, `ece`, `fair-ece`, "
        "`misclassification_auroc`, `nll`, `ood_auroc`, `ppv`, `primary`, `roc_auc`, `rule_out`, "
        "`screening`, `two`.",
    ),
    Mistake(
        "a group metric of equalised odds",
        METRICS,
        "of: fair-ece, attributes: [sex, age]",
        "of: odds, attributes: [sex, age]",
        "bench/metrics.yaml:4: `odds` compares groups itself, so metric `worst-ece` cannot be of "
        "it. Expected `accuracy`, `aurc`, `average_precision`, `balanced_accuracy`, `brier`, "
        "`calibration_intercept_error`, `calibration_slope_error`, `ece`, `fair-ece`, "
        "`misclassification_auroc`, `nll`, `ood_auroc`, `ppv`, `primary`, `roc_auc`, `rule_out`, "
        "`screening`, `two`.",
    ),
]


@pytest.fixture
def bench(tmp_path, monkeypatch) -> Path:
    """A good suite, named as seen from the working directory."""
    monkeypatch.chdir(tmp_path)
    root = Path("bench")
    for name, text in GOOD.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.name)
def test_every_mistake_is_one_message_with_file_and_line(mistake, bench):
    good = GOOD[mistake.file]
    assert not mistake.old or good.count(mistake.old) == 1, "the table names one place"
    bad = good.replace(mistake.old, mistake.new) if mistake.old else good + mistake.new
    (bench / mistake.file).write_text(bad)
    with pytest.raises(MedbenchError) as caught:
        load_suite(bench)
    assert str(caught.value) == mistake.message


SYNTHESIS = """\
synthesis: both
statement: At scale and not when small.
source: {study: C3, strength: own}
tasks: [chest]
properties:
  robustness:
    at_scale: scale-data
    small: ood-robustness
"""


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "synthesis: both",
            "synthesis: trend",
            "1: `trend` names a claim and a synthesis. Give this synthesis",
        ),
        (
            "At scale and not when small.",
            "' '",
            "2: expected one sentence that can be true or false for `statement` in synthesis `both`",
        ),
        (
            "[chest]",
            "\n- chest\n- mammography",
            "6: claim `scale-data` in synthesis `both` is not about task `mammography`. Leave the task",
        ),
        (
            "small: ood-robustness",
            "small: scale-data",
            "8: `at_scale` and `small` of `robustness` in synthesis `both` are one claim. Expected two.",
        ),
    ],
)
def test_a_synthesis_that_cannot_be_concluded_is_refused_with_file_and_line(old, new, message, bench):
    (bench / "syntheses").mkdir()
    (bench / "syntheses/both.yaml").write_text(SYNTHESIS)
    assert list(load_suite(bench).syntheses) == ["both"]
    assert SYNTHESIS.count(old) == 1
    (bench / "syntheses/both.yaml").write_text(SYNTHESIS.replace(old, new))
    with pytest.raises(MedbenchError) as caught:
        load_suite(bench)
    assert str(caught.value).startswith(f"bench/syntheses/both.yaml:{message}")


def test_sentinels_of_a_tier_without_arms_are_refused_with_what_to_do(bench):
    tier = "  mine: {description: d, recipe: rule, seeds: [1], sentinels: [], sentinel_backbones: [bit-x]}\n"
    (bench / TIERS).write_text(GOOD[TIERS] + tier)
    with pytest.raises(MedbenchError) as caught:
        load_suite(bench)
    assert str(caught.value) == (
        "bench/tiers.yaml:8: no claim has arms in tier `mine`, so there is none to name. Leave this key out."
    )


def test_a_good_suite_is_read_as_declared(bench):
    suite = load_suite(bench)
    assert suite.root == "bench"
    assert suite.claim_files == {
        **{
            name: f"claims/{name}.yaml"
            for name in ("contrast", "drop", "fair", "saved", "scale-data", "trend")
        },
        "ood-robustness": OOD,
    }
    assert list(suite.tasks) == ["chest", "mammography"]
    assert suite.claims["ood-robustness"].arms["embedded"]["treatment"].backbone == "bit-large-r14x0.5"
    assert suite.recipes["short"].base_learning_rate == 0.003
    assert suite.architectures["r50x1"].width == 1.0
    assert suite.tiers["embedded"].sentinels == [1]


def test_each_kind_of_effect_is_read_with_its_arms_in_the_order_declared(bench):
    claims = load_suite(bench).claims
    weights = {"many": 1.0, "few": -1.0, "many-on-half": -1.0, "few-on-half": 1.0}
    assert claims["contrast"].effect == Contrast(weights=weights)
    assert claims["contrast"].seeds == 2
    assert [claims[name].effect for name in ("drop", "fair", "saved", "trend")] == [
        Robustness(),
        Gain(),
        DataSaved(),
        Slope(),
    ]
    assert {name: arm.label for name, arm in claims["trend"].arms["embedded"].items()} == {
        "none": "bit-random-r14x0.5+rule",
        "few": "bit-small-r14x0.5",
        "many": "bit-large-r14x0.5",
    }
    assert list(claims["trend"].arms["embedded"]) == ["none", "few", "many"]
    assert claims["saved"].arms["embedded"]["with-half"].label == "bit-large-r14x0.5@0.5"


def test_a_task_says_how_images_are_joined_and_whose_sub_groups_are_compared(bench):
    task = load_suite(bench).tasks["mammography"]
    assert task.units == [Unit(by=["patient", "laterality"], over="mean"), Unit(by=["patient"], over="max")]
    assert task.attributes == ["age", "density"]


@pytest.mark.parametrize(
    ("primary", "why"),
    [("gap", "compares groups itself"), ("steps", "is known of a run as a whole")],
)
def test_the_tasks_own_metric_is_compared_between_groups_only_if_a_group_has_a_value(primary, why, bench):
    (bench / MAMMOGRAPHY).write_text(GOOD[MAMMOGRAPHY].replace("primary: roc_auc", f"primary: {primary}"))
    for file in (CONTRAST, OOD):  # which are about shifts too, and come first
        (bench / file).unlink()
    (bench / DROP).write_text(GOOD[DROP].replace("each-shift", "each-shift\nmetric: roc_auc"))
    (bench / TIERS).write_text(GOOD[TIERS].replace(", bit-large-r14x0.5@0.5", ""))
    with pytest.raises(MedbenchError) as caught:
        load_suite(bench)
    assert str(caught.value) == (
        "bench/claims/fair.yaml:10: metric `open-gap` is of the own one of task `mammography` in claim "
        f"`fair`, and `{primary}` {why}."
    )


def test_a_share_saved_is_at_most_all_whatever_the_range_of_the_metric(bench):
    assert BUILT_IN["nll"].high == inf
    (bench / SAVED).write_text(GOOD[SAVED].replace("relevant_effect: 0.03", "relevant_effect: 1"))
    with pytest.raises(MedbenchError, match=r"saved\.yaml:16: expected less than 1, the width"):
        load_suite(bench)


def test_declared_metrics_stand_beside_those_built_in(bench):
    metrics = load_suite(bench).metrics
    assert set(metrics) > set(BUILT_IN)
    assert metrics["screening"] == SensitivityAtSpecificity(specificity=0.9)
    assert metrics["fair-ece"] == CalibrationError(binning="equal-mass", bins=10)
    assert metrics["worst-ece"] == WorstGroup(of="fair-ece", attributes=["sex", "age"], smallest=10)
    assert metrics["nll"] is BUILT_IN["nll"]


def test_a_suite_need_not_declare_metrics(bench):
    (bench / METRICS).unlink()
    (bench / FAIR).unlink()  # its metric is declared
    assert load_suite(bench).metrics == BUILT_IN


def test_claims_and_tasks_may_name_a_declared_metric(bench):
    (bench / OOD).write_text(GOOD[OOD].replace("metric: primary", "metric: worst-ece"))
    (bench / CHEST).write_text(GOOD[CHEST].replace("primary: roc_auc", "primary: screening"))
    suite = load_suite(bench)
    assert (suite.claims["ood-robustness"].metric, suite.tasks["chest"].primary) == ("worst-ece", "screening")


@pytest.mark.parametrize("metric", ["ood_auroc", "strange-gap"])
def test_a_tasks_own_metric_that_needs_a_shift_is_refused_where_a_claim_looks_at_home(bench, metric):
    gap = "  strange-gap: {kind: group_gap, of: ood_auroc, attributes: [sex]}\n"
    (bench / METRICS).write_text(GOOD[METRICS] + gap)
    (bench / CHEST).write_text(GOOD[CHEST].replace("primary: roc_auc", f"primary: {metric}"))
    with pytest.raises(MedbenchError, match=rf"scale-data.yaml:9: metric `{metric}` tells a shift from `id`"):
        load_suite(bench)
    (bench / SCALE).write_text(GOOD[SCALE].replace("evaluate: id", "evaluate: each-shift"))
    assert load_suite(bench).tasks["chest"].primary == metric


def test_a_part_of_the_brier_score_has_bins(bench):
    (bench / METRICS).write_text(GOOD[METRICS] + "  part: {kind: brier, part: resolution, bins: 5}\n")
    assert load_suite(bench).metrics["part"].identity == "brier/resolution-5@1"


def test_claims_may_be_sorted_into_folders(bench):
    (bench / "claims/scale").mkdir()
    (bench / SCALE).rename(bench / "claims/scale/data.yaml")
    assert load_suite(bench).claim_files["scale-data"] == "claims/scale/data.yaml"


def remove_the_suite(root):
    shutil.rmtree(root)


def remove_the_tiers(root):
    (root / TIERS).unlink()


def misname_the_tiers(root):
    (root / TIERS).rename(root / "tier.yaml")


def leave_a_claim_outside_its_folder(root):
    (root / OOD).rename(root / "ood.yaml")


def end_a_claim_in_yml(root):
    (root / OOD).rename(root / "claims/ood.yml")


def shout_a_task(root):
    (root / CHEST).rename(root / "tasks/chest.YAML")


def remove_the_claims(root):
    shutil.rmtree(root / "claims")


FILES_OF_A_SUITE = (
    "A suite has backbones.yaml, recipes.yaml, tiers.yaml, the folders claims and tasks, and perhaps "
    "metrics.yaml and the folder syntheses; or suite.yaml, and what of these it adds to medbench's own."
)
MAKE_ONE = "Run where it is, name it, or make one: `medbench init`."


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            remove_the_suite,
            f"bench: no such folder. {FILES_OF_A_SUITE} {MAKE_ONE}",
        ),
        (remove_the_tiers, f"bench/tiers.yaml: no such file. {FILES_OF_A_SUITE}"),
        (misname_the_tiers, f"bench/tier.yaml: no file of a suite. {FILES_OF_A_SUITE}"),
        (leave_a_claim_outside_its_folder, f"bench/ood.yaml: no file of a suite. {FILES_OF_A_SUITE}"),
        (end_a_claim_in_yml, "bench/claims/ood.yml: would not be read. Rename it to ood.yaml."),
        (shout_a_task, "bench/tasks/chest.YAML: would not be read. Rename it to chest.yaml."),
        (remove_the_claims, "bench/claims: nothing declared. Expected one .yaml file a claim."),
    ],
)
def test_a_file_that_is_missing_or_would_not_be_read_is_named(damage, message, bench):
    damage(bench)
    with pytest.raises(MedbenchError) as caught:
        load_suite(bench)
    assert str(caught.value) == message


def test_a_backbone_is_found_by_its_name(bench):
    suite = load_suite(bench)
    assert backbone_named(suite, "bit-large-r14x0.5") == Arm(upstream="large", architecture="r14x0.5")
    assert backbone_named(suite, "bit-random-r50x1") == Arm(upstream="random", architecture="r50x1")


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("bit-larg-r14x0.5", "Did you mean `bit-large-r14x0.5`?"),
        ("bit-large-r50x1", "Did you mean `bit-large-r14x0.5`?"),
        ("bit-large", "Did you mean `bit-large-r14x0.5`?"),
        ("BiT-Small-R14", "Did you mean `bit-small-r14x0.5`?"),
        ("bit-random-r", "Did you mean `bit-random-r14x0.5` or `bit-random-r50x1`?"),
        (
            "r14",
            "Did you mean `bit-random-r14x0.5`, `bit-small-r14x0.5` or `bit-large-r14x0.5`?",
        ),
        (
            "resnet",
            "Expected `bit-large-r14x0.5`, `bit-random-r14x0.5`, `bit-random-r50x1`, `bit-small-r14x0.5`.",
        ),
    ],
)
def test_an_unknown_backbone_is_refused_with_those_that_there_are(name, hint, bench):
    with pytest.raises(MedbenchError) as caught:
        backbone_named(load_suite(bench), name)
    assert str(caught.value) == f"unknown backbone `{name}`. {hint}"


@pytest.fixture(scope="module")
def declared():
    return load_suite(BENCHMARKS)


def test_the_projects_own_suite_declares_its_claims_for_all_three_tasks(declared):
    others = {"chest-nih": "chest", "mammography-vindr": "mammography", "dermatology-pad-ufes": "dermatology"}
    assert set(declared.tasks) == {"chest", "mammography", "dermatology", *others}
    assert {name: task.claims_of for name, task in declared.tasks.items() if task.claims_of} == others
    assert {"scale-data", "ood-robustness"} <= set(declared.claims)
    for name in ("scale-data", "ood-robustness"):
        assert set(declared.claims[name].tasks) == set(declared.tasks)


def test_the_embedded_tier_has_seeds_enough_and_trains_some_of_them_always(declared):
    tier = declared.tiers["embedded"]
    assert len(tier.seeds) >= 3
    assert tier.sentinels


def test_the_embedded_tier_lists_how_it_departs_from_the_hyperrule(declared):
    recipe = declared.recipes[declared.tiers["embedded"].recipe]
    assert len(recipe.deviations) >= 3
    assert str(recipe.steps) in " ".join(recipe.deviations)


@pytest.mark.parametrize("tier", ["public", "private"])
def test_released_nets_compute_in_bfloat16_which_is_listed_and_small_ones_do_not(declared, tier):
    recipes = declared.recipes
    usual = {declared.tiers[tier].recipe} | {task.recipes.get(tier) for task in declared.tasks.values()} - {
        None
    }
    assert {recipes[name].precision for name in usual} == {"bfloat16"}
    assert all("bfloat16" in " ".join(recipes[name].deviations) for name in usual)
    assert recipes[declared.tiers["embedded"].recipe].precision == "float32"


def test_all_released_architectures_are_declared(declared):
    blocks = {"r50": [3, 4, 6, 3], "r101": [3, 4, 23, 3], "r152": [3, 8, 36, 3]}
    for name in ("r50x1", "r50x3", "r101x1", "r101x3", "r152x2", "r152x4"):
        depth, _, width = name.partition("x")
        assert declared.architectures[name].blocks == blocks[depth]
        assert declared.architectures[name].width == int(width)
        assert declared.upstreams["s"].weights[name] == f"BiT-S-{name.upper().replace('X', 'x')}.npz"
        assert declared.upstreams["m"].weights[name] == f"BiT-M-{name.upper().replace('X', 'x')}.npz"


def test_margins_are_in_the_range_of_their_metric(declared):
    for claim in declared.claims.values():
        for task in claim.tasks:
            metric = declared.metrics[
                declared.tasks[task].primary if claim.metric == "primary" else claim.metric
            ]
            assert 0 <= claim.margin < metric.high - metric.low
            assert abs(claim.relevant_effect) < metric.high - metric.low
