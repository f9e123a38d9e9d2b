"""Claims as pytest sees them: a file of claims, an item per task and evaluation set, and items that vanished.

What an item means is decided elsewhere (`study`, `policy`); here it only becomes passed, failed or skipped.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import msgspec
import pytest

from medbench.errors import MedbenchError, printable, printable_lines
from medbench.judgement import Check
from medbench.report import terminal
from medbench.report.record import ItemResult
from medbench.selection import name_of
from medbench.spec.loader import concerns

if TYPE_CHECKING:
    from medbench.pytest_session import Bench


class Red(Exception):  # noqa: N818  an outcome, not an error
    """An outcome that fails the session; its message is all there is to show."""


class ClaimFile(pytest.File):
    """A YAML file in the folder `claims` of a declared suite, or the `suite.yaml` that inherits claims."""

    bench: "Bench"
    suite: Path

    @classmethod
    def of(cls, parent: pytest.Collector, path: Path, bench: "Bench", suite: Path) -> Self:
        """The collector of a file."""
        file: Self = cls.from_parent(parent, path=path)
        file.bench, file.suite = bench, suite
        return file

    def collect(self) -> Iterable["ClaimItem"]:
        """The items of the claim in this file; none where the tier or the cohort leaves it out.

        Raises:
          MedbenchError: this file is wrong. What is wrong elsewhere is said there, or was said before.
        """
        path = self.path.resolve()
        try:
            study = self.bench.study(self.suite)
        except MedbenchError as error:
            if concerns(error, path):
                raise
            return
        for item in study.items.values():
            if self.suite / study.suite.claim_files[item.claim] == path:
                # Spelled out, so that pytest sees the bracket as it does when it reads the id back for --lf.
                nodeid = f"{self.nodeid}::{name_of(item)}"
                claim: ClaimItem = ClaimItem.from_parent(self, name=name_of(item), nodeid=nodeid)
                claim.bench, claim.suite, claim.item_id = self.bench, self.suite, item.id
                yield claim

    def repr_failure(  # type: ignore[override]  # as pytest's own Collector has it
        self, excinfo: pytest.ExceptionInfo[BaseException]
    ) -> Any:
        """The message alone: there is nothing to learn from a traceback into the loader."""
        if isinstance(excinfo.value, MedbenchError):
            return printable_lines(str(excinfo.value))
        return super().repr_failure(excinfo)


class ResultItem(pytest.Item):
    """An item that leaves a result for the report."""

    result: ItemResult | None = None

    def conclude(self, result: ItemResult) -> None:
        """Keep the result, and turn its outcome into pytest's."""
        self.result = result
        self.user_properties += properties(result)
        if result.red:
            raise Red(result.sentence)
        if result.category == "not-run":
            pytest.skip(printable_lines(result.sentence))

    def attach(self, report: pytest.TestReport) -> None:
        """Put the result on the report as plain values, which xdist can send to its controller."""
        if self.result is not None:
            report.medbench = msgspec.to_builtins(self.result)  # type: ignore[attr-defined]
        if report.skipped and self.result is not None:
            report.longrepr = (str(self.path), 1, printable_lines(self.result.sentence))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """The sentence alone, where it says all."""
        if isinstance(excinfo.value, Red | MedbenchError):
            return printable_lines(str(excinfo.value))
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        """File, line and name for pytest's headings."""
        return self.path, 0, self.name


class ClaimItem(ResultItem):
    """A claim on one task and one evaluation set."""

    bench: "Bench"
    suite: Path
    item_id: str

    def runtest(self) -> None:
        """Obtain the runs, judge, compare with what was accepted.

        Raises:
          Red: the outcome is one that fails the session, as `medbench.policy` has it.
          MedbenchError: the item cannot be judged; the message says why.
        """
        study = self.bench.study(self.suite)
        try:
            if study.share is not None:
                study.make(self.item_id)
                pytest.skip("--shard: runs are made and nothing is judged")
            result = study.result(self.item_id)
        except Exception as error:
            self.result = ItemResult(
                id=self.item_id,
                category="error",
                red=True,
                sentence=str(error) if isinstance(error, MedbenchError) else repr(error),
                runs=study.origins(self.item_id),
            )
            raise
        self.conclude(result)


class VanishedItem(ResultItem):
    """An item that was accepted and that the suite no longer has: always red."""

    check: Check

    @classmethod
    def of(cls, session: pytest.Session, check: Check, file: Path) -> Self:
        """The item for an expectation that nothing answers to.

        Args:
          session: to add it to.
          check: in status `vanished`, with a sentence for a person.
          file: where the expectation stands.
        """
        shown = (
            file.relative_to(session.config.rootpath)
            if file.is_relative_to(session.config.rootpath)
            else file
        )
        item: Self = cls.from_parent(session, name=check.id, nodeid=f"{shown.as_posix()}::{check.id}")
        item.check = check
        return item

    def runtest(self) -> None:
        """Fail.

        Raises:
          Red: always.
        """
        self.conclude(
            ItemResult(
                id=self.check.id, category="failed", red=True, sentence=self.check.detail, check=self.check
            )
        )


def properties(result: ItemResult) -> list[tuple[str, object]]:
    """The result for JUnit, as names and plain values, with what XML cannot hold as escapes."""
    found: list[tuple[str, object]] = [("item", result.id), ("outcome", result.category)]
    judgement, check = result.judgement, result.check
    if judgement:
        found += [
            ("task", judgement.task),
            ("claim", judgement.claim),
            ("evaluation_set", judgement.evaluation_set),
            ("metric", judgement.metric),
            ("verdict", judgement.verdict or judgement.state),
            ("margin", judgement.margin),
            ("generated", str(judgement.generated).lower()),
        ]
        if judgement.effect:
            effect = judgement.effect
            found += [("effect", effect.value), ("low", effect.low), ("high", effect.high)]
    if check:
        found += [("expectation", check.status), ("drift", terminal.drift(check, judgement))]
        found += [("accepted", check.accepted_verdict)] if check.accepted_verdict else []
    return [(name, printable(value) if isinstance(value, str) else value) for name, value in found]
