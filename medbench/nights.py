"""The folder of nights: which night is begun or continued, what it is compared with, and what it came to.

A night is a folder `YYYY-MM-DD`, further ones of a day `YYYY-MM-DD-2` and so on, with `night.json`. Nothing
is run here.
"""

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Literal, get_type_hints

import msgspec

from medbench.difference import Comparison, Suspect
from medbench.errors import MedbenchError, few, printable
from medbench.writing import write_aside

STATE = "night.json"
CONTINUED_WITHIN = timedelta(hours=36)
"""A night that came to no end is continued by the next start of that day or the following, and no later."""
PREFIX = "MEDBENCH_"

Policy = Literal["drift", "worse", "report-only"]


def _says(text: str, pattern: str | None = None) -> msgspec.Meta:
    return msgspec.Meta(description=text, pattern=pattern)


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a night is about, each field by the environment variable of its name (`MEDBENCH_TIER`)."""

    tier: Annotated[str, _says("tier of the suite")] = "embedded"
    suite: Annotated[str, _says("folder of declarations")] = "benchmarks"
    select: Annotated[str, _says("only these items, as pytest's -k has it")] = ""
    cohort: Annotated[str, _says("your own images, as --cohort has it")] = ""
    expectations: Annotated[str, _says("accepted values that are not beside the suite")] = ""
    runs: Annotated[
        Literal["auto", "force", "never"],
        _says("auto: train what is missing, and the sentinels; force: everything anew; never: judge only"),
    ] = "auto"
    shard: Annotated[
        str, _says("I/N: make one of N parts of the runs, and judge nothing", r"^([1-9]\d*/[1-9]\d*)?$")
    ] = ""
    workers: Annotated[
        str, _says("processes side by side, as pytest's -n has it: auto, or up to 999", r"^(auto|\d{1,3})?$")
    ] = ""
    store: Annotated[str, _says("where finished runs are kept: a folder or a URL")] = ".medbench"
    out: Annotated[str, _says("where the folders of nights are made")] = "nights"
    history: Annotated[str, _says("what nights append to; `history` in MEDBENCH_OUT if not set")] = ""
    policy: Annotated[
        Policy,
        _says(
            "what is red: drift, where pytest is; worse, also where the diff is worse than the night before; "
            "report-only, nothing that was measured"
        ),
    ] = "drift"
    doctor: Annotated[
        Literal["stop", "go-on"], _says("where the doctor finds a problem: stop before training, or go-on")
    ] = "stop"
    pytest: Annotated[str, _says("further options of pytest, quoted as for a shell")] = ""

    @property
    def scope(self) -> tuple[str, ...]:
        """What nights must have in common to be one night, or to be compared."""
        return (self.tier, self.suite, self.select, self.cohort, self.expectations, self.shard, self.pytest)


OTHERS = ("WEIGHTS", "COHORTS", "PYTHON", "DEVICE_CLASS", "TEST_IMAGES", "TEST_PUBLISHED")
"""Variables that are not for a night."""


def settings_of(environment: Mapping[str, str]) -> Settings:
    """The settings that environment variables give; an empty one stands for its default.

    Raises:
      MedbenchError: a value is none of those expected, or a name is nearly that of a setting.
    """
    given = {
        name.removeprefix(PREFIX): value.strip()
        for name, value in environment.items()
        if name.startswith(PREFIX) and value.strip()
    }
    known = [field.upper() for field in Settings.__struct_fields__]
    for name in sorted(given.keys() - {*known, *OTHERS}):
        if close := difflib.get_close_matches(name, known, n=1):
            raise MedbenchError(f"{PREFIX}{name}: no such setting. Did you mean `{PREFIX}{close[0]}`?")
    values = {name.lower(): value for name, value in given.items() if name in known}
    try:
        return msgspec.convert(values, Settings)
    except msgspec.ValidationError as error:
        name = str(error).rpartition("`$.")[2].removesuffix("`")
        raise MedbenchError(
            f"{PREFIX}{name.upper()}: `{printable(values[name])}` is not as expected: {descriptions()[name]}."
        ) from error


def descriptions() -> dict[str, str]:
    """What each setting is, for a person, by its name."""
    hints = get_type_hints(Settings, include_extras=True)
    return {name: hints[name].__metadata__[0].description for name in Settings.__struct_fields__}


class State(msgspec.Struct, frozen=True, kw_only=True):
    """The file `night.json`: what is known of a night, replaced whole."""

    schema_version: int = 1
    settings: Settings
    began: str
    """UTC, ISO 8601, as all times here."""
    attempts: int
    """How often it was started."""
    previous: str = ""
    """The night that it is compared with; empty where there was none."""
    finished: str = ""
    """Empty until it came to its end."""
    status: int | None = None
    """With which the night ended."""


@dataclass(frozen=True)
class Night:
    """A night and its folder."""

    folder: Path
    state: State

    @property
    def report(self) -> Path:
        """The folder of its report."""
        return self.folder / "report"

    @property
    def previous(self) -> "Path | None":
        """The folder of the report that it is compared with."""
        return self.folder.with_name(self.state.previous) / "report" if self.state.previous else None

    def age(self, now: datetime) -> timedelta:
        """Since it began."""
        return now - datetime.fromisoformat(self.state.began)

    def ended(self, status: int, now: datetime) -> "Night":
        """The night as finished, which is written down."""
        return _written(self.folder, msgspec.structs.replace(self.state, finished=_shown(now), status=status))


def begin(out: Path, settings: Settings, now: datetime) -> Night:
    """The night that a start is for: the last one of its scope if that came to no end, else a new one.

    A finished night is never written to again. Runs are kept in the store, so that nothing is lost with a
    night that is not continued.

    Args:
      out: the folder of nights, which need not exist.
      settings: of this start; a night of another scope is not continued by it.
      now: UTC.

    Raises:
      MedbenchError: the folder cannot be written.
    """
    alike = [
        night
        for night in nights(out)
        if night.state.settings.scope == settings.scope and night.age(now) >= timedelta()
    ]  # a clock that was wrong leaves later ones
    finished = [night for night in alike if night.state.finished]
    previous = next((night.folder.name for night in reversed(finished) if _can_be_compared_with(night)), "")
    if alike and not alike[-1].state.finished and alike[-1].age(now) < CONTINUED_WITHIN:
        folder, state = alike[-1].folder, alike[-1].state
        attempts = state.attempts + 1
        return _written(
            folder,
            msgspec.structs.replace(state, settings=settings, attempts=attempts, previous=previous),
        )
    state = State(settings=settings, began=_shown(now), attempts=1, previous=previous)
    return _written(_new_folder(out, now), state)


def nights(out: Path) -> list[Night]:
    """All nights with a readable state, in the order in which they began."""
    found = []
    for _, folder in sorted(_places(out)):
        try:
            state = msgspec.json.decode((folder / STATE).read_bytes(), type=State)
            if datetime.fromisoformat(state.began).tzinfo is not None:
                found.append(Night(folder, state))
        except (OSError, ValueError, msgspec.DecodeError):
            continue
    return found


def unreadable(out: Path) -> list[Path]:
    """The states that nobody can read, so that their nights are neither continued nor compared with."""
    known = {night.folder for night in nights(out)}
    there = [folder / STATE for _, folder in sorted(_places(out)) if folder not in known]
    return [path for path in there if path.exists()]


def is_red(policy: Policy, *, pytest: int, worse: bool, unmeasured: bool) -> bool:
    """Whether a night that was judged is red.

    Args:
      policy: see `Settings.policy`.
      pytest: its exit status, 0 or 1.
      worse: see `is_worse`.
      unmeasured: whether an item ended in an error, or nothing was judged.
    """
    if policy == "report-only":
        return unmeasured
    return pytest == 1 or (policy == "worse" and worse)


def is_worse(night: Night, comparison: Comparison | None) -> bool:
    """Whether something is worse than in the night before or vanished since, or nobody can tell."""
    if not night.state.previous:
        return False
    return comparison is None or bool(comparison.counts["worse"] or comparison.counts["vanished"])


class _Claim(msgspec.Struct):
    id: str
    red: bool
    sentence: str


class _Check(msgspec.Struct):
    id: str
    status: str
    detail: str


class _Error(msgspec.Struct):
    id: str
    message: str


class Told(msgspec.Struct):
    """What a summary tells of a report."""

    generated: bool
    counts: dict[str, int]
    claims: list[_Claim]
    expectations: list[_Check]
    errors: list[_Error]
    since: Comparison | None = None
    """What changed since the night before."""

    @property
    def unmeasured(self) -> bool:
        """Whether an item ended in an error, or nothing was judged, which no policy passes over."""
        return bool(self.errors) or not self.counts["judged"]

    @property
    def red(self) -> list[tuple[str, str]]:
        """Items that make the session fail, each with the reason."""
        claims = {claim.id for claim in self.claims}
        gone = [check for check in self.expectations if check.status == "vanished" and check.id not in claims]
        return [
            *((claim.id, claim.sentence) for claim in self.claims if claim.red),
            *((check.id, f"vanished: {check.detail}") for check in gone),
            *((error.id, error.message) for error in self.errors),
        ]


def judged_line(told: Told) -> str:
    """What was judged, and what is red of it."""
    counts = told.counts
    said = (
        f"{counts['judged']} judged: {counts['supported']} supported, {counts['refuted']} refuted, "
        f"{counts['inconclusive']} inconclusive"
    )
    if told.red:
        first, why = told.red[0]
        more = f" and {few([item for item, _ in told.red[1:]])}" if told.red[1:] else ""
        said += f"; {len(told.red)} red: {first} ({printable(why)}){more}"
    return said + (" · generated images" if told.generated else "")


def since_line(night: Night, comparison: Comparison | None) -> str:
    """What changed since the night before, and what may be why."""
    if not night.state.previous:
        return "no earlier night of this selection to compare with"
    since = f"since {night.state.previous}"
    if comparison is None:
        return f"{since}: its report cannot be read, so the two nights could not be compared"
    counts = [f"{number} {state}" for state, number in comparison.counts.items() if number]
    loud = [each for each in comparison.differences if each.state in ("worse", "vanished")]
    line = f"{since}: {', '.join(counts) or 'nothing to compare'}"
    if loud:
        line += f"; {few([printable(f'{each.id}: {each.sentence}') for each in loud])}"
    suspects = dict.fromkeys([*comparison.suspects, *(s for each in loud for s in each.suspects)])
    return line + (f"; what differs: {few([_in_words(each) for each in suspects])}" if suspects else "")


def _in_words(suspect: Suspect) -> str:
    return printable(f"{suspect.name} {suspect.before or 'none'} → {suspect.after or 'none'}")


class _Counted(msgspec.Struct):
    counts: dict[str, int]


def _can_be_compared_with(night: Night) -> bool:
    """Whether it has a report; one of a night that judged nothing would hide what became of the others."""
    try:
        content = (night.report / "report.json").read_bytes()
        return bool(msgspec.json.decode(content, type=_Counted).counts.get("judged"))
    except FileNotFoundError:
        return False
    except (OSError, UnicodeDecodeError, msgspec.DecodeError):
        return True  # so that whoever compares says what is wrong with it


def _places(out: Path) -> list[tuple[tuple[str, int], Path]]:
    """The folders whose names are those of nights, each with its day and number."""
    folders = list(out.iterdir()) if out.is_dir() else []
    named = [(re.fullmatch(r"(\d{4}-\d\d-\d\d)(?:-(\d+))?", folder.name), folder) for folder in folders]
    return [((found[1], int(found[2] or 1)), folder) for found, folder in named if found]


def _new_folder(out: Path, now: datetime) -> Path:
    today = now.date().isoformat()
    number = max((number for (day, number), _ in _places(out) if day == today), default=0) + 1
    return out / (today if number == 1 else f"{today}-{number}")


def _written(folder: Path, state: State) -> Night:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_aside(folder / STATE, msgspec.json.format(msgspec.json.encode(state), indent=2) + b"\n")
    except OSError as error:
        raise MedbenchError(
            f"{folder}: the night cannot be written ({error.strerror}). Make room, or name another folder by "
            f"{PREFIX}OUT."
        ) from error
    return Night(folder, state)


def _shown(now: datetime) -> str:
    return now.isoformat(timespec="seconds")
