"""A suite bound to a tier, its cohorts, a store and what was accepted: where all stations of the road meet.

pytest's items, the `study` fixture and plain scripts go through here. Importing it imports no jax.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import quote

from medbench import expect, policy, spread
from medbench.anchors import Anchor, load_anchors
from medbench.campaign import Campaign
from medbench.cost import hours, operations
from medbench.data.cohort import VALIDATION, Cohort
from medbench.data.sources import absent_cohort, names_source, open_cohort, prepared_in
from medbench.environment import CPU, device_class
from medbench.errors import MedbenchError, NotHereError, NotInSessionError, NotPreparedError, nearest
from medbench.execute.ahead import Outcome, Pool
from medbench.execute.errand import Errand, Terms
from medbench.execute.local import Train, Whence, locate, obtain, require_as_planned
from medbench.execute.progress import Event, Sink
from medbench.execute.trainers import Executes, identity_of
from medbench.failures import Failures
from medbench.forecast import Durations, Forecast, LoadedRun
from medbench.identity import code_fingerprint, run_id, spec_id, trained_by
from medbench.judge import definition_of, judge, not_run
from medbench.judged import Judged, key_of
from medbench.judgement import Check, Definition, Judgement
from medbench.metrics.registry import metric_named
from medbench.models import weights
from medbench.obtained import Obtained
from medbench.plan import Planner, arms_of, items, resolved_metrics
from medbench.pseudonym import Pseudonyms
from medbench.record import Trainer
from medbench.reference import References
from medbench.report.figures import Figure
from medbench.report.record import Asked, ItemResult, RunOrigin
from medbench.spec.records import Claim, Suite, Synthesis
from medbench.spec.runs import Item, Plan, PlannedItem, Precision, RunSpec
from medbench.spec.suite import load_suite
from medbench.store import Origin, Store, StoredRun
from medbench.training.hyperrule import VALIDATED_AT

if TYPE_CHECKING:
    from medbench.predictions import Predictions


@dataclass(frozen=True, kw_only=True)
class Options:
    """What a person chooses for a session.

    Attributes:
      tier: name of the tier.
      store: folder of finished runs; with a remote store, of what this machine has of it.
      remote: URL of a remote store; see `medbench.store.Store`.
      expectations: folder of accepted values and reference runs, which need not exist; None for that beside
        the suite, laid over what medbench accepted where the suite extends medbench's.
      compare: whether to compare with the accepted values; they say nothing about a cohort or backbones
        of the user's own, whereas a reference run is found by its content and serves anyone.
      runs: train what is missing, nothing, or everything.
      expect: compare with what was accepted, or be about to accept new items or all.
      strict: fail all that is not supported.
      cohort: reference of a cohort in place of that of the task with its domain (a folder, `public:…`,
        `medmnist:…`); other tasks are left out.
      backbones: names of baseline and treatment in place of the claims' own.
      trainer: executes the runs in place of medbench.
      worker: number of this process among those that share the session, from 0.
      workers: how many they are.
      show_ids: give out patients' ids and images' names in clear instead of as keyed hashes.
    """

    tier: str
    store: Path
    remote: str = ""
    expectations: Path | None = None
    compare: bool = True
    runs: Literal["auto", "never", "force"] = "auto"
    expect: Literal["check", "new", "update"] = "check"
    strict: bool = False
    cohort: str | None = None
    backbones: tuple[str, str] | None = None
    trainer: Executes | None = None
    worker: int = 0
    workers: int = 1
    show_ids: bool = False

    @property
    def own(self) -> bool:
        """Whether a cohort, backbones or a trainer of the user's own take part."""
        return bool(self.cohort or self.backbones or self.trainer)


@dataclass(frozen=True, kw_only=True)
class NamelessRun(StoredRun):
    """A run that names patients and images by keyed hashes, the same for all runs of a store.

    So that no failing assertion carries an id into a log.

    Attributes:
      pseudonyms: the store's.
    """

    pseudonyms: Pseudonyms

    def predictions(self, evaluation_set: str) -> "Predictions":
        """As of any run, but for the names.

        Raises:
          MedbenchError: the run was not scored on that set, or the file is missing or altered.
        """
        found = super().predictions(evaluation_set)
        each = self.pseudonyms.each
        return replace(found, patient=each(found.patient), image=each(found.image))


def quiet(event: Event) -> None:
    """Report nothing."""


class Study:
    """Everything that is needed to go from a claim to a verdict.

    Attributes:
      suite: the declarations.
      options: what was chosen for the session.
      accepted_in: folder that values are accepted into.
      expectations: what was accepted for the tier; empty where nothing is to be compared with.
      references: accepted runs, which are loaded instead of trained.
      items: all items of the suite under these options, by id.
      report: where progress goes; may be replaced.
      campaign: with `--runs=force`, which runs the session trained already; may be replaced.
      failures: why runs of this session could not be made; may be replaced.
      train: trains a run in place of this process alone, if anything.
      share: ids of the specs that this machine is to make, where several make a part each and none judges;
        None for the usual session, which makes what it judges.

    The cohorts and the store name patients in clear and are not for tests.
    """

    def __init__(
        self, suite: Suite, options: Options, cohorts: Mapping[str, Cohort], report: Sink = quiet
    ) -> None:
        self.suite = suite
        self.options = options
        self._cohorts = cohorts
        self.report = report
        self._store = Store(options.store, options.remote)
        self.accepted_in = options.expectations or expect.beside(Path(suite.root))
        self.expectations = (
            expect.load_for(suite, options.tier, named=options.expectations)
            if options.compare
            else expect.Expectations()
        )
        name = f"runs-of-{quote(trained_by(self.trainer), safe='')}" if self.trainer else "runs"
        self.references = self.references_in(name)
        listed = items(suite, tier=options.tier, cohorts=cohorts, backbones=options.backbones)
        self.items = {item.id: item for item in listed}
        self._planner = Planner(suite, tier=options.tier, cohorts=cohorts, backbones=options.backbones)
        self.campaign: Campaign | None = None
        self.failures = Failures()
        self.train: Train | None = None
        self._obtained = Obtained(self._read)
        self.share: frozenset[str] | None = None
        self._made_ahead: set[str] = set()
        self._judged = Judged(self._store.cache("judged"))

    @classmethod
    def open(cls, root: Path, options: Options) -> "Study":
        """Read the suite in a folder and open its cohorts; nothing is trained, and no image decoded.

        Raises:
          MedbenchError: a declaration, an expectation, the tier, the cohort or a backbone's name is wrong.
        """
        suite = load_suite(root)
        if options.tier not in suite.tiers:
            raise MedbenchError(
                f"{root}: unknown tier `{options.tier}`. {nearest(options.tier, suite.tiers)}"
            )
        return cls(suite, options, _open_cohorts(suite, options))

    def references_in(self, name: str) -> References:
        """The accepted runs in a folder of the tier, over those of the suite that this one extends.

        They are found by what was run, so that the base's serve whoever asks for the same; by trainer.
        """

        def of(folder: Path, base: References | None = None) -> References:
            return References(folder / self.options.tier / name, base)

        base = of(expect.beside(Path(self.suite.base))) if self.suite.base else None
        return of(self.accepted_in, base)

    @property
    def trainer(self) -> Trainer | None:
        """Who trains the runs; None for medbench itself."""
        return identity_of(self.options.trainer)

    @property
    def code(self) -> str:
        """What stands for the code of runs that are trained now."""
        return code_fingerprint(self.trainer)

    @property
    def cohorts(self) -> dict[str, str]:
        """The domain of each cohort that takes part, by the cohort's name."""
        return {cohort.name: cohort.domain for cohort in self._cohorts.values()}

    @property
    def generated(self) -> bool:
        """Whether any cohort's images are generated."""
        return any(cohort.generated for cohort in self._cohorts.values())

    @property
    def warnings(self) -> list[str]:
        """What a person should know about the cohorts, such as that one gives a claim nothing to judge."""
        cohorts = {cohort.name: cohort for cohort in self._cohorts.values()}
        shifted = [
            claim.claim
            for claim in self.suite.claims.values()
            if claim.evaluate == "each-shift" and self.suite.arms(claim, self.options.tier)
        ]
        declared = [
            f"{name}: {warning}"
            for name, cohort in cohorts.items()
            for warning in getattr(cohort, "warnings", ())
        ]
        return declared + [
            f"{name}: declares no shift, so there is nothing to judge for {', '.join(shifted)}"
            for name, cohort in cohorts.items()
            if shifted and not (cohort.shifts or cohort.absent)
        ]

    def plan(self, item_ids: Iterable[str]) -> Plan:
        """The distinct runs that items need.

        Raises:
          MedbenchError: a weight file is not there; the message says where to put it.
        """
        return self._planner.plan([self._item(item_id) for item_id in item_ids])

    def unplannable(self, item_ids: Iterable[str]) -> dict[str, str]:
        """Items that a weight file or the like is missing for, each with the message that says so."""
        found = {}
        for item_id in item_ids:
            try:
                self.plan([item_id])
            except MedbenchError as error:
                found[item_id] = str(error)
        return found

    def forecast(self, plan: Plan) -> Forecast:
        """Where the runs of a plan would come from now, and how long training would take.

        Raises:
          MedbenchError: a stored or reference run is damaged.
        """
        counts: Counter[Whence] = Counter()
        loaded, to_train, durations = [], [], Durations(self.trainer)
        for spec in plan.runs:
            whence = self._whence(spec)
            counts[whence] += 1
            if whence == "to-train":
                to_train.append(spec)
            elif whence == "loaded" and (run := self.references.get(spec)) is not None:
                loaded.append(LoadedRun.of(run.record))
                durations.add(run.record)
        for record in self._store.records() if to_train else ():
            durations.add(record)
        seconds = durations.expected(to_train)
        return Forecast(
            reused=counts["reused"],
            loaded=loaded,
            to_train=to_train,
            not_run=counts["not-run"],
            seconds=seconds,
            hours=self._hours(to_train) if seconds is None and self.trainer is None else {},
            on_cpu=device_class() == CPU,
        )

    def _whence(self, spec: RunSpec) -> Whence:
        return locate(
            spec,
            store=self._store,
            references=self.references,
            mode=self.options.runs,
            sentinel=self._is_sentinel(spec),
            campaign=self.campaign,
            trainer=self.options.trainer,
        )

    def to_make(self, plan: Plan) -> list[RunSpec]:
        """The runs of a plan that this session is to train; what is damaged, the items that need it say."""
        found = []
        for spec in plan.runs:
            with suppress(MedbenchError):
                if self._is_shared(spec) and self._whence(spec) == "to-train":
                    found.append(spec)
        return found

    def part_of(self, plan: Plan, number: int, machines: int) -> frozenset[str]:
        """The share of one of several machines in what somebody has to train, whatever is trained already.

        Args:
          plan: of the selected items.
          number: of the machine, from 1.
          machines: how many there are.

        Returns:
          Ids of specs.
        """
        force = self.options.runs == "force"
        needed = (
            spec
            for spec in plan.runs
            if force or self._is_sentinel(spec) or self.references.get(spec) is None
        )
        return spread.part_of(needed, number, machines)

    def made_of_share(self, plan: Plan) -> tuple[int, int]:
        """How many of the runs of this machine's share are in the store, and how many are not."""
        mine = [spec for spec in plan.runs if self.share is not None and self._is_shared(spec)]
        missing = len(self.to_make(plan)) if mine else 0
        return len(mine) - missing, missing

    def _is_shared(self, spec: RunSpec) -> bool:
        return self.share is None or spec_id(spec) in self.share

    def terms(self, sign: Path) -> Terms:
        """What workers on other machines must know to make runs of this study.

        Args:
          sign: a file in the store, which is made: a machine that does not see it has another store.

        Raises:
          MedbenchError: the trainer cannot be found by name on another machine.
        """
        return Terms.of(
            store=self._store.home,
            remote=self.options.remote,
            sign=sign,
            near=Path(self.suite.root).absolute(),
            force=self.options.runs == "force",
            trainer=self.options.trainer,
        )

    def make_ahead(self, specs: Iterable[RunSpec], pool: Pool, notice: Callable[[str], None]) -> Outcome:
        """Make runs on the workers of a pool; items then find them in the store, or why they failed.

        Args:
          specs: of the runs, in the order in which they are wanted.
          pool: of workers that follow `terms`.
          notice: told what a person should know beside the progress.

        Raises:
          MedbenchError: no worker is left; what is done stays done.
        """
        outcome = spread.make_ahead(
            [spread.task_of(spec, self.code, self._errand(spec)) for spec in specs],
            pool,
            store=self._store,
            campaign=self.campaign,
            failures=self.failures,
            report=self.report,
            notice=notice,
        )
        self._made_ahead.update(outcome.done)
        return outcome

    def _errand(self, spec: RunSpec) -> Errand:
        file = _weights(spec, Path(self.suite.root))
        return Errand(
            spec=spec,
            cohort=_reference(self.suite, self.options, spec.task),
            weights=str(file.absolute()) if file else "",
        )

    def _hours(self, specs: Iterable[RunSpec]) -> dict[str, float]:
        totals: Counter[Precision] = Counter()
        for spec in specs:
            counted = operations(spec, self._scored(spec))
            if counted is None:
                return {}
            totals.update({spec.recipe.precision: counted})
        return hours(totals)

    def _scored(self, spec: RunSpec) -> int:
        """Images that a run scores, about: every evaluation set once, and the validation set as it goes."""
        cohort = self._cohort(spec.task)
        validated = len(VALIDATED_AT) + 1
        return validated * len(cohort.examples(VALIDATION)) + sum(
            len(cohort.examples(name)) for name in spec.evaluation_sets
        )

    def run(self, *, task: str, backbone: str, seed: int, fraction: float = 1.0) -> StoredRun:
        """One run: from the store, from a reference run, or trained now.

        Its predictions name patients and images by keyed hashes; in clear with `--show-ids`.

        Args:
          task: name of a task of the suite.
          backbone: `bit-<upstream>-<architecture>`.
          seed: of initialisation, order, augmentation and subset.
          fraction: share of the training patients, in (0, 1].

        Raises:
          MedbenchError: an unknown name, missing weights, or `--runs=never` and the run is nowhere.
        """
        self._cohort(task)
        spec = self._planner.run(task=task, backbone=backbone, seed=seed, fraction=fraction)
        self._require_judging()
        found = self._obtain(spec)
        if found is None:
            raise MedbenchError(f"{spec.label}: neither in the store nor a reference run, and --runs=never.")
        if self.options.show_ids:
            return found
        return NamelessRun(
            record=found.record, path=found.path, origin=found.origin, pseudonyms=self._store.pseudonyms()
        )

    def predictions(
        self, *, task: str, backbone: str, seed: int, evaluation_set: str = "id", fraction: float = 1.0
    ) -> "Predictions":
        """Logits, labels and attributes of a run on `validation`, `id` or a shift; see `run`.

        Raises:
          MedbenchError: as `run`; or the run was not scored on that set.
        """
        run = self.run(task=task, backbone=backbone, seed=seed, fraction=fraction)
        return run.predictions(evaluation_set)

    def judge(self, item_id: str) -> Judgement:
        """Obtain the runs of an item and judge it.

        Args:
          item_id: `task/claim/evaluation-set`.

        Raises:
          MedbenchError: an unknown item, a run that cannot be made, or runs that do not match.
        """
        self._require_judging()
        planned = self._planned(item_id)
        return self.judge_from(planned, self._obtain_all(planned.all_runs).get)

    def judge_from(self, planned: PlannedItem, find: Callable[[RunSpec], StoredRun | None]) -> Judgement:
        """Judge an item from the runs that are found.

        Args:
          planned: as `plan` has it.
          find: gives the run of a spec, or None.

        Raises:
          MedbenchError: the runs do not match, or their predictions are missing or altered.
        """
        runs = {
            arm: {seed: find(spec) for seed, spec in specs.items()} for arm, specs in planned.runs.items()
        }
        cohort, claim = self._cohort(planned.item.task), self.suite.claims[planned.item.claim]
        key = key_of(planned, claim, runs, generated=cohort.generated, cluster=cohort.cluster)
        judgement = self._judged.get(key)
        if judgement is None:
            judgement = judge(planned, claim, runs, generated=cohort.generated, cluster=cohort.cluster)
            self._judged.put(key, judgement)
        return judgement

    def result(self, item_id: str) -> ItemResult:
        """Judge an item, compare it with what was accepted, and say what that means for the session.

        Raises:
          MedbenchError: as `judge`; also where its cohort or weights are not here and it was accepted on
            this class of device, for what was measured once must not silently go missing.
        """
        try:
            judgement = self.judge(item_id)
        except NotHereError as error:
            if self.accepted_here(item_id):
                raise
            judgement = self._not_run(item_id, str(error))
        check = expect.check(judgement, self.expectations)
        outcome = policy.outcome(judgement, self._as_accepted(judgement, check), strict=self.options.strict)
        return ItemResult(
            id=item_id,
            category=outcome.category,
            red=outcome.red,
            sentence=outcome.sentence,
            judgement=judgement,
            check=check,
            runs=self.origins(item_id),
        )

    def make(self, item_id: str) -> None:
        """Make those runs of an item that are this machine's share; nothing is judged.

        Raises:
          MedbenchError: an unknown item, or a run that cannot be made.
        """
        self._obtain_all([spec for spec in self._planned(item_id).all_runs if self._is_shared(spec)])

    def _require_judging(self) -> None:
        if self.share is not None:
            raise NotInSessionError("with --shard a machine makes its runs and looks at none")

    def _not_run(self, item_id: str, reason: str) -> Judgement:
        item = self._item(item_id)
        metrics = resolved_metrics(self.suite, self.suite.tasks[item.task], item)
        return not_run(item, self.suite.claims[item.claim], metrics, reason)

    def origins(self, item_id: str) -> list[RunOrigin]:
        """Where the runs of an item came from, as far as they were obtained."""
        try:
            planned = self._planned(item_id)
        except MedbenchError:  # a weight file is not there, so that no run could be asked for
            return []
        return [_origin(spec, run) for spec in planned.all_runs if (run := self._obtained.get(spec))]

    def vanished(self) -> list[Check]:
        """A check for each accepted item that the suite no longer has.

        With a cohort of the user's own, tasks of other domains were left out and have not vanished.
        """
        checks = expect.vanished_items(self.expectations, self.items)
        if self.options.cohort is None:
            return checks
        return [check for check in checks if check.id.partition("/")[0] in self._cohorts]

    def syntheses(self) -> list[Synthesis]:
        """Those of the suite; none where two backbones stand in for both ends of its ladder."""
        return [] if self.options.backbones else list(self.suite.syntheses.values())

    def asked(self) -> list[Asked]:
        """What every claim asks of each of its tasks under these options, and why of some it asks nothing.

        A task that only asks another's claims of another cohort is passed over where that has no part.
        """
        found: dict[tuple[str, str], list[Item]] = {}
        for item in self.items.values():
            found.setdefault((item.claim, item.task), []).append(item)
        return [
            self._asked(claim, task, found.get((claim.claim, task), []))
            for claim in self.suite.claims.values()
            for task in claim.tasks
            if task in self._cohorts or not self.suite.tasks[task].claims_of
        ]

    def _asked(self, claim: Claim, task: str, found: Sequence[Item]) -> Asked:
        return Asked(
            claim=claim.claim,
            task=task,
            evaluation_sets=list(dict.fromkeys(item.evaluation_set for item in found)),
            attributes=list(dict.fromkeys(item.attribute for item in found if item.attribute)),
            items=[item.id for item in found],
            why_none="" if found else self._why_none(claim, task),
        )

    def anchors(self) -> list[Anchor]:
        """What others published of sets of the cohorts' domains, where their images are real.

        Raises:
          MedbenchError: a file of anchors is wrong.
        """
        domains = {cohort.domain for cohort in self._cohorts.values() if not cohort.generated}
        folders = [expect.beside(Path(root)) for root in (self.suite.root, self.suite.base) if root]
        every = (anchor for folder in folders for anchor in load_anchors(folder / "anchors.yaml"))
        return [anchor for anchor in every if anchor.domain in domains]

    def figures(self, plan: Plan, judgements: Iterable[Judgement]) -> list[Figure]:
        """What is drawn of judged items and of their runs that are at hand; nothing is trained.

        Args:
          plan: of the items.
          judgements: of some of them.
        """
        from medbench.plots.session import About, figures  # noqa: PLC0415

        judged = {judgement.id: judgement for judgement in judgements if judgement.state == "judged"}
        declared = {name: self.suite.tasks[name] for name in self._cohorts}
        tasks = {
            name: About(metric_named(task.primary, self.suite.metrics), task.attributes)
            for name, task in declared.items()
        }
        images = {name: upstream.images for name, upstream in self.suite.upstreams.items()}
        return figures(plan, judged, tasks=tasks, images=images, run_of=self._at_hand)

    def _at_hand(self, spec: RunSpec) -> StoredRun | None:
        """A run that need not be made; one that is damaged is as if it were not there."""
        with suppress(MedbenchError):
            return self.stored(spec) or self.references.get(spec)
        return None

    def _why_none(self, claim: Claim, task: str) -> str:
        """Why a claim has no item on one of its tasks."""
        if task not in self._cohorts:
            return "no cohort"
        if not arms_of(self.suite, claim, self.options.tier, self.options.backbones):
            if self.options.backbones and self.suite.arms(claim, self.options.tier):
                return "two backbones cannot stand in for its arms"
            return f"it has no arms in tier {self.options.tier}"
        if claim.evaluate == "each-shift" and not self._cohorts[task].shifts:
            return "the cohort has no shift"
        return f"the cohort has no attribute {' or '.join(self.suite.tasks[task].attributes)}"

    def why_no_items(self) -> str:
        """What leaves nothing to judge under these options; empty where there are items."""
        tier = self.options.tier
        if self.items:
            return ""
        if not self._cohorts:
            return f"no task has a cohort for tier `{tier}`. Give your own with --cohort DIR."
        reasons = dict.fromkeys(each.why_none for each in self.asked() if each.task in self._cohorts)
        no_arms = not any(self.suite.arms(claim, tier) for claim in self.suite.claims.values())
        hint = f" In tiers.yaml, `arms_of` names a tier whose arms `{tier}` takes." if no_arms else ""
        return f"no claim of {self.suite.root} has an item in tier `{tier}`: {'; '.join(reasons)}.{hint}"

    def definition(self, item_id: str) -> Definition:
        """What an item's values mean, as the suite has it.

        Raises:
          MedbenchError: an unknown item, or a weight file is not there.
        """
        planned = self._planned(item_id)
        return definition_of(planned, self.suite.claims[planned.item.claim])

    def has_cohort(self, task: str) -> bool:
        """Whether the images of a task are here, so that its items are known."""
        return task in self._cohorts and not self._cohorts[task].absent

    def stored(self, spec: RunSpec) -> StoredRun | None:
        """A run in the store that the present code made; nothing is trained.

        Raises:
          MedbenchError: it is damaged.
        """
        return self._store.get(run_id(spec, self.code))

    def is_generated(self, task: str) -> bool:
        """Whether the images of a task are generated."""
        return self._cohort(task).generated

    def accepted_here(self, item_id: str) -> bool:
        """Whether the item has accepted values on this class of device."""
        return any(e.item == item_id and e.environment == device_class() for e in self.expectations.accepted)

    def _as_accepted(self, judgement: Judgement, check: Check) -> Check:
        """The check as it will be after this session accepts the item."""
        accepting = self.options.expect == "update" or (
            self.options.expect == "new" and check.accepted_verdict is None
        )
        if not accepting or judgement.state != "judged":
            return check
        before = self.expectations.nearest(judgement.id, judgement.environments)
        same = before is not None and expect.is_accepted(judgement, before)
        return Check(
            id=judgement.id,
            status="ok",
            accepted_verdict=judgement.verdict,
            detail="as accepted before, so nothing changed" if same else "accepted by this session",
        )

    def ingredients(self, spec: RunSpec) -> tuple[Cohort, Path | None]:
        """The cohort and the weights of a run that another process planned.

        Raises:
          MedbenchError: they are not here, or not those that were planned with.
        """
        cohort, found = self._cohort(spec.task), _weights(spec, Path(self.suite.root))
        require_as_planned(spec, cohort, found)
        return cohort, found

    def _obtain_all(self, specs: Sequence[RunSpec]) -> dict[RunSpec, StoredRun | None]:
        """Obtain runs; each of several workers begins elsewhere, so that none waits without need."""
        if self.options.runs != "force":
            code = self.code
            self._store.fetch(run_id(spec, code) for spec in specs)
        first = len(specs) * self.options.worker // self.options.workers
        return {spec: self._obtain(spec) for spec in (*specs[first:], *specs[:first])}

    def _obtain(self, spec: RunSpec) -> StoredRun | None:
        return self._obtained.get_or(spec, self._obtain_now)

    def _obtain_now(self, spec: RunSpec) -> StoredRun | None:
        found = obtain(
            spec,
            cohort=self._cohort(spec.task),
            store=self._store,
            references=self.references,
            mode=self.options.runs,
            sentinel=self._is_sentinel(spec),
            weights=_weights(spec, Path(self.suite.root)),
            report=self.report,
            campaign=self.campaign,
            failures=self.failures,
            trainer=self.options.trainer,
            train=self.train,
        )
        if found is not None and found.record.run_id in self._made_ahead:
            return replace(found, origin="trained")  # by this session, though not by this process
        return found

    def _read(self, spec: RunSpec, origin: Origin) -> StoredRun | None:
        """A run that was obtained already, from where it is."""
        if origin == "loaded":
            return self.references.get(spec)
        return self.stored(spec)

    def _planned(self, item_id: str) -> PlannedItem:
        return self.plan([item_id]).items[0]

    def _item(self, item_id: str) -> Item:
        if item_id not in self.items:
            raise MedbenchError(f"unknown item `{item_id}`. {nearest(item_id, self.items)}")
        return self.items[item_id]

    def _cohort(self, task: str) -> Cohort:
        if task not in self._cohorts and task in self.suite.tasks:
            raise NotInSessionError(f"task `{task}` takes no part with this tier and cohort")
        if task not in self._cohorts:
            raise MedbenchError(f"task `{task}` takes no part here. {nearest(task, self._cohorts)}")
        return self._cohorts[task]

    def _is_sentinel(self, spec: RunSpec) -> bool:
        tier = self.suite.tiers[self.options.tier]
        named = not tier.sentinel_backbones or spec.arm in tier.sentinel_backbones
        return named and spec.seed in tier.sentinels


def _open_cohorts(suite: Suite, options: Options) -> dict[str, Cohort]:
    """By task: the tier's own cohorts, or the user's for the tasks of its domain."""
    cache, prepared = Store(options.store).cache("digests"), prepared_in(options.store)
    if options.cohort is None:
        references = {
            name: _reference(suite, options, name)
            for name, task in suite.tasks.items()
            if options.tier in task.cohorts
        }
        return {name: _opened_or_absent(reference, cache, prepared) for name, reference in references.items()}
    cohort = open_cohort(options.cohort, cache=cache, prepared=prepared)
    of_domain = {name: task for name, task in suite.tasks.items() if task.domain == cohort.domain}
    tasks = [name for name, task in of_domain.items() if not task.claims_of]
    if not tasks:
        domains = ", ".join(sorted({task.domain for task in suite.tasks.values()}))
        raise MedbenchError(
            f"{options.cohort}: the cohort's domain is `{cohort.domain}`, of which {suite.root} has no task; "
            f"there are tasks for {domains}."
        )
    return dict.fromkeys(tasks, cohort)


def _reference(suite: Suite, options: Options, task: str) -> str:
    """What the cohort of a task is opened by."""
    return options.cohort or _placed(suite.tasks[task].cohorts[options.tier], Path(suite.root))


def _placed(reference: str, root: Path) -> str:
    """A folder that a task names, relative to its suite; any other reference as it is."""
    return reference if names_source(reference) else str(root / Path(reference).expanduser())


def _opened_or_absent(reference: str, cache: Path, prepared: Path) -> Cohort:
    """A tier's cohort; one that was not prepared takes part with items that say so."""
    try:
        return open_cohort(reference, cache=cache, prepared=prepared)
    except NotPreparedError as error:
        return absent_cohort(reference, str(error))


def _weights(spec: RunSpec, near: Path) -> Path | None:
    return weights.find(spec.backbone.weights, near) if spec.backbone.weights else None


def _origin(spec: RunSpec, run: StoredRun) -> RunOrigin:
    """In the words of this session: names may have been others when the run was made."""
    record = run.record
    return RunOrigin(
        run_id=record.run_id,
        spec_id=record.spec_id,
        label=spec.label,
        origin=run.origin,
        device_class=record.environment.device_class,
        device=record.environment.device,
        finished=record.finished,
        seconds=sum(record.timings.values()),
        trainer="" if record.trainer is None else str(record.trainer),
    )
