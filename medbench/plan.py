"""From claims to runs: what a tier has to judge, and the distinct fine-tunings that it takes.

Nothing here trains or imports jax, so that a plan is made in about a second on any machine.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from functools import cache, partial
from numbers import Real
from operator import index
from pathlib import Path

from medbench.data.cohort import ID, TRAIN, Cohort
from medbench.data.splits import nested_subset
from medbench.errors import MedbenchError, NotHereError, nearest
from medbench.models import backbones, lock, weights
from medbench.spec.effects import BASELINE, TREATMENT, Gain, Robustness, terms
from medbench.spec.metrics import AnyMetric, resolved
from medbench.spec.records import PRIMARY, Arm, Claim, Suite, Task, Tier
from medbench.spec.runs import BackboneSpec, Item, Plan, PlannedItem, ResolvedRecipe, RunSpec, Target
from medbench.spec.suite import backbone_named
from medbench.spec.units import PATIENT, Unit
from medbench.training import streams
from medbench.training.hyperrule import resolve


def items(
    suite: Suite, *, tier: str, cohorts: Mapping[str, Cohort], backbones: tuple[str, str] | None = None
) -> list[Item]:
    """What there is to judge: each claim, on each of its tasks, on each evaluation set.

    Args:
      suite: the declarations.
      tier: whose arms are compared; a claim without arms in it is left out.
      cohorts: by task; a task without one is left out.
      backbones: names of the baseline and the treatment, instead of every claim's own arms.

    Returns:
      Items in the order of declaration.

    Raises:
      MedbenchError: the suite declares no such tier or backbone.
    """
    tier_named(suite, tier)
    for name in backbones or ():
        backbone_named(suite, name)
    return [
        Item(
            task=task,
            claim=claim.claim,
            evaluation_set=evaluation_set,
            metric=suite.tasks[task].primary if claim.metric == PRIMARY else claim.metric,
            attribute=attribute,
            arms={name: arm.label for name, arm in arms.items()},
        )
        for claim in suite.claims.values()
        if (arms := arms_of(suite, claim, tier, backbones))
        for task in claim.tasks
        if task in cohorts
        for evaluation_set in evaluation_sets(claim, cohorts[task])
        for attribute in (_attributes(suite.tasks[task], cohorts[task]) if claim.each_attribute else [""])
    ]


def evaluation_sets(claim: Claim, cohort: Cohort) -> tuple[str, ...]:
    """Where a claim is judged, one item each."""
    shifts = (*cohort.shifts, *cohort.absent)
    return {"id": (ID,), "each-shift": shifts, "each-set": (ID, *shifts)}[claim.evaluate]


def arms_of(
    suite: Suite, claim: Claim, tier: str, backbones: tuple[str, str] | None = None
) -> dict[str, Arm]:
    """The arms of a claim in a tier; empty where it has none, or where two backbones cannot stand in.

    Args:
      suite: the declarations.
      claim: one of them.
      tier: whose arms are taken.
      backbones: names of two that take the place of `baseline` and `treatment`, under the tier's recipe, also
        where the tier has no arms; a claim whose effect is of other arms is left out.

    Raises:
      MedbenchError: no such backbone.
    """
    if backbones is None:
        return suite.arms(claim, tier)
    if not isinstance(claim.effect, Gain | Robustness):
        return {}
    pair = (backbone_named(suite, name) for name in backbones)
    return dict(zip((BASELINE, TREATMENT), pair, strict=True))


class Planner:
    """Makes plans of one session: what a run is, is found out once.

    Args:
      suite: the declarations.
      tier: whose recipe and seeds are used.
      cohorts: by task.
      backbones: as items were listed for.

    Raises:
      MedbenchError: no such tier.
    """

    def __init__(
        self,
        suite: Suite,
        *,
        tier: str,
        cohorts: Mapping[str, Cohort],
        backbones: tuple[str, str] | None = None,
    ) -> None:
        self._suite = suite
        self._tier = tier
        self._seeds = tier_named(suite, tier).seeds
        self._cohorts = cohorts
        self._backbones = backbones
        self._of_arm = cache(self._resolved)
        self._backbone = cache(partial(backbone_spec, suite))
        self._recipe = cache(self._resolved_recipe)
        self._n_train = cache(self._images_in)

    def plan(self, items: Iterable[Item]) -> Plan:
        """The runs that items need, each distinct one once.

        Runs come by task, then backbone, then seed, so that neighbours share decoded images
        and compiled code.

        Args:
          items: some of those that `items` lists.

        Raises:
          NotHereError: a weight file or a cohort is missing; the message says how to come by it.
          MedbenchError: no such backbone.
        """
        planned = tuple(self._planned(item, arms) for item in items if (arms := self._arms(item)))
        wanted = [run for p in planned for run in p.all_runs]
        return Plan(items=planned, runs=_in_order(wanted), naive=len(wanted))

    def _arms(self, item: Item) -> dict[str, Arm]:
        return arms_of(self._suite, self._suite.claims[item.claim], self._tier, self._backbones)

    def _planned(self, item: Item, arms: Mapping[str, Arm]) -> PlannedItem:
        claim, task = self._suite.claims[item.claim], self._suite.tasks[item.task]
        cohort, seeds = self._cohorts[item.task], self._seeds[: claim.seeds or None]
        self._require_here(cohort, item, arms)
        _require_units(task, cohort)
        return PlannedItem(
            item=item,
            metrics=resolved_metrics(self._suite, task, item),
            terms=terms(claim.effect, list(arms), item.evaluation_set),
            units=units_of(task, cohort.attributes, cohort.target),
            runs={
                name: {seed: self._of_arm(item.task, arm, seed) for seed in seeds}
                for name, arm in arms.items()
            },
        )

    def _require_here(self, cohort: Cohort, item: Item, arms: Mapping[str, Arm]) -> None:
        """All that an item lacks on this machine is told at once: cohorts, then weights, a line each."""
        missing = dict.fromkeys(filter(None, [cohort.absent.get(item.evaluation_set)]))
        needed: list[Callable[[], object]] = [partial(self._n_train, item.task)]
        needed += [partial(self._backbone, arm.backbone) for arm in arms.values()]
        for get in needed:
            try:
                get()
            except NotHereError as error:
                missing[str(error)] = None
        if missing:
            raise NotHereError("\n".join(missing))

    def run(self, *, task: str, backbone: str, seed: int, fraction: float = 1.0, recipe: str = "") -> RunSpec:
        """One fine-tuning; see `run_spec`."""
        seed, fraction = _whole_seed(seed), _share(fraction)
        usual = self._suite.tasks[task].recipes.get(self._tier) or tier_named(self._suite, self._tier).recipe
        recipe = recipe or usual
        if recipe not in self._suite.recipes:
            raise MedbenchError(f"unknown recipe `{recipe}`. {nearest(recipe, self._suite.recipes)}")
        cohort = self._cohorts[task]
        n_train = self._n_train(task, fraction, seed)
        return RunSpec(
            tier=self._tier,
            task=task,
            cohort=cohort.name,
            cohort_fingerprint=cohort.fingerprint,
            target=cohort.target,
            evaluation_sets=(ID, *cohort.shifts),
            backbone=self._backbone(backbone),
            recipe=self._recipe(task, recipe, self._backbone(backbone).architecture, n_train),
            own_recipe=recipe != usual,
            fraction=fraction,
            seed=seed,
        )

    def _resolved(self, task: str, arm: Arm, seed: int) -> RunSpec:
        return self.run(task=task, backbone=arm.backbone, seed=seed, fraction=arm.fraction, recipe=arm.recipe)

    def _resolved_recipe(self, task: str, recipe: str, architecture: str, n_train: int) -> ResolvedRecipe:
        return resolve(
            self._suite.recipes[recipe],
            name=recipe,
            architecture=self._suite.architectures[architecture],
            n_train=n_train,
            image_area=self._cohorts[task].image_area,
            horizontal_flip=self._suite.tasks[task].horizontal_flip,
        )

    def _images_in(self, task: str, fraction: float = 1.0, seed: int = 0) -> int:
        """How many images there are to train on."""
        patients = self._cohorts[task].examples(TRAIN).patient
        return len(nested_subset(patients, fraction, streams.sequence(seed, streams.SUBSET)))


def _require_units(task: Task, cohort: Cohort) -> None:
    """A generated cohort has the attributes that the task's units are by, or they are misspelt."""
    known = [PATIENT, *cohort.attributes]
    unknown = [name for unit in task.units for name in unit.by if name not in known]
    for name in unknown if cohort.generated else ():
        raise MedbenchError(
            f"task `{task.task}`: units by `{name}`, which {cohort.name} has not. {nearest(name, known)}"
        )


def units_of(task: Task, attributes: Collection[str], target: Target) -> tuple[Unit, ...]:
    """The task's steps from images to what is scored, without those that a cohort does not allow.

    A step is by attributes that a cohort of one's own may lack; and of several classes that exclude each
    other there is no most suspicious one.
    """
    if target.kind == "single-label" and len(target.classes) > 2:
        return ()
    return tuple(unit for unit in task.units if set(unit.by) <= {PATIENT, *attributes})


def resolved_metrics(suite: Suite, task: Task, item: Item) -> dict[str, AnyMetric]:
    """The item's metric by its name, of the item's attribute, and the one that it compares between groups."""
    return resolved(item.metric, suite.metrics, primary=task.primary, attribute=item.attribute)


def _attributes(task: Task, cohort: Cohort) -> list[str]:
    """The task's sub-group attributes that the cohort has."""
    return [name for name in task.attributes if name in cohort.attributes]


def run_spec(
    suite: Suite,
    *,
    tier: str,
    task: str,
    cohort: Cohort,
    backbone: str,
    seed: int,
    fraction: float = 1.0,
    recipe: str = "",
) -> RunSpec:
    """One fine-tuning, resolved to the step and to the bytes of its weights.

    Args:
      suite: the declarations.
      tier: whose recipe is used.
      task: a declared task, which says whether images may be mirrored.
      cohort: what to fine-tune and score on.
      backbone: `bit-<upstream>-<architecture>`.
      seed: of all random streams.
      fraction: share of the training patients, in (0, 1].
      recipe: name of another recipe than the task's or the tier's.

    Raises:
      MedbenchError: no such tier, recipe or backbone, its weight file is missing, or the seed or the
        fraction is out of range.
    """
    planner = Planner(suite, tier=tier, cohorts={task: cohort})
    return planner.run(task=task, backbone=backbone, seed=seed, fraction=fraction, recipe=recipe)


def backbone_spec(suite: Suite, name: str) -> BackboneSpec:
    """A backbone pinned by the content of its weight file, which must be there.

    Raises:
      MedbenchError: no such backbone, or its weight file or the package of its module is missing.
    """
    arm = backbone_named(suite, name)
    architecture = suite.architectures[arm.architecture]
    file = suite.upstreams[arm.upstream].weights.get(arm.architecture, "")
    return BackboneSpec(
        name=name,
        upstream=arm.upstream,
        architecture=arm.architecture,
        blocks=tuple(architecture.blocks),
        width=architecture.width,
        weights=file,
        weights_sha256=lock.digest(weights.find(file, Path(suite.root))) if file else "",
        module=architecture.module,
        distribution=backbones.distribution(architecture.module) if architecture.module else "",
    )


def tier_named(suite: Suite, name: str) -> Tier:
    """The declared tier.

    Raises:
      MedbenchError: there is none; the message names the nearest.
    """
    if name not in suite.tiers:
        raise MedbenchError(f"unknown tier `{name}`. {nearest(name, suite.tiers)}")
    return suite.tiers[name]


def _whole_seed(seed: int) -> int:
    """The seed as plain Python has it, for a run is found by how its seed is written."""
    try:
        plain = index(seed)
    except TypeError:
        plain = -1
    if plain < 0:
        raise MedbenchError(f"seed is {seed!r}; expected a whole number, at least 0.")
    return plain


def _share(fraction: float) -> float:
    """The fraction as a plain float: 1 and 1.0 are the same run."""
    if not isinstance(fraction, Real) or not 0 < fraction <= 1:
        raise MedbenchError(f"fraction is {fraction!r}; expected a share of the patients in (0, 1].")
    return float(fraction)


def _in_order(runs: list[RunSpec]) -> tuple[RunSpec, ...]:
    """Each run once; tasks, a task's backbones and seeds keep the order in which they were first wanted."""
    grouped: dict[str, dict[str, dict[RunSpec, None]]] = {}
    for run in runs:
        grouped.setdefault(run.task, {}).setdefault(run.backbone.name, {})[run] = None
    return tuple(run for backbones in grouped.values() for group in backbones.values() for run in group)
