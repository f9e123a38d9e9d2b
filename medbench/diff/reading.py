"""What a person names as a side becomes one: expectations, a git revision, a report, a store.

What is guessed is said by the words of the side.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import msgspec

from medbench import expect, packaged
from medbench.diff import revision
from medbench.diff.revision import RUNS
from medbench.diff.sides import Side, of_expectations, of_report
from medbench.diff.terms import Tolerance
from medbench.errors import MedbenchError, printable
from medbench.expect import INDEX, Expectations
from medbench.identity import Shapes, shapes_of
from medbench.reference import References
from medbench.remote import is_url
from medbench.report.record import SCHEMA_VERSION, Report
from medbench.spec.loader import shown

Form = Literal["report", "git", "expectations", "store"]
FORMS: tuple[Form, ...] = get_args(Form)
REPORT = "report.json"
TREE = "expectations:"
"""The expectations beside the suite, as they are in the working tree."""
USUAL_TIER = "embedded"


@dataclass(frozen=True)
class Places:
    """Where sides are looked for.

    Attributes:
      suite: the folder of declarations, beside which `expectations` lies.
      tier: of expectations and stores; empty for that of the report on the other side, else `embedded`.
      store: folder of the store that has the runs of reports; None where their predictions are not at hand.
    """

    suite: Path
    tier: str = ""
    store: Path | None = None

    @property
    def expectations(self) -> Path:
        """The folder of accepted values."""
        return expect.beside(self.suite)


def read_both(before: str, after: str, places: Places) -> tuple[Side, Side]:
    """Read two sides; what has no tier of its own takes that of a report.

    Raises:
      MedbenchError: as `read`.
    """
    forms = [form_of(given, places) for given in (before, after)]
    tier, sides = places.tier, dict[int, Side]()
    for i in sorted((0, 1), key=lambda i: forms[i][0] != "report"):
        sides[i] = _READERS[forms[i][0]](forms[i][1], places, tier or USUAL_TIER)
        tier = tier or sides[i].tier
    return sides[0], sides[1]


def form_of(given: str, places: Places) -> tuple[Form, str]:
    """What a name stands for, and the name without its prefix.

    Raises:
      MedbenchError: nothing, or several things; the message says how to name one.
    """
    prefix, colon, name = given.partition(":")
    for form in FORMS:
        if colon and prefix == form:
            return form, name
    if is_url(given):
        return "store", given
    found = _forms_at(Path(given))
    if revision.is_revision(given, places.expectations):
        found.append("git")
    if len(found) == 1:
        return found[0], given
    if found:
        ways = " or ".join(f"{form}:{given}" for form in found)
        raise MedbenchError(
            f"`{printable(given)}` is {' and '.join(_A[form] for form in found)}. Write {ways}."
        )
    there = "is none of" if Path(given).exists() else "does not exist and names none of"
    raise MedbenchError(
        f"`{printable(given)}` {there}: a report ({REPORT}, its folder or a night's), a folder of "
        "expectations, a store (.medbench, or its URL), a revision that git knows."
    )


_A: dict[Form, str] = {
    "report": "a report",
    "git": "a git revision",
    "expectations": "expectations",
    "store": "a store",
}


def _forms_at(path: Path) -> list[Form]:
    """What lies at a path."""
    if path.is_file():
        return ["report"]
    found: list[Form] = []
    if _report_at(path).is_file():
        found.append("report")
    if any(path.glob(f"*/{INDEX}")):
        found.append("expectations")
    if any(re.fullmatch("[0-9a-f]{20}", run.name) for run in path.glob("runs/*")) or path.name == ".medbench":
        found.append("store")
    return found if path.is_dir() else []


def _report_at(folder: Path) -> Path:
    """The report in a folder, or in that of a night."""
    of_night = folder / "report" / REPORT
    return of_night if of_night.is_file() else folder / REPORT


def load_report(path: Path) -> Report:
    """Read a report.

    Args:
      path: of report.json, of the folder that has it, or of a night's, which has it below `report`.

    Raises:
      MedbenchError: there is none, or it is torn, no report, or of another version of medbench.
    """
    file = _report_at(path) if path.is_dir() else path
    try:
        content = file.read_bytes()
        version = msgspec.json.decode(content, type=_Versioned).schema_version
        if version == SCHEMA_VERSION:
            return msgspec.json.decode(content, type=Report)
    except OSError as error:
        raise MedbenchError(
            f"{shown(file)}: the report cannot be read ({error.strerror}). Expected {REPORT}, as "
            "`pytest benchmarks --report DIR` writes it, or its folder."
        ) from error
    except (UnicodeDecodeError, msgspec.DecodeError) as error:
        raise MedbenchError(
            f"{shown(file)}: no report of medbench, or a torn one ({printable(str(error))}). Restore it, or "
            "write it anew with --report."
        ) from error
    other = "a later" if version > SCHEMA_VERSION else "an earlier"
    raise MedbenchError(
        f"{shown(file)}: written by {other} medbench (reports of version {version}; this one reads "
        f"{SCHEMA_VERSION}). Write it anew with this version, or compare with that one."
    )


class _Versioned(msgspec.Struct):
    schema_version: int
    medbench: str


def report_side(path: Path) -> Side:
    """A report as a side.

    Raises:
      MedbenchError: as `load_report`.
    """
    report = load_report(path)
    return of_report(report, words=f"{words_of(report)} ({shown(path)})")


def words_of(report: Report) -> str:
    """`report of 2026-11-22 10:00 UTC, commit 1a2b3c4d5e6f`."""
    when = report.created[:16].replace("T", " ")
    commit = f", commit {report.environment.commit[:12]}" if report.environment.commit else ""
    return f"report of {when} UTC{commit}"


def tolerance_beside(expectations: Path) -> Tolerance:
    """How far machines move a value: as calibrated for a folder of accepted values, and for medbench's own.

    Raises:
      MedbenchError: a calibration is not as it should be.
    """
    folders = dict.fromkeys(f.resolve() for f in (expectations, expect.beside(packaged.suite())))
    rows = tuple(row for folder in folders for row in expect.load_calibration(folder))
    return Expectations(calibration=rows).tolerance


def _read_report(name: str, places: Places, _: str) -> Side:
    side = report_side(Path(name))
    if places.store is None:
        return side
    from medbench.diff.referenced import runs_of_report, with_predictions  # noqa: PLC0415
    from medbench.store import Store  # noqa: PLC0415

    accepted = References(places.expectations / side.tier / RUNS)
    find = runs_of_report(load_report(Path(name)), Store(places.store), accepted)
    return with_predictions(side, find, places.suite)


def _read_expectations(name: str, places: Places, tier: str) -> Side:
    folder = Path(name) if name else places.expectations
    if not (folder / tier).is_dir():
        there = ", ".join(sorted(path.parent.name for path in folder.glob(f"*/{INDEX}"))) or "none"
        raise MedbenchError(
            f"{shown(folder)}: no accepted values of tier `{tier}`; there are tiers: {there}. Name the "
            "folder `expectations`, and a tier with --tier."
        )
    from medbench.diff.referenced import with_predictions  # noqa: PLC0415 (brings all that judges)

    known, runs = expect.load(folder, tier), References(folder / tier / RUNS)
    words = f"expectations in {shown(folder)}/{tier}"
    side = of_expectations(known, words=words, tier=tier, shapes=_shapes(runs))
    return with_predictions(side, runs.get, places.suite)


def _read_revision(name: str, places: Places, tier: str) -> Side:
    from medbench.diff.referenced import with_predictions  # noqa: PLC0415

    at = revision.resolved(name, places.expectations)
    known, runs = revision.expectations_at(at, tier), revision.RunsAt(at, tier)
    side = of_expectations(known, words=at.words, tier=tier, shapes=_shapes(runs))
    return with_predictions(side, runs.get, places.suite)


def _shapes(runs: References | revision.RunsAt) -> Shapes:
    """What accepted runs were fine-tuned from and how; nothing is known where a record cannot be read."""
    try:
        return shapes_of(runs.specs())
    except MedbenchError:
        return {}


def _read_store(name: str, places: Places, tier: str) -> Side:
    from medbench.diff.stored import of_store  # noqa: PLC0415 (brings all that judges)
    from medbench.store import store_at  # noqa: PLC0415

    return of_store(store_at(name), places.suite, tier)


_READERS: dict[Form, Callable[[str, Places, str], Side]] = {
    "report": _read_report,
    "git": _read_revision,
    "expectations": _read_expectations,
    "store": _read_store,
}
