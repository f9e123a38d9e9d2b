"""One pytest session with claims: what it opens, what it is told, and what it says at the end.

Registered as a plugin by `pytest_plugin` in sessions that ask for a suite; under xdist there is one in the
controller, which reports, and one in each worker, which judges.
"""

import os
import platform
import shlex
import socket
import sys
import time
from collections import Counter
from collections.abc import Generator, Iterable, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext, suppress
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from medbench import __version__, environment, history, policy
from medbench.campaign import Campaign
from medbench.cost import in_words
from medbench.data.sources import names_source
from medbench.diff.compare import compare
from medbench.diff.reading import tolerance_beside
from medbench.diff.sides import of_report
from medbench.difference import Comparison
from medbench.errors import MedbenchError, NotInSessionError, printable_lines
from medbench.execute import ahead, errand
from medbench.execute.progress import (
    Console,
    Event,
    Follower,
    Journal,
    Sink,
    duration,
    side_by_side,
    this_worker,
)
from medbench.execute.trainers import Executes, find
from medbench.expect import file_of
from medbench.failures import Failures
from medbench.forecast import Forecast
from medbench.judgement import Judgement
from medbench.pytest_items import ClaimFile, ResultItem, VanishedItem
from medbench.pytest_plugin import AGAINST, COMPANY, backbone_names, given_path, given_paths
from medbench.pytest_workers import Instructions, Workers
from medbench.remote import is_url
from medbench.report import terminal
from medbench.report.figures import Figure, distinct
from medbench.report.record import ItemResult, Report, Session, build, merge_runs
from medbench.report.terminal import count
from medbench.selection import LeftOut, left_out_of, name_of, names_of, why_nothing
from medbench.spec.layers import HEAD
from medbench.spec.loader import concerns
from medbench.spec.runs import Plan, RunSpec
from medbench.store import Store
from medbench.study import Options, Study


class Planned(NamedTuple):
    """What a session knows of a suite before anything runs."""

    study: Study
    plan: Plan
    """Of the selected items whose runs can be planned."""
    left_out: dict[str, str]
    """The other selected items, each with the reason."""


class Bench:
    """State and hooks of a session.

    Args:
      config: of pytest.
      suites: the declared suites' folders.
    """

    def __init__(self, config: pytest.Config, suites: Sequence[Path]) -> None:
        self._config = config
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
        self._accepted: frozenset[str] = frozenset()
        self._shown = ExitStack()
        self._told = Instructions.given_to(config)
        if self._told is not None:
            self._told.follow()
        else:
            # By host too: on a store that machines share, another's process may have the same number.
            own = f"{socket.gethostname()}-{os.getpid()}"
            self._workers = Workers(config, self._store.root / "progress" / own)

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
        parts += [f"trainer {trainer}"] if (trainer := self._trainer()) else []
        parts.append(f"{environment.device_class()}, {environment.usable_cores()} cores")
        parts.append(f"store {self._shown_store()}")
        self._warned = True
        return [" · ".join(parts), *self._warnings()]

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
        steps = (
            self._report_results,
            self._write_candidates,
            self._accept_results,
            self._keep_history,
            self._push_runs,
            self._say_how_to_go_on,
        )
        for step in steps:
            try:
                step()
            except MedbenchError as error:
                self._closing.append(terminal.Line(str(error), {"red": True}))
                session.exitstatus = pytest.ExitCode.TESTS_FAILED
        self._require_whole(session, exitstatus)
        nothing_ran = exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED
        judging = exitstatus == pytest.ExitCode.OK and bool(self._selected)  # else only tests in Python ran
        judging &= self._config.option.shard is None
        if nothing_ran or (judging and not self._judged):
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

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print what `pytest_sessionfinish` prepared."""
        if self._closing:
            terminalreporter.section("medbench")
        for line in self._closing:
            terminalreporter.write_line(line.text, **line.markup)

    def _report_results(self) -> None:
        if self._results:
            report = self._with_history(self._report())
            unsaid = [] if self._warned else report.warnings
            self._closing += terminal.summary(msgspec.structs.replace(report, warnings=unsaid))
            self._write_report(report)

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

    def _accept_results(self) -> None:
        if self._config.option.expect == "check":
            return
        judged = [self._accept(planned.study) for planned in self._plans] if not self._interrupted else []
        if not any(judged):
            why = "the session was interrupted" if self._interrupted else "no selected item was judged"
            self._closing.append(terminal.Line(f"nothing was accepted: {why}.", {"yellow": True}))

    def _push_runs(self) -> None:
        """Once more what could not be pushed when it was made; the rest waits for the next session."""
        try:
            self._store.push()
        except MedbenchError as error:
            kept, url = self._store.unpushed(), shlex.quote(self._store.name)
            raise MedbenchError(
                f"{count(len(kept), 'run')} could not be pushed: {error} Until then they are kept in "
                f"{self._shown_path(self._store.root)}, and the next session pushes them, or: "
                f"medbench store push --store {url}"
            ) from error

    def _say_how_to_go_on(self) -> None:
        if self._interrupted:
            command = shlex.join(["pytest", *map(str, self._config.invocation_params.args)])
            kept = f"finished runs are kept in {self._shown_store()}"
            text = f"interrupted: {kept}. Continue with: {command}"
            self._closing.append(terminal.Line(text, {"yellow": True}))

    def _write_report(self, report: Report) -> None:
        if self._config.option.report:
            from medbench.report.write import write  # noqa: PLC0415

            folder = self._given(self._config.option.report)
            write(report, folder)
            self._closing.append(terminal.Line(f"report: {self._shown_path(folder / 'report.html')}", {}))

    def _write_candidates(self) -> None:
        """What accepting would leave, beside what was accepted."""
        if (given := self._config.option.candidates) is None:
            return
        folder, date = self._given(given), datetime.now(UTC).date().isoformat()
        for study, _, _ in self._plans:  # one, which pytest_configure saw to
            changes = study.propose(self._judgements(study), folder, date=date)
            text = f"candidates: {changes.splitlines()[-1]}: {self._shown_path(folder)}"
            self._closing.append(terminal.Line(text, {}))

    # History.

    def _with_history(self, report: Report) -> Report:
        """The report with the history of what is red or marked, to which this session is added unwritten."""
        if (folder := self._history_folder()) is None:
            return report
        from medbench.report import history as looking_back  # noqa: PLC0415 (most sessions have no history)

        past = history.read(folder, report.tier)
        self._closing += [terminal.Line(f"history: {text}", {"yellow": True}) for text in past.warnings]
        now = history.Recorded(self._night(), self._entries())
        charts, marks = looking_back.of_report(report, past.with_night(now))
        self._closing += [
            terminal.Line(f"history: {mark.item}: {mark.sentence}", {"yellow": True}) for mark in marks
        ]
        return msgspec.structs.replace(report, figures=[*report.figures, *charts])

    def _keep_history(self) -> None:
        """Add what was judged to the history."""
        folder = self._history_folder()
        if folder is None:
            return
        path = history.write(folder, self._night(), self._entries())
        if path is not None:
            self._closing.append(terminal.Line(f"history: {self._shown_path(path)}", {}))

    def _history_folder(self) -> Path | None:
        """As given; where values are accepted, else the one beside the expectations, if there is one."""
        option = self._config.option
        if option.history:
            return self._given(option.history)
        if option.expect == "check":
            return None
        beside = (study.accepted_in.parent / "history" for study in self._open_studies())
        return next((folder for folder in beside if folder.is_dir()), None)

    def _night(self) -> history.Night:
        option = self._config.option
        return history.night_of(
            _session(),
            created=self._ended.isoformat(timespec="microseconds"),
            tier=option.tier,
            generated=any(r.judgement.generated for r in self._results.values() if r.judgement),
            backbones=option.backbones or "",
            trainer=next((study.trainer.name for study in self._open_studies() if study.trainer), ""),
            accepted=option.reason if self._accepted else "",
        )

    def _entries(self) -> list[history.Entry]:
        """A line for each item that was judged."""
        entries = (
            history.entry_of(
                result,
                self.study(self._selected[nodeid][0]).expectations,
                device_class=environment.device_class(),
                accepted=result.id in self._accepted,
            )
            for nodeid, result in self._results.items()
            if nodeid in self._selected
        )
        return [entry for entry in entries if entry is not None]

    def _judgements(self, study: Study) -> list[Judgement]:
        """Of the selected items of a suite that had their runs."""
        return [
            result.judgement
            for nodeid, result in self._results.items()
            if result.judgement is not None
            and result.judgement.state != "not-run"
            and self._studies.get(self._selected[nodeid][0]) is study
        ]

    def _accept(self, study: Study) -> bool:
        """Accept what was judged of a suite; returns whether anything was."""
        judgements = self._judgements(study)
        if judgements:
            date = datetime.now(UTC).date().isoformat()
            changes, items = study.accept(judgements, reason=self._config.option.reason, date=date)
            self._accepted |= items
            self._closing.append(terminal.Line("accepted values, before and after:", {"bold": True}))
            self._closing += [terminal.Line(f"  {line}", {}) for line in changes.splitlines()]
        return bool(judgements)

    def _report(self) -> Report:
        made = merge_runs(run for result in self._results.values() for run in result.runs)
        report = build(
            self._results.values(),
            version=__version__,
            created=self._ended.isoformat(timespec="seconds"),
            tier=self._config.option.tier,
            scope=" ".join(filter(None, (self._scope(), self._by_whom()))),
            warnings=self._warnings(),
            environment=_session(),
            planned=max(len(made), sum(len(planned.plan.runs) for planned in self._plans)),
            naive=sum(planned.plan.naive for planned in self._plans),
            asked=[asked for study in self._open_studies() for asked in study.asked()],
            syntheses=[each for study in self._open_studies() for each in study.syntheses()],
            anchors=[anchor for study in self._open_studies() for anchor in study.anchors()],
            figures=self._figures() if self._config.option.report else [],
        )
        return msgspec.structs.replace(report, since=self._since(report))

    def _figures(self) -> list[Figure]:
        """Of all suites, each figure with an id of its own."""
        judgements = [result.judgement for result in self._results.values() if result.judgement]
        return distinct(
            figure for planned in self._plans for figure in planned.study.figures(planned.plan, judgements)
        )

    def _since(self, report: Report) -> Comparison | None:
        """What changed since the report of `--against`."""
        earlier = self._config.stash.get(AGAINST, None)
        if earlier is None:
            return None
        folder = self._open_studies()[0].accepted_in
        return compare(earlier, of_report(report, words="this session"), tolerance_beside(folder))

    @cached_property
    def _ended(self) -> datetime:
        """The session's end, as report and history have it."""
        return datetime.now(UTC)

    @property
    def _judged(self) -> bool:
        judgements = (result.judgement for result in self._results.values() if result.judgement)
        return not policy.judged_nothing(judgements)

    def _scope(self) -> str:
        """What the verdicts speak of, where that is less than the tier."""
        option = self._config.option
        if not (option.cohort or option.backbones):
            return ""
        results = (result.judgement for result in self._results.values())
        judgements = [judgement for judgement in results if judgement and judgement.state != "not-run"]
        if not judgements:
            return ""
        pairs = "; ".join(sorted({" and ".join(dict.fromkeys(j.arms.values())) for j in judgements}))
        where = ""
        if option.cohort:
            where = f", on {', '.join(sorted({c for study in self._open_studies() for c in study.cohorts}))}"
        return f"These verdicts speak of {pairs} only{where}; not of the study's backbones."

    def _by_whom(self) -> str:
        trainer = self._trainer()
        return f"All runs are by trainer {trainer}, not by medbench." if trainer else ""

    def _trainer(self) -> str:
        """Who trains in place of medbench, with the version."""
        return next((str(study.trainer) for study in self._open_studies() if study.trainer), "")

    def _warnings(self) -> list[str]:
        return [warning for study in self._open_studies() for warning in study.warnings]

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
                _planned(study, selected)
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
                study.require_acceptable(plan)
            except MedbenchError as error:
                raise pytest.UsageError(str(error)) from error

    def _campaign(self) -> Campaign | None:
        """Of a forced session, whichever runs it is about: tests in Python ask for theirs as they go."""
        option = self._config.option
        if option.runs != "force" or self._nodeids is None:
            return None
        of = {f"--tier={option.tier}", f"--cohort={option.cohort}"}
        of |= {f"--trainer={option.trainer}"} if option.trainer else set()
        return self._store.campaign(self._nodeids | of)

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
        lines = []
        for study, plan, left_out in self._plans:
            try:
                if plan.runs:
                    lines.append(plan_line(plan, study.forecast(plan), self._workers.count))
                if study.share is not None:
                    number, machines = self._config.option.shard
                    lines.append(
                        f"plan: shard {number} of {machines}: {count(len(study.share), 'run')} of it, "
                        f"{len(study.to_make(plan))} to train here; nothing is judged"
                    )
            except MedbenchError as error:
                lines.append(f"plan: {error}")
            reasons = Counter(line for reason in left_out.values() for line in reason.splitlines())
            lines += [f"plan: without {count(n, 'item')}: {reason}" for reason, n in reasons.items()]
            if left_out and not plan.runs:
                lines.append("plan: nothing is left to run on this machine before these are here.")
        return lines

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
            self._store.connect()
        study = Study.open(suite, self._options())
        study.report = self._progress()
        study.campaign = self._campaign()
        if company := self._config.stash.get(COMPANY, None):
            from medbench.execute.processes import Leader  # noqa: PLC0415

            study.train = Leader(company, suite, self._store)
        if self._told is not None:
            study.failures = Failures(Path(self._told.folder) / "failed")
        return study

    def _options(self) -> Options:
        option = self._config.option
        own = bool(option.cohort or option.backbones or option.trainer)
        baseline, treatment = backbone_names(option.backbones) if option.backbones else ("", "")
        given = self._given(option.expectations) if option.expectations else None
        return Options(
            tier=option.tier,
            store=self._store.home,
            remote=self._store.remote.url if self._store.remote else "",
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
        return str(self._given(given)) if given and not names_source(given) else given

    def _open_studies(self) -> list[Study]:
        """Those of the suites that can be opened; what is wrong with others, collecting them says."""
        studies = []
        for suite in self._suites:
            try:
                studies.append(self.study(suite))
            except MedbenchError:
                continue
        return studies

    @cached_property
    def _store(self) -> Store:
        given, usual = self._config.option.store, self._config.rootpath / ".medbench"
        if given and is_url(given):
            return Store(usual, given)
        return Store(self._given(given) if given else usual)

    def _given(self, path: str) -> Path:
        """A path from the command line."""
        return given_path(self._config, path)

    def _shown_store(self) -> str:
        return self._store.name if self._store.remote else self._shown_path(self._store.root)

    def _shown_path(self, path: Path) -> str:
        here = self._config.invocation_params.dir
        return str(path.relative_to(here) if path.is_relative_to(here) else path)


def plan_line(plan: Plan, forecast: Forecast, workers: int = 1) -> str:
    """`plan: 48 runs for 11 items (161 without sharing): 42 loaded (…), 6 to train, about 3 min`."""
    parts = []
    if forecast.loaded:
        newest = max(forecast.loaded, key=lambda run: run.finished)
        parts.append(f"{len(forecast.loaded)} loaded (trained {newest.finished[:10]}, {newest.device})")
    if forecast.reused:
        parts.append(f"{forecast.reused} reused")
    if forecast.not_run:
        parts.append(f"{forecast.not_run} not to be made")
    if forecast.to_train:
        time = ""
        if forecast.seconds is not None:
            seconds = side_by_side(forecast.seconds, len(forecast.to_train), workers)
            time = f", about {duration(seconds)}"
        elif forecast.hours:
            time = f", {in_words(forecast.hours, on_cpu=forecast.on_cpu)}"
        parts.append(f"{len(forecast.to_train)} to train{time}")
    runs, items = count(len(plan.runs), "run"), count(len(plan.items), "item")
    return f"plan: {runs} for {items} ({plan.naive} without sharing): {', '.join(parts)}"


def _planned(study: Study, item_ids: Sequence[str]) -> Planned:
    left_out = study.unplannable(item_ids)
    return Planned(study, study.plan(item for item in item_ids if item not in left_out), left_out)


def _leave_out_frames(
    report: pytest.TestReport, item: pytest.Item, excinfo: pytest.ExceptionInfo[BaseException]
) -> None:
    """Of a mistake that a test in Python makes with the study, its line and the message say all."""
    if isinstance(excinfo.value, MedbenchError):
        own = [entry.lineno + 1 for entry in excinfo.traceback if entry.path == item.path]
        place = f"{report.nodeid.partition('::')[0]}:{own[-1]}: " if own else ""
        report.longrepr = f"{place}{printable_lines(str(excinfo.value))}"


def _session() -> Session:
    return Session(
        device_class=environment.device_class(),
        cores=environment.usable_cores(),
        platform=platform.platform(),
        python=platform.python_version(),
        libraries=environment.library_versions(),
        commit=environment.commit(),
    )
