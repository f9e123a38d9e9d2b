"""One pytest session with claims: what it opens, what it is told, and what it says at the end.

Registered as a plugin by `pytest_plugin` in sessions that ask for a suite; under xdist there is one in the
controller, which reports, and one in each worker, which judges.
"""

import os
import shlex
import socket
import sys
import time
from collections.abc import Generator, Iterable, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext, suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest

from medbench import __version__, environment, policy
from medbench.accepting import require_acceptable
from medbench.campaign import Campaign
from medbench.data.sources import names_source
from medbench.errors import MedbenchError, NotInSessionError, printable_lines
from medbench.execute import ahead, errand
from medbench.execute.progress import (
    Console,
    Event,
    Follower,
    Journal,
    Sink,
    duration,
    this_worker,
)
from medbench.execute.trainers import Executes, find
from medbench.expect import file_of
from medbench.failures import Failures
from medbench.planned import Planned, plan_lines, planned
from medbench.pytest_ending import Ending, trainer_of, warnings_of
from medbench.pytest_items import ClaimFile, ResultItem, VanishedItem
from medbench.pytest_places import Places
from medbench.pytest_plugin import COMPANY, backbone_names, given_paths
from medbench.pytest_workers import Instructions, Workers
from medbench.report import terminal
from medbench.report.record import ItemResult
from medbench.report.terminal import count
from medbench.selection import LeftOut, left_out_of, name_of, names_of, why_nothing
from medbench.spec.layers import HEAD
from medbench.spec.loader import concerns
from medbench.spec.runs import RunSpec
from medbench.study import Options, Study


class Bench:
    """State and hooks of a session.

    Args:
      config: of pytest.
      suites: the declared suites' folders.
    """

    def __init__(self, config: pytest.Config, suites: Sequence[Path]) -> None:
        self._config = config
        self._places = Places(config)
        self._suites = suites
        self._studies: dict[Path, Study | MedbenchError] = {}
        self._asked: set[Path] = set()
        self._nodeids: frozenset[str] | None = None
        self._selected: dict[str, tuple[Path, str]] = {}
        self._plans: list[Planned] = []
        self._begun: set[str] = set()
        self._deselected: list[tuple[str, ...]] = []
        self._results: dict[str, ItemResult] = {}
        self._sink: Sink | None = None
        self._follower: Follower | None = None
        self._interrupted = False
        self._warned = False
        self._closing: list[terminal.Line] = []
        self._shown = ExitStack()
        self._told = Instructions.given_to(config)
        if self._told is not None:
            self._told.follow()
        else:
            # By host too: on a store that machines share, another's process may have the same number.
            own = f"{socket.gethostname()}-{os.getpid()}"
            self._workers = Workers(config, self._places.store.root / "progress" / own)

    # What the collectors and items ask for.

    def claim_file(self, parent: pytest.Collector, path: Path, suite: Path) -> ClaimFile:
        """The collector of a file of claims."""
        self._asked.add(suite)
        return ClaimFile.of(parent, path, self, suite)

    def study(self, suite: Path) -> Study:
        """The study of a suite, opened once.

        Raises:
          MedbenchError: something declared or chosen is wrong.
        """
        if suite not in self._studies:
            try:
                self._studies[suite] = self._opened(suite)
            except MedbenchError as error:
                self._studies[suite] = error
        study = self._studies[suite]
        if isinstance(study, MedbenchError):
            raise study
        return study

    # Before anything runs.

    def take_part(self, suite: Path) -> None:
        """Open a suite that the session asks for; a wrong claim is left for its own file to say.

        Raises:
          pytest.UsageError: something else is wrong, and the message says where. Workers of xdist leave
            that to their controller, which starts none then.
        """
        self._asked.add(suite)
        if self._told is not None:
            return
        try:
            self.study(suite)
        except MedbenchError as error:
            collected = [
                file
                for file in (suite / HEAD, *(suite / "claims").rglob("*.yaml"))
                if any(file.is_relative_to(path) for path in given_paths(self._config))
            ]
            if not any(concerns(error, file) for file in collected):
                raise pytest.UsageError(str(error)) from error

    def pytest_report_header(self) -> list[str]:
        """Version, tier, device and store; what the cohorts warn of."""
        studies = self._open_studies()
        parts = [f"medbench {__version__}", f"{self._config.option.tier} tier"]
        if any(study.generated for study in studies):
            parts[-1] += " (generated images)"
        if self._config.option.cohort:
            parts += sorted({f"{name} ({domain})" for s in studies for name, domain in s.cohorts.items()})
        parts += [f"trainer {trainer}"] if (trainer := trainer_of(self._open_studies())) else []
        parts.append(f"{environment.device_class()}, {environment.usable_cores()} cores")
        parts.append(f"store {self._places.shown_store}")
        self._warned = True
        return [" · ".join(parts), *warnings_of(self._open_studies())]

    @pytest.hookimpl(tryfirst=True)  # before -k deselects, so that it selects among vanished items too
    def pytest_collection_modifyitems(self, session: pytest.Session, items: list[pytest.Item]) -> None:
        """Add a failing item for each that was accepted and that a suite, collected whole, no longer has."""
        for suite in self._suites:
            study = self._studies.get(suite)
            judging = self._config.option.shard is None
            if judging and isinstance(study, Study) and self._asked_whole(suite):
                items += [
                    VanishedItem.of(session, check, file_of(study.accepted_in, study.options.tier, check.id))
                    for check in study.vanished()
                ]

    def pytest_deselected(self, items: Sequence[pytest.Item]) -> None:
        """Remember the names of tests in Python, in case nothing is left."""
        self._deselected += [
            (item.path.name, item.name) for item in items if not isinstance(item, ResultItem)
        ]

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Note what is to be run."""
        if self._nodeids is None:
            self._select([item.nodeid for item in session.items])
            self._refuse_what_cannot_be_accepted()

    def pytest_report_collectionfinish(self) -> list[str]:
        """The plan, once it is known; workers of xdist leave it to their controller."""
        return self._plan_lines() if self._told is None else []

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> None:
        """Make runs ahead, if another executor than this process is to make them."""
        option = self._config.option
        stopped = session.testsfailed and not option.continue_on_collection_errors
        if option.executor == "local" or option.collectonly or stopped:
            return
        for study, plan, _ in self._plans:
            try:
                self._make_ahead(study, study.to_make(plan))
            except MedbenchError as error:
                raise pytest.UsageError(str(error)) from error

    def _make_ahead(self, study: Study, specs: Sequence[RunSpec]) -> None:
        if not specs:
            return
        from medbench.execute import ray_cluster  # noqa: PLC0415 (nobody else needs it)

        need = ray_cluster.Need.of(environment.device_class(), self._config.option.per_run)
        terms = msgspec.json.encode(study.terms(self._workers.folder / "sign"))
        start = time.monotonic()
        with ray_cluster.connected(
            errand.ENTRY, terms, need=need, at_most=len(specs), notice=self._write
        ) as pool:
            shown, study.report = study.report, self._console(live=False, total=len(specs), workers=pool.size)
            try:
                outcome = study.make_ahead(specs, pool, self._write)
            finally:
                study.report = shown
        took = duration(time.monotonic() - start)
        self._write(f"cluster: {ahead.in_words(outcome)} in {took}")

    def instruct(self, node: Any) -> None:
        """Tell a worker of xdist, which is about to start, its share of the session."""
        self._workers.instruct(node)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        """A worker of xdist has ended or died; another may take its place."""
        self._workers.release(node, died=bool(error))

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: Sequence[str]) -> None:
        """Learn the selection from the first worker, as the controller collects nothing; show the plan."""
        if self._nodeids is not None:
            return
        self._select(ids)
        self._refuse_what_cannot_be_accepted()
        for line in self._plan_lines():
            self._write(line)
        self._follower = Follower(self._workers.folder, self._console(live=False))
        self._follower.start()

    # While items run.

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Attach the result of an item to its report."""
        report = yield
        if isinstance(item, ResultItem) and call.when == "call":
            item.attach(report)
        elif call.excinfo is not None and "study" in getattr(item, "fixturenames", ()):
            _leave_out_frames(report, item, call.excinfo)
            if isinstance(call.excinfo.value, NotInSessionError):
                report.outcome = "skipped"
                report.longrepr = (
                    str(item.path),
                    item.reportinfo()[1] or 0,
                    f"Skipped: {call.excinfo.value}",
                )
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the result, wherever it was judged; a worker that died left none, which is one too."""
        self._begun.add(report.nodeid)
        result = getattr(report, "medbench", None)
        if result is not None:
            self._results[report.nodeid] = msgspec.convert(result, ItemResult)
        elif report.failed and (place := self._place(report.nodeid)):
            self._results[report.nodeid] = ItemResult(
                id=place[1], category="error", red=True, sentence=str(report.longrepr)
            )

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str] | None:
        """Words of its own for outcomes that are neither passed nor failed."""
        result = getattr(report, "medbench", None)
        if result is None or report.failed or result["category"] == "passed":
            return None
        category: str = result["category"]
        return category, category[0], category.upper()

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Remember, to say at the end how to go on; pytest calls errors of collection an interruption too."""
        self._interrupted = not excinfo.errisinstance(pytest.Session.Interrupted)

    # At the end.

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Accept what is to be accepted, write the report, and refuse to be green for nothing."""
        if self._follower is not None:
            self._follower.stop()
        if self._told is not None or self._config.option.collectonly:
            return
        self._tell_of_shares(session)
        self._workers.clear()
        if not self._broken_off(session, exitstatus):
            self._end_campaign()
            self._note_what_never_started(session)
        if self._asked or self._studies:  # else this is a controller of xdist whose workers had no claims
            self._conclude(session, exitstatus)

    def _broken_off(self, session: pytest.Session, exitstatus: int) -> bool:
        """Whether the rest was left undone on purpose: by a person, by -x and the like, or by an error."""
        ends = (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.NO_TESTS_COLLECTED)
        return self._interrupted or bool(session.shouldfail or session.shouldstop) or exitstatus not in ends

    def _note_what_never_started(self, session: pytest.Session) -> None:
        """Workers that died and were not replaced leave items that nobody has seen: errors, too."""
        for nodeid in self._selected.keys() - self._begun:
            _, item_id = self._selected[nodeid]
            sentence = "never started: the session came to its end before, as workers had died."
            self._results[nodeid] = ItemResult(id=item_id, category="error", red=True, sentence=sentence)
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def _conclude(self, session: pytest.Session, exitstatus: int) -> None:
        ending = Ending(
            self._config,
            self._places,
            studies=self._open_studies(),
            plans=self._plans,
            outcome=[(self._study_of(nodeid), result) for nodeid, result in self._results.items()],
            interrupted=self._interrupted,
            warned=self._warned,
        )
        if not ending.conclude():
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        self._closing += ending.lines
        self._require_whole(session, exitstatus)
        nothing_ran = exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED
        judging = exitstatus == pytest.ExitCode.OK and bool(self._selected)  # else only tests in Python ran
        judging &= self._config.option.shard is None
        if nothing_ran or (judging and not self._judged_anything()):
            text = "nothing was judged: no item was selected, or none had its runs. That is never a success."
            self._closing.append(terminal.Line(text, {"red": True, "bold": True}))
            self._closing += [terminal.Line(reason, {}) for reason in self._why_nothing(nothing_ran)]
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def _require_whole(self, session: pytest.Session, exitstatus: int) -> None:
        """A suite that could not be opened is red, also where the file to blame was left out."""
        if exitstatus not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            return
        for study in map(self._studies.get, sorted(self._asked)):
            if isinstance(study, MedbenchError):
                self._closing.append(terminal.Line(str(study), {"red": True}))
                session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def _study_of(self, nodeid: str) -> Study | None:
        """The study that an item is of; None for one that vanished."""
        return self.study(self._selected[nodeid][0]) if nodeid in self._selected else None

    def _judged_anything(self) -> bool:
        judgements = (result.judgement for result in self._results.values() if result.judgement)
        return not policy.judged_nothing(judgements)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print what `pytest_sessionfinish` prepared."""
        if self._closing:
            terminalreporter.section("medbench")
        for line in self._closing:
            terminalreporter.write_line(line.text, **line.markup)

    def _tell_of_shares(self, session: pytest.Session) -> None:
        """What has become of this machine's part; red if any of it is not there."""
        if (shard := self._config.option.shard) is None:
            return
        number, machines = shard
        for study, plan, _ in self._plans:
            made, missing = study.made_of_share(plan)
            text = (
                f"shard {number} of {machines}: {made + missing} of {count(len(plan.runs), 'run')} are this "
                f"machine's: {made} made, {missing} not. "
            )
            text += f"When all parts are made, judge: {self._judging()}"
            self._closing.append(terminal.Line(text, {"red": True} if missing else {}))
            if missing and session.exitstatus == pytest.ExitCode.OK:
                session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def _judging(self) -> str:
        """The command that judges what the machines have made."""
        arguments = [str(argument) for argument in self._config.invocation_params.args]
        making = ("--shard", "--executor", "--per-run", "--runs")
        kept = [
            argument
            for before, argument in zip(["", *arguments], arguments, strict=False)
            if before not in making and argument.partition("=")[0] not in making
        ]
        return shlex.join(["pytest", *kept, "--runs=never"])

    def _end_campaign(self) -> None:
        """The next forced session trains all anew, unless a worker's death cost this one some of its runs."""
        if (campaign := self._campaign()) is not None and not self._workers.died:
            campaign.end()

    # The selection and its plan.

    def _select(self, nodeids: Iterable[str]) -> None:
        self._nodeids = frozenset(nodeids)
        self._selected = {nodeid: place for nodeid in nodeids if (place := self._place(nodeid))}
        studies = {suite: study for suite, study in self._studies.items() if isinstance(study, Study)}
        for study in studies.values():
            study.campaign = self._campaign()
        shard = self._config.option.shard
        if self._told is None or shard:  # only who reports, or makes a part of it, needs the plan
            self._plans = [
                planned(study, selected)
                for suite, study in studies.items()
                if (selected := [item_id for place, item_id in self._selected.values() if place == suite])
            ]
        for study, plan, _ in self._plans if shard else ():
            study.share = study.part_of(plan, *shard)

    def _refuse_what_cannot_be_accepted(self) -> None:
        """Before training; workers leave it to their controller."""
        if self._config.option.expect == "check" or self._told is not None:
            return
        for study, plan, _ in self._plans:
            try:
                require_acceptable(study, plan)
            except MedbenchError as error:
                raise pytest.UsageError(str(error)) from error

    def _campaign(self) -> Campaign | None:
        """Of a forced session, whichever runs it is about: tests in Python ask for theirs as they go."""
        option = self._config.option
        if option.runs != "force" or self._nodeids is None:
            return None
        of = {f"--tier={option.tier}", f"--cohort={option.cohort}"}
        of |= {f"--trainer={option.trainer}"} if option.trainer else set()
        return self._places.store.campaign(self._nodeids | of)

    def _why_nothing(self, nothing_ran: bool) -> list[str]:
        reasons = [study.why_no_items() for study in self._open_studies()]
        expression = self._config.option.keyword.strip()
        without_item = self._left_out()
        if nothing_ran and (expression or without_item) and not any(reasons):
            why = why_nothing(expression, self._selectable(), without_item)
            reasons.append(f"-k {expression!r}: {why}" if expression else why)
        return list(filter(None, reasons))

    def _left_out(self) -> list[LeftOut]:
        """What has no item of all that claims in the given files and folders ask."""
        given = given_paths(self._config)

        def is_given(file: Path) -> bool:
            return any(file.is_relative_to(path) for path in given)

        return [
            each
            for study in self._open_studies()
            for asked in study.asked()
            if is_given(Path(study.suite.root) / study.suite.claim_files[asked.claim])
            for each in left_out_of([asked], study.suite)
        ]

    def _selectable(self) -> list[tuple[str, ...]]:
        """The names of all that -k could have selected; under xdist of the claims alone."""
        claims = [
            names_of(item, study.suite) for study in self._open_studies() for item in study.items.values()
        ]
        return [*claims, *self._deselected]

    def _place(self, nodeid: str) -> tuple[Path, str] | None:
        """The suite and the item that a node id stands for; None for what is not a claim."""
        path, _, name = nodeid.partition("::")
        file = (self._config.rootpath / path).resolve()
        for suite in self._suites:
            study = self._studies.get(suite)
            if suite in file.parents and isinstance(study, Study):
                item_id = name.partition("[")[0]
                if item_id in study.items and name == name_of(study.items[item_id]):
                    return suite, item_id
        return None

    def _plan_lines(self) -> list[str]:
        return plan_lines(self._plans, workers=self._workers.count, shard=self._config.option.shard)

    def _asked_whole(self, suite: Path) -> bool:
        """Whether all claims of a suite are asked for: a part says nothing about the rest."""
        here = self._config.invocation_params.dir
        given = [(here / arg).resolve() for arg in self._config.args if "::" not in arg]
        sources = [suite / name for name in ("claims", HEAD) if (suite / name).exists()]
        return all(any(source.is_relative_to(path) for path in given) for source in sources)

    # Progress.

    def _progress(self) -> Sink:
        """Where this process tells of its runs: the terminal, or a journal that the controller follows."""
        if self._told is None:
            return self._show
        return Journal(Path(self._told.folder) / f"{this_worker()}.jsonl", this_worker())

    def _show(self, event: Event) -> None:
        """Show an event to the person who waits, whoever asked for the run: a claim or a test in Python."""
        if event.kind in {"waiting", "started"}:
            self._shown.enter_context(self._uncaptured())
        if self._sink is None:
            self._sink = self._console(live=None)
        self._sink(event)
        if event.kind not in {"started", "stage"}:
            self._shown.close()

    def _console(self, *, live: bool | None, total: int | None = None, workers: int = 0) -> Sink:
        """A console that leaves pytest's own line before it prints."""
        if total is None:
            total = sum(len(planned.study.to_make(planned.plan)) for planned in self._plans)
        console = Console(sys.stdout, total=total, workers=workers or self._workers.count, live=live)
        reporter = self._config.pluginmanager.get_plugin("terminalreporter")

        def show(event: Event) -> None:
            if event.kind in {"waiting", "started"} and reporter is not None:
                with suppress(OSError):  # where nobody reads any more
                    reporter.ensure_newline()
            console(event)

        return show

    def _uncaptured(self) -> AbstractContextManager[None]:
        manager = self._config.pluginmanager.get_plugin("capturemanager")
        return manager.global_and_fixture_disabled() if manager else nullcontext()

    def _write(self, line: str) -> None:
        reporter = self._config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None:
            reporter.ensure_newline()
            reporter.write_line(line)

    # Options and places.

    def _opened(self, suite: Path) -> Study:
        refusal = self._told.refusal if self._told is not None else self._workers.refusal
        if refusal:
            raise MedbenchError(refusal)
        if self._told is None:
            self._places.store.connect()
        study = Study.open(suite, self._options())
        study.report = self._progress()
        study.campaign = self._campaign()
        if company := self._config.stash.get(COMPANY, None):
            from medbench.execute.processes import Leader  # noqa: PLC0415

            study.train = Leader(company, suite, self._places.store)
        if self._told is not None:
            study.failures = Failures(Path(self._told.folder) / "failed")
        return study

    def _options(self) -> Options:
        option = self._config.option
        own = bool(option.cohort or option.backbones or option.trainer)
        baseline, treatment = backbone_names(option.backbones) if option.backbones else ("", "")
        given = self._places.given(option.expectations) if option.expectations else None
        return Options(
            tier=option.tier,
            store=self._places.store.home,
            remote=self._places.store.remote.url if self._places.store.remote else "",
            expectations=given,
            compare=bool(given) or not own,
            runs=option.runs,
            expect=option.expect,
            strict=option.claims == "strict",
            cohort=self._cohort_reference(),
            backbones=(baseline, treatment) if option.backbones else None,
            trainer=self._chosen_trainer(),
            worker=self._told.number if self._told is not None else 0,
            workers=self._told.workers if self._told is not None else 1,
            show_ids=option.show_ids,
        )

    def _chosen_trainer(self) -> Executes | None:
        given = self._config.option.trainer
        return None if given is None else find(given, self._config.invocation_params.dir)

    def _cohort_reference(self) -> str | None:
        given = self._config.option.cohort
        return str(self._places.given(given)) if given and not names_source(given) else given

    def _open_studies(self) -> list[Study]:
        """Those of the suites that can be opened; what is wrong with others, collecting them says."""
        studies = []
        for suite in self._suites:
            try:
                studies.append(self.study(suite))
            except MedbenchError:
                continue
        return studies


def _leave_out_frames(
    report: pytest.TestReport, item: pytest.Item, excinfo: pytest.ExceptionInfo[BaseException]
) -> None:
    """Of a mistake that a test in Python makes with the study, its line and the message say all."""
    if isinstance(excinfo.value, MedbenchError):
        own = [entry.lineno + 1 for entry in excinfo.traceback if entry.path == item.path]
        place = f"{report.nodeid.partition('::')[0]}:{own[-1]}: " if own else ""
        report.longrepr = f"{place}{printable_lines(str(excinfo.value))}"
