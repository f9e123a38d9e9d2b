"""What a pytest session leaves when its items are through: report, candidates, accepted values, history.

Nothing is judged here any more. What there is to say is collected in lines, in the order of the steps.
"""

import platform
import shlex
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

import msgspec
import pytest

from medbench import __version__, accepting, environment, history
from medbench.diff.compare import compare
from medbench.diff.reading import tolerance_beside
from medbench.diff.sides import of_report
from medbench.difference import Comparison
from medbench.errors import MedbenchError
from medbench.identity import shapes_of
from medbench.judgement import Judgement
from medbench.planned import Planned
from medbench.pytest_places import UNFINISHED, Places
from medbench.pytest_plugin import AGAINST
from medbench.report import terminal
from medbench.report.figures import Figure, distinct
from medbench.report.record import ItemResult, Report, Session, build, merge_runs
from medbench.report.terminal import count
from medbench.study import Study

Outcome = Sequence[tuple[Study | None, ItemResult]]
"""What every item came to, with the study that it is of; None for what is no item of a study any more."""


class Ending:
    """The end of a session.

    Attributes:
      lines: for the terminal.

    Args:
      config: of pytest.
      places: where its options point.
      studies: that could be opened.
      plans: of what was selected.
      outcome: of the items.
      interrupted: by a person.
      warned: whether the cohorts' warnings stand above the items already.
    """

    def __init__(
        self,
        config: pytest.Config,
        places: Places,
        *,
        studies: Sequence[Study],
        plans: Sequence[Planned],
        outcome: Outcome,
        interrupted: bool,
        warned: bool,
    ) -> None:
        self.lines: list[terminal.Line] = []
        self._config, self._places = config, places
        self._studies, self._plans, self._outcome = studies, plans, outcome
        self._results = [result for _, result in outcome]
        self._interrupted, self._warned = interrupted, warned
        self._accepted: frozenset[str] = frozenset()

    def conclude(self) -> bool:
        """Take every step, whatever became of those before; returns whether all could be taken."""
        steps = (
            self._report_results,
            self._write_candidates,
            self._accept_results,
            self._keep_history,
            self._push_runs,
            self._say_how_to_go_on,
        )
        well = True
        for step in steps:
            try:
                step()
            except MedbenchError as error:
                self.lines.append(terminal.Line(f"{UNFINISHED} {error}", {"red": True}))
                well = False
        return well

    def _report_results(self) -> None:
        if self._results:
            report = self._with_history(self._report())
            unsaid = [] if self._warned else report.warnings
            self.lines += terminal.summary(msgspec.structs.replace(report, warnings=unsaid))
            self._write_report(report)

    def _write_report(self, report: Report) -> None:
        if self._config.option.report:
            from medbench.report.write import write  # noqa: PLC0415

            folder = self._places.given(self._config.option.report)
            write(report, folder)
            self.lines.append(terminal.Line(f"report: {self._places.shown(folder / 'report.html')}", {}))

    def _write_candidates(self) -> None:
        """What accepting would leave, beside what was accepted."""
        if (given := self._config.option.candidates) is None:
            return
        folder, date = self._places.given(given), datetime.now(UTC).date().isoformat()
        for study, _, _ in self._plans:  # one, which pytest_configure saw to
            changes = accepting.propose(study, self._judgements(study), folder, date=date)
            text = f"candidates: {changes.splitlines()[-1]}: {self._places.shown(folder)}"
            self.lines.append(terminal.Line(text, {}))

    def _accept_results(self) -> None:
        if self._config.option.expect == "check":
            return
        judged = [self._accept(planned.study) for planned in self._plans] if not self._interrupted else []
        if not any(judged):
            why = "the session was interrupted" if self._interrupted else "no selected item was judged"
            self.lines.append(terminal.Line(f"nothing was accepted: {why}.", {"yellow": True}))

    def _accept(self, study: Study) -> bool:
        """Accept what was judged of a suite; returns whether anything was."""
        judgements = self._judgements(study)
        if judgements:
            date = datetime.now(UTC).date().isoformat()
            reason = self._config.option.reason
            said, items = accepting.accept(study, judgements, reason=reason, date=date)
            self._accepted |= items
            self.lines.append(terminal.Line("accepted values, before and after:", {"bold": True}))
            self.lines += [terminal.Line(f"  {line}", {}) for line in said]
        return bool(judgements)

    def _judgements(self, study: Study) -> list[Judgement]:
        """Of the selected items of a suite that had their runs."""
        return [
            result.judgement
            for of, result in self._outcome
            if of is study and result.judgement is not None and result.judgement.state != "not-run"
        ]

    def _push_runs(self) -> None:
        """Once more what could not be pushed when it was made; the rest waits for the next session."""
        try:
            self._places.store.push()
        except MedbenchError as error:
            kept, url = self._places.store.unpushed(), shlex.quote(self._places.store.name)
            raise MedbenchError(
                f"{count(len(kept), 'run')} could not be pushed: {error} Until then they are kept in "
                f"{self._places.shown(self._places.store.root)}, and the next session pushes them, or: "
                f"medbench store push --store {url}"
            ) from error

    def _say_how_to_go_on(self) -> None:
        if self._interrupted:
            command = shlex.join(["pytest", *map(str, self._config.invocation_params.args)])
            kept = f"finished runs are kept in {self._places.shown_store}"
            text = f"interrupted: {kept}. Continue with: {command}"
            self.lines.append(terminal.Line(text, {"yellow": True}))

    def _with_history(self, report: Report) -> Report:
        """The report with the history of what is red or marked, to which this session is added unwritten."""
        if (folder := self._history_folder()) is None:
            return report
        from medbench.report import history as looking_back  # noqa: PLC0415 (most sessions have no history)

        past = history.read(folder, report.tier)
        self.lines += [terminal.Line(f"history: {text}", {"yellow": True}) for text in past.warnings]
        now = history.Recorded(self._night(), self._entries())
        charts, marks = looking_back.of_report(report, past.with_night(now))
        self.lines += [
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
            self.lines.append(terminal.Line(f"history: {self._places.shown(path)}", {}))

    def _history_folder(self) -> Path | None:
        """As given; where values are accepted, else the one beside the expectations, if there is one."""
        option = self._config.option
        if option.history:
            return self._places.given(option.history)
        if option.expect == "check":
            return None
        beside = (study.accepted_in.parent / "history" for study in self._studies)
        return next((folder for folder in beside if folder.is_dir()), None)

    def _night(self) -> history.Night:
        option = self._config.option
        return history.night_of(
            _where(),
            created=self._ended.isoformat(timespec="microseconds"),
            tier=option.tier,
            generated=any(r.judgement.generated for r in self._results if r.judgement),
            backbones=option.backbones or "",
            trainer=next((study.trainer.name for study in self._studies if study.trainer), ""),
            accepted=option.reason if self._accepted else "",
        )

    def _entries(self) -> list[history.Entry]:
        """A line for each item that was judged."""
        entries = (
            history.entry_of(
                result,
                study.expectations,
                device_class=environment.device_class(),
                accepted=result.id in self._accepted,
            )
            for study, result in self._outcome
            if study is not None
        )
        return [entry for entry in entries if entry is not None]

    def _report(self) -> Report:
        made = merge_runs(run for result in self._results for run in result.runs)
        report = build(
            self._results,
            version=__version__,
            created=self._ended.isoformat(timespec="seconds"),
            tier=self._config.option.tier,
            scope=" ".join(filter(None, (self._scope(), self._by_whom()))),
            warnings=warnings_of(self._studies),
            environment=_where(),
            planned=max(len(made), sum(len(planned.plan.runs) for planned in self._plans)),
            naive=sum(planned.plan.naive for planned in self._plans),
            asked=[asked for study in self._studies for asked in study.asked()],
            syntheses=[each for study in self._studies for each in study.syntheses()],
            anchors=[anchor for study in self._studies for anchor in study.anchors()],
            figures=self._figures() if self._config.option.report else [],
            shapes=shapes_of(spec for planned in self._plans for spec in planned.plan.runs),
        )
        return msgspec.structs.replace(report, since=self._since(report))

    def _figures(self) -> list[Figure]:
        """Of all suites, each figure with an id of its own."""
        judgements = [result.judgement for result in self._results if result.judgement]
        return distinct(
            figure for planned in self._plans for figure in planned.study.figures(planned.plan, judgements)
        )

    def _since(self, report: Report) -> Comparison | None:
        """What changed since the report of `--against`."""
        earlier = self._config.stash.get(AGAINST, None)
        if earlier is None:
            return None
        folder = self._studies[0].accepted_in
        return compare(earlier, of_report(report, words="this session"), tolerance_beside(folder))

    @cached_property
    def _ended(self) -> datetime:
        """The session's end, as report and history have it."""
        return datetime.now(UTC)

    def _scope(self) -> str:
        """What the verdicts speak of, where that is less than the tier."""
        option = self._config.option
        if not (option.cohort or option.backbones):
            return ""
        results = (result.judgement for result in self._results)
        judgements = [judgement for judgement in results if judgement and judgement.state != "not-run"]
        if not judgements:
            return ""
        pairs = "; ".join(sorted({" and ".join(dict.fromkeys(j.arms.values())) for j in judgements}))
        where = ""
        if option.cohort:
            where = f", on {', '.join(sorted({c for study in self._studies for c in study.cohorts}))}"
        return f"These verdicts speak of {pairs} only{where}; not of the study's backbones."

    def _by_whom(self) -> str:
        trainer = trainer_of(self._studies)
        return f"All runs are by trainer {trainer}, not by medbench." if trainer else ""


def trainer_of(studies: Sequence[Study]) -> str:
    """Who trains in place of medbench, with the version."""
    return next((str(study.trainer) for study in studies if study.trainer), "")


def warnings_of(studies: Sequence[Study]) -> list[str]:
    """About the studies' cohorts."""
    return [warning for study in studies for warning in study.warnings]


def _where() -> Session:
    return Session(
        device_class=environment.device_class(),
        cores=environment.usable_cores(),
        platform=platform.platform(),
        python=platform.python_version(),
        libraries=environment.library_versions(),
        commit=environment.commit(),
    )
