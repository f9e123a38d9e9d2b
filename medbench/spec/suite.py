"""Reads a folder of declarations and checks what they mean: every reference, every range.

The first thing that is wrong is one message with file and line. Nothing here opens cohorts or weights.
"""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import msgspec

from medbench.errors import MedbenchError, nearest
from medbench.models.weights import SUFFIXES
from medbench.predicates import PREDICATES
from medbench.spec.effects import (
    BASELINE,
    TREATMENT,
    Contrast,
    DataSaved,
    Gain,
    Robustness,
    Slope,
)
from medbench.spec.layers import HEAD, KINDS, Layer, read_layers
from medbench.spec.loader import Document
from medbench.spec.metrics import (
    BIT_STAGES,
    BUILT_IN,
    OF_ANOTHER,
    OF_GROUPS,
    OF_RUN,
    AnyMetric,
    Brier,
    FeatureReuse,
    Metrics,
    pools_home,
    ungrouped,
    why_ungroupable,
)
from medbench.spec.records import (
    PRIMARY,
    Arm,
    Backbones,
    Claim,
    FixedRecipe,
    Recipes,
    Replaces,
    Suite,
    Synthesis,
    Task,
    Tier,
    Tiers,
    label,
)
from medbench.spec.units import PATIENT

SUMS_TO_0 = 1e-9
"""As near as a sum of decimal weights comes to 0."""
_Asking = TypeVar("_Asking", Claim, Synthesis)
_NAME = re.compile(r"[a-z0-9]+([.-][a-z0-9]+)*")
_METRIC_NAME = re.compile(r"[a-z0-9]+([._-][a-z0-9]+)*")


def load_suite(root: Path) -> Suite:
    """Read `claims/`, `tasks/`, `backbones.yaml`, `recipes.yaml` and `tiers.yaml` below `root`.

    And `metrics.yaml` and `syntheses/`, where they are there. With a `suite.yaml` all of these may be
    missing: they are added to medbench's own.

    Raises:
      MedbenchError: a file is missing or wrong (see `load_yaml`), names something that is not declared,
        or has a value out of range; the message starts with file and line.
    """
    *bases, own = read_layers(root)
    suite = _joined(bases, own)
    _check(own, suite)
    for base in bases:
        _check_base(base, suite, own)
    return suite


def _joined(bases: Sequence[Layer], own: Layer) -> Suite:
    """One suite of all layers; of what is declared in two, the later one's."""
    declared: dict[str, dict[str, Any]] = {
        kind: {name: entry.value for layer in (*bases, own) for name, entry in layer.entries[kind].items()}
        for kind in KINDS
    }
    declared["metrics"] = BUILT_IN | declared["metrics"]
    for kind in ("claims", "syntheses"):
        declared[kind] = {name: _of_all(each, declared["tasks"]) for name, each in declared[kind].items()}
    of_bases = {name: HEAD for base in bases for name in base.entries["claims"]}
    claims = own.folders["claims"].items()
    of_own = {each.value.claim: path.relative_to(own.root).as_posix() for path, each in claims}
    return Suite(
        root=str(own.root),
        base=str(bases[0].root) if bases else "",
        replaces=own.head.value.replaces if own.head else Replaces(),
        claim_files=of_bases | of_own,
        **declared,
    )


def _of_all(asking: _Asking, tasks: Mapping[str, Task]) -> _Asking:
    """Asked of the tasks that it names, and of those that are judged by their claims."""
    also: list[str] = [task.task for task in tasks.values() if task.claims_of in asking.tasks]
    return msgspec.structs.replace(asking, tasks=list(dict.fromkeys([*asking.tasks, *also])))


def _check_base(base: Layer, suite: Suite, own: Layer) -> None:
    """What medbench declares has a meaning beside what replaces a part of it."""
    try:
        _check(base, suite)
    except MedbenchError as error:
        assert own.head is not None
        problem = f"what is replaced leaves something of medbench's without a meaning: {error}"
        raise own.head.error("replaces", message=problem) from error


def _check(layer: Layer, suite: Suite) -> None:
    """What a layer declares has a meaning within the whole suite."""
    if layer.backbones:
        _check_backbones(layer.backbones, suite)
    if layer.recipes:
        _check_recipes(layer.recipes)
    if layer.tiers:
        _check_tiers(layer.tiers, suite)
    if layer.metrics:
        _check_metrics(layer.metrics, suite)
    for kind, documents in layer.folders.items():
        _check_unique(documents, KINDS[kind])
    for task in layer.folders["tasks"].values():
        _check_task(task, suite)
    for claim in layer.folders["claims"].values():
        _check_claim(claim, suite)
    for synthesis in layer.folders["syntheses"].values():
        _check_synthesis(synthesis, suite)
    _check_names_apart(layer, suite)
    if layer.tiers:
        _check_sentinel_backbones(layer.tiers, suite)


def backbone_named(suite: Suite, name: str) -> Arm:
    """The upstream and architecture of `bit-<upstream>-<architecture>`.

    Raises:
      MedbenchError: the suite declares no such backbone; the message names the nearest.
    """
    arms = [
        Arm(upstream=upstream, architecture=architecture)
        for upstream, declared in suite.upstreams.items()
        for architecture in (declared.weights or suite.architectures)
    ]
    for arm in arms:
        if arm.backbone == name:
            return arm
    raise MedbenchError(f"unknown backbone `{name}`. {_nearest_backbones(name, arms)}")


def _nearest_backbones(name: str, arms: Collection[Arm]) -> str:
    """All that a fragment is part of (`r50x1`, `BiT-M`), for none of them is nearer; else the nearest."""
    known = [arm.backbone for arm in arms]
    fitting = [f"`{backbone}`" for backbone in known if name and name.lower() in backbone]
    if not fitting:
        return nearest(name.lower(), known)
    return f"Did you mean {' or '.join(filter(None, [', '.join(fitting[:-1]), fitting[-1]]))}?"


@dataclass(frozen=True)
class _Declared:
    """A declared thing, where it stands, and what is asked of it."""

    document: Document[Any]
    place: tuple[str | int, ...]
    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} `{self.name}`"

    def refuse(self, *steps: str | int, message: str) -> NoReturn:
        """Complain about the value that `steps` lead to from here."""
        raise self.document.error(*self.place, *steps, message=message)

    def says(self, *steps: str | int) -> bool:
        """Whether the file has the value that `steps` lead to, rather than leaving it at its default."""
        return (*self.place, *steps) in self.document.lines

    def expect(self, expected: str, *steps: str | int, found: object, holds: bool) -> None:
        """The value that `steps` lead to is as expected."""
        if not holds:
            field = next(step for step in reversed(steps) if isinstance(step, str))
            self.refuse(*steps, message=f"expected {expected} for `{field}` in {self}, found {found}.")

    def expect_known(self, kind: str, name: str, known: Collection[str], *steps: str | int) -> None:
        """The name that `steps` lead to is declared."""
        if name not in known:
            self.refuse(*steps, message=f"unknown {kind} `{name}` in {self}. {nearest(name, known)}")

    def expect_once(self, values: list[Any], *steps: str) -> None:
        """No value of the list that `steps` lead to comes twice."""
        for i, value in enumerate(values):
            if value in values[:i]:
                self.refuse(*steps, i, message=f"`{value}` comes twice in `{steps[-1]}` in {self}. Keep one.")

    def expect_name(self, *steps: str) -> None:
        """The thing's name can be part of an id and of a file's name."""
        if not _NAME.fullmatch(self.name):
            slug = "-".join(re.findall(r"[a-z0-9.]+", self.name.lower())).strip(".")
            hint = f" Did you mean `{slug}`?" if _NAME.fullmatch(slug) else ""
            self.refuse(
                *steps,
                message=f"`{self.name}` cannot name a declared {self.kind}: "
                f"expected lower-case letters and digits, joined by `-` or `.`.{hint}",
            )


def _check_unique(documents: Mapping[Path, Document[Any]], kind: str) -> None:
    first: dict[str, str] = {}
    for document in documents.values():
        declared = _Declared(document, (), kind, getattr(document.value, kind))
        declared.expect_name(kind)
        if declared.name in first:
            declared.refuse(
                kind,
                message=f"{declared} is already declared in {first[declared.name]}. Rename one of them.",
            )
        first[declared.name] = document.file


def _check_names_apart(layer: Layer, suite: Suite) -> None:
    """No synthesis has the name of a claim."""
    for kind, others in (("syntheses", suite.claims), ("claims", suite.syntheses)):
        for document in layer.folders[kind].values():
            noun = KINDS[kind]
            name = getattr(document.value, noun)
            if name in others:
                message = f"`{name}` names a claim and a synthesis. Give this {noun} another name."
                raise document.error(noun, message=message)


def _check_backbones(document: Document[Backbones], suite: Suite) -> None:
    for name, architecture in document.value.architectures.items():
        declared = _Declared(document, ("architectures", name), "architecture", name)
        declared.expect_name()
        blocks, width = architecture.blocks, architecture.width
        if architecture.module:
            for field in ("blocks", "width"):
                if declared.says(field):
                    declared.refuse(field, message=f"{declared} has a `module`, so it has no `{field}`.")
            continue
        declared.expect(
            "four positive numbers", "blocks", found=blocks, holds=len(blocks) == 4 and min(blocks) > 0
        )
        whole = width > 0 and (64 * width).is_integer()
        declared.expect("a positive multiple of 1/64", "width", found=f"{width:g}", holds=whole)
    for name, upstream in document.value.upstreams.items():
        declared = _Declared(document, ("upstreams", name), "upstream", name)
        declared.expect_name()
        declared.expect("at least 0", "images", found=upstream.images, holds=upstream.images >= 0)
        declared.expect("at least 0", "classes", found=upstream.classes, holds=upstream.classes >= 0)
        if bool(upstream.images) != bool(upstream.weights):
            declared.refuse(
                "weights",
                message=f"{declared} has {upstream.images} images and {len(upstream.weights)} weight files. "
                "Expected neither, which means random initialisation, or both.",
            )
        for architecture_name, file in upstream.weights.items():
            steps = ("weights", architecture_name)
            declared.expect_known("architecture", architecture_name, suite.architectures, *steps)
            of_module = bool(suite.architectures[architecture_name].module)
            bare = Path(file).name == file != "" and (of_module or file.endswith(SUFFIXES))
            kind = "a" if of_module else f"an {' or '.join(SUFFIXES)}"
            expected = f"the name of {kind} file, without folders,"
            declared.expect(expected, *steps, found=f"`{file}`", holds=bare)


def _check_recipes(document: Document[Recipes]) -> None:
    for name, recipe in document.value.recipes.items():
        declared = _Declared(document, ("recipes", name), "recipe", name)
        declared.expect_name()
        if isinstance(recipe, FixedRecipe):
            _check_fixed_recipe(declared, recipe)


def _check_fixed_recipe(declared: _Declared, recipe: FixedRecipe) -> None:
    warmup, decays, steps = recipe.warmup_steps, recipe.decay_steps, recipe.steps
    ordered = decays == sorted(set(decays)) and all(warmup <= step < steps for step in decays)
    for field, expected, holds in [
        ("steps", "at least 1", steps >= 1),
        ("batch_size", "at least 1", recipe.batch_size >= 1),
        ("base_learning_rate", "more than 0", recipe.base_learning_rate > 0),
        ("warmup_steps", f"0 or more, and less than `steps` ({steps}),", 0 <= warmup < steps),
        (
            "decay_steps",
            f"ascending steps from `warmup_steps` ({warmup}) to below `steps` ({steps})",
            ordered,
        ),
        ("mixup_alpha", "at least 0", recipe.mixup_alpha >= 0),
        ("crop", "at least 1", recipe.crop >= 1),
        ("resize", f"at least `crop` ({recipe.crop})", recipe.resize >= recipe.crop),
    ]:
        declared.expect(expected, field, found=getattr(recipe, field), holds=holds)


def _check_tiers(document: Document[Tiers], suite: Suite) -> None:
    for name, tier in document.value.tiers.items():
        declared = _Declared(document, ("tiers", name), "tier", name)
        declared.expect_name()
        declared.expect_known("recipe", tier.recipe, suite.recipes, "recipe")
        if tier.arms_of:
            others = [other for other in suite.tiers if other != name]
            declared.expect_known("tier", tier.arms_of, others, "arms_of")
        declared.expect("at least one seed", "seeds", found="none", holds=bool(tier.seeds))
        declared.expect_once(tier.seeds, "seeds")
        declared.expect_once(tier.sentinels, "sentinels")
        for i, seed in enumerate(tier.seeds):
            declared.expect("at least 0", "seeds", i, found=seed, holds=seed >= 0)
        for i, seed in enumerate(tier.sentinels):
            declared.expect(
                f"some of the seeds ({', '.join(map(str, tier.seeds))})",
                "sentinels",
                i,
                found=seed,
                holds=seed in tier.seeds,
            )


def _check_sentinel_backbones(document: Document[Tiers], suite: Suite) -> None:
    """What is always trained is an arm of some claim in the tier."""
    for name, tier in document.value.tiers.items():
        declared = _Declared(document, ("tiers", name), "tier", name)
        declared.expect_once(tier.sentinel_backbones, "sentinel_backbones")
        arms = [arm for claim in suite.claims.values() for arm in suite.arms(claim, name).values()]
        known = {_fine_tuned(arm, tier) for arm in arms}
        if tier.sentinel_backbones and not known:
            message = f"no claim has arms in {declared}, so there is none to name. Leave this key out."
            declared.refuse("sentinel_backbones", message=message)
        for i, backbone in enumerate(tier.sentinel_backbones):
            declared.expect_known("arm", backbone, known, "sentinel_backbones", i)


def _fine_tuned(arm: Arm, tier: Tier) -> str:
    """The arm's label, the same whether it names the tier's recipe or leaves it out."""
    recipe = "" if arm.recipe == tier.recipe else arm.recipe
    return label(arm.backbone, fraction=arm.fraction, recipe=recipe)


def _check_metrics(document: Document[Metrics], suite: Suite) -> None:
    for name, metric in document.value.metrics.items():
        declared = _Declared(document, ("metrics", name), "metric", name)
        if not _METRIC_NAME.fullmatch(name):
            declared.refuse(
                message=f"`{name}` cannot name a metric: expected lower-case letters and digits, "
                "joined by `_`, `-` or `.`."
            )
        if name in BUILT_IN or name == PRIMARY:
            what = "means the task's own metric" if name == PRIMARY else "is built in"
            declared.refuse(message=f"`{name}` {what}, so give the declared one another name.")
        for field, expected, holds in _METRIC_RANGES:
            if hasattr(metric, field):
                found = getattr(metric, field)
                declared.expect(expected, field, found=f"{found:g}", holds=holds(found))
        if isinstance(metric, Brier) and metric.part == "score" and declared.says("bins"):
            declared.refuse("bins", message=f"`bins` are of a `part` of {declared}, and it names none.")
        if isinstance(metric, FeatureReuse) and not any(net.module for net in suite.architectures.values()):
            declared.expect_known("stage", metric.stage, BIT_STAGES, "stage")
        if isinstance(metric, OF_GROUPS):
            declared.expect_once(metric.attributes, "attributes")
            for i, attribute in enumerate(metric.attributes):
                declared.expect("a name", "attributes", i, found="nothing", holds=bool(attribute.strip()))
        if isinstance(metric, OF_ANOTHER):
            _check_inner(declared, metric.of, suite)


_METRIC_RANGES: list[tuple[str, str, Callable[[Any], bool]]] = [
    ("k", "at least 1", lambda k: k >= 1),
    ("specificity", "more than 0 and less than 1", lambda share: 0 < share < 1),
    ("sensitivity", "more than 0 and less than 1", lambda share: 0 < share < 1),
    ("bins", "2 to 1000", lambda bins: 2 <= bins <= 1000),
    ("smallest", "at least 2", lambda patients: patients >= 2),
    ("share", "more than 0 and up to 1", lambda share: 0 < share <= 1),
]
"""By parameter of a metric: what is expected of it, in words and as a test."""


def _check_inner(declared: _Declared, of: str, suite: Suite) -> None:
    """The metric that is compared between groups is known, and has a value for a group."""
    fitting = [PRIMARY, *ungrouped(suite.metrics)]
    why = why_ungroupable(suite.metrics[of]) if of in suite.metrics else ""
    if why:
        declared.refuse("of", message=f"`{of}` {why}, so {declared} cannot be of it. {nearest(of, fitting)}")
    declared.expect_known("metric", of, fitting, "of")


def _check_task(document: Document[Task], suite: Suite) -> None:
    task = document.value
    declared = _Declared(document, (), "task", task.task)
    declared.expect_known("metric", task.primary, suite.metrics, "primary")
    primary = suite.metrics[task.primary]
    if isinstance(primary, OF_GROUPS) and (not primary.attributes or getattr(primary, "of", "") == PRIMARY):
        declared.refuse(
            "primary",
            message=f"metric `{task.primary}` leaves open what it compares, so it cannot be the own one of "
            f"{declared}. Name attributes, and another metric than `{PRIMARY}`, in metrics.yaml.",
        )
    declared.expect_once(task.attributes, "attributes")
    for i, unit in enumerate(task.units):
        found = ", ".join(f"`{name}`" for name in unit.by) or "nothing"
        expected = "`patient`, alone or with attributes,"
        declared.expect(expected, "units", i, "by", found=found, holds=PATIENT in unit.by)
    if task.claims_of:
        fitting_tasks = [
            other.task
            for other in suite.tasks.values()
            if other.domain == task.domain and not other.claims_of and other.task != task.task
        ]
        declared.expect_known("task", task.claims_of, fitting_tasks, "claims_of")
    for tier, recipe in task.recipes.items():
        declared.expect_known("tier", tier, suite.tiers, "recipes", tier)
        declared.expect_known("recipe", recipe, suite.recipes, "recipes", tier)
    for tier, cohort in task.cohorts.items():
        declared.expect_known("tier", tier, suite.tiers, "cohorts", tier)
        if cohort.startswith("phantoms:"):
            fitting = f"phantoms:{task.domain}"
            declared.expect_known("cohort", cohort, [fitting], "cohorts", tier)


def _check_claim(document: Document[Claim], suite: Suite) -> None:
    claim = document.value
    declared = _Declared(document, (), "claim", claim.claim)
    _check_statement(declared, claim.statement)
    declared.expect("at least one task", "tasks", found="none", holds=bool(claim.tasks))
    declared.expect_once(claim.tasks, "tasks")
    for i, task in enumerate(claim.tasks):
        declared.expect_known("task", task, suite.tasks, "tasks", i)
    declared.expect("the arms of at least one tier", "arms", found="none", holds=bool(claim.arms))
    for tier, arms in claim.arms.items():
        declared.expect_known("tier", tier, suite.tiers, "arms", tier)
        for name, arm in arms.items():
            _Declared(document, ("arms", tier, name), "arm", name).expect_name()
            _check_arm(declared, arm, suite, "arms", tier, name)
        _check_side(declared, claim, tier, suite)
    fewest = min(len(tier.seeds) for name, tier in suite.tiers.items() if suite.arms(claim, name))
    expected = f"0 for all seeds of the tier, or 2 to {fewest} of them,"
    declared.expect(
        expected, "seeds", found=claim.seeds, holds=claim.seeds == 0 or 2 <= claim.seeds <= fewest
    )
    _check_metric(declared, claim, suite)
    _check_margin(declared, claim, suite)


def _check_synthesis(document: Document[Synthesis], suite: Suite) -> None:
    synthesis = document.value
    declared = _Declared(document, (), "synthesis", synthesis.synthesis)
    _check_statement(declared, synthesis.statement)
    declared.expect("at least one task", "tasks", found="none", holds=bool(synthesis.tasks))
    declared.expect_once(synthesis.tasks, "tasks")
    for i, task in enumerate(synthesis.tasks):
        declared.expect_known("task", task, suite.tasks, "tasks", i)
    declared.expect("at least one", "properties", found="none", holds=bool(synthesis.properties))
    for name, asked in synthesis.properties.items():
        for field in asked.__struct_fields__:
            declared.expect_known("claim", getattr(asked, field), suite.claims, "properties", name, field)
            _check_asks_of_all(declared, suite.claims[getattr(asked, field)])
        if asked.at_scale == asked.small:
            message = f"`at_scale` and `small` of `{name}` in {declared} are one claim. Expected two."
            declared.refuse("properties", name, "small", message=message)


def _check_asks_of_all(declared: _Declared, claim: Claim) -> None:
    """A claim of a synthesis is about each of its tasks."""
    for i, task in enumerate(declared.document.value.tasks):
        if task not in claim.tasks:
            message = (
                f"claim `{claim.claim}` in {declared} is not about task `{task}`. Leave the task out, or add "
                "it to the claim."
            )
            declared.refuse("tasks", i, message=message)


def _check_statement(declared: _Declared, statement: str) -> None:
    """There is something to judge."""
    found, holds = "nothing", bool(statement.strip())
    declared.expect("one sentence that can be true or false", "statement", found=found, holds=holds)


def _check_metric(declared: _Declared, claim: Claim, suite: Suite) -> None:
    """The metric is known, and fits where and over which sub-groups the claim is judged."""
    declared.expect_known("metric", claim.metric, {PRIMARY, *suite.metrics}, "metric")
    for task in claim.tasks:
        _check_metric_of_task(declared, claim, suite.tasks[task], suite)
    if isinstance(claim.effect, Robustness):
        declared.expect(
            "`each-shift`, for it is about what a shift takes away,",
            "evaluate",
            found=f"`{claim.evaluate}`",
            holds=claim.evaluate == "each-shift",
        )
    _check_each_attribute(declared, claim, suite)


def _check_metric_of_task(declared: _Declared, claim: Claim, task: Task, suite: Suite) -> None:
    """The metric, and the task's own where it is of that, can be had where the claim is judged."""
    metric = task.primary if claim.metric == PRIMARY else claim.metric
    spec = suite.metrics[metric]
    why = why_ungroupable(suite.metrics[task.primary])
    if isinstance(spec, OF_ANOTHER) and spec.of == PRIMARY and why:
        declared.refuse(
            "metric",
            message=f"metric `{metric}` is of the own one of task `{task.task}` in {declared}, and "
            f"`{task.primary}` {why}.",
        )
    if isinstance(spec, OF_RUN) and claim.evaluate != "id":
        declared.refuse(
            "evaluate",
            message=f"metric `{metric}` is known of a run as a whole, the same on every set, so there is one "
            f"item a task in {declared}. Expected `id`.",
        )
    if pools_home(metric, suite.metrics, task.primary):
        nothing = (
            f"metric `{metric}` tells a shift from `id`, so on `id` itself {declared} has nothing to tell"
        )
        if isinstance(claim.effect, Robustness):
            declared.refuse("effect", message=f"{nothing} apart. Expected another effect or metric.")
        if claim.evaluate != "each-shift":
            declared.refuse("evaluate", message=f"{nothing} apart. Expected `each-shift`.")


def _check_each_attribute(declared: _Declared, claim: Claim, suite: Suite) -> None:
    """A claim on each attribute, and no other, has a metric of groups that leaves the attribute open."""
    open_ones = [n for n, m in suite.metrics.items() if isinstance(m, OF_GROUPS) and not m.attributes]
    if claim.each_attribute:
        if claim.metric not in open_ones:
            declared.refuse(
                "metric",
                message=f"{declared} is about each attribute of the task, and metric `{claim.metric}` is not "
                f"of sub-groups, or names its attributes. {nearest(claim.metric, open_ones)}",
            )
        for i, task in enumerate(claim.tasks):
            if not suite.tasks[task].attributes:
                message = f"task `{task}` declares no `attributes`, and {declared} is about each of them."
                declared.refuse("tasks", i, message=message)
    elif claim.metric in open_ones:
        declared.refuse(
            "metric",
            message=f"metric `{claim.metric}` names no attributes, so {declared} must be about each of the "
            "task's: add `each_attribute: true`, or name the attributes in metrics.yaml.",
        )


def _check_side(declared: _Declared, claim: Claim, tier: str, suite: Suite) -> None:
    """The arms are those that the effect is made of."""
    arms = claim.arms[tier]
    tuned = {name: _fine_tuned(arm, suite.tiers[tier]) for name, arm in arms.items()}
    found = ", ".join(f"{name} ({of_arm})" for name, of_arm in tuned.items()) or "none"
    labels, others = set(tuned.values()), [arm for name, arm in arms.items() if name != BASELINE]
    match claim.effect:
        case Gain() | Robustness():
            expected = "`baseline` and `treatment`, which differ,"
            holds = arms.keys() == {BASELINE, TREATMENT} and len(labels) == 2
        case Contrast(weights=weights):
            expected = f"those that have weights ({', '.join(weights)})"
            holds = arms.keys() == weights.keys()
        case Slope():
            expected = "at least three, which differ,"
            holds = len(arms) == len(labels) >= 3
        case DataSaved():
            expected = "`baseline`, and one backbone at two or more fractions"
            one = len({(arm.backbone, arm.recipe) for arm in others}) == 1
            holds = BASELINE in arms and one and len({arm.fraction for arm in others}) == len(others) >= 2
    declared.expect(expected, "arms", tier, found=found, holds=holds)
    if isinstance(claim.effect, Contrast):
        weights = claim.effect.weights
        declared.expect(
            "numbers other than 0 that sum to 0",
            *("effect", "weights"),
            found=", ".join(f"{weight:g}" for weight in weights.values()),
            holds=all(weights.values()) and abs(sum(weights.values())) < SUMS_TO_0,
        )


def _check_margin(declared: _Declared, claim: Claim, suite: Suite) -> None:
    """The margin and the relevant effect fit the predicate, and the margin has a reason."""
    needs_room = claim.predicate != "superiority"
    declared.expect(
        "more than 0" if needs_room else "at least 0",
        "margin",
        found=f"{claim.margin:g}",
        holds=claim.margin > 0 if needs_room else claim.margin >= 0,
    )
    declared.expect(
        "why this margin", "margin_reason", found="nothing", holds=bool(claim.margin_reason.strip())
    )
    width = min(_width(claim, suite.tasks[task], suite) for task in claim.tasks)
    for field in ("margin", "relevant_effect"):
        found = getattr(claim, field)
        expected = f"less than {width:g}, the width of the metric's range (is it in percent?),"
        declared.expect(expected, field, found=f"{found:g}", holds=abs(found) < width)
    claimed = PREDICATES[claim.predicate](claim.margin)
    declared.expect(
        {
            "superiority": f"more than the margin ({claimed.low:g})",
            "non-inferiority": f"more than {claimed.low:g}, a loss of the margin,",
            "equivalence": f"more than {claimed.low:g} and less than {claimed.high:g}, within the margin,",
        }[claim.predicate],
        "relevant_effect",
        found=f"{claim.relevant_effect:g}",
        holds=claimed.low < claim.relevant_effect < claimed.high,
    )


def _width(claim: Claim, task: Task, suite: Suite) -> float:
    """Of the range of the claim's metric, or of the one that it compares between groups; 1 for shares."""
    if isinstance(claim.effect, DataSaved):
        return 1.0

    def named(metric: str) -> AnyMetric:
        return suite.metrics[task.primary if metric == PRIMARY else metric]

    spec = named(claim.metric)
    inner = named(spec.of) if isinstance(spec, OF_ANOTHER) else spec
    return inner.high - inner.low


def _check_arm(claim: _Declared, arm: Arm, suite: Suite, *steps: str) -> None:
    """Both axes are declared, and the upstream has weights of this architecture."""
    claim.expect_known("upstream", arm.upstream, suite.upstreams, *steps, "upstream")
    claim.expect_known("architecture", arm.architecture, suite.architectures, *steps, "architecture")
    weights = suite.upstreams[arm.upstream].weights or suite.architectures
    if arm.architecture not in weights:
        claim.refuse(
            *steps,
            "architecture",
            message=f"upstream `{arm.upstream}` has no weights for architecture `{arm.architecture}` "
            f"in {claim}. {nearest(arm.architecture, weights)}",
        )
    share = f"{arm.fraction:g}"
    claim.expect("a share above 0 and up to 1", *steps, "fraction", found=share, holds=0 < arm.fraction <= 1)
    if arm.recipe:
        claim.expect_known("recipe", arm.recipe, suite.recipes, *steps, "recipe")
