"""The folder of `--candidates`: expectations as they would be if a session were accepted, and what changes.

Layout: `changes.txt`; `candidates.json`; `expectations/`, a whole copy of the tier's accepted values with the
changes made, and of the reference runs those that are new or differ. A session only reads what was accepted;
`medbench accept` takes from here what a person has chosen.
"""

import hashlib
import re
import shutil
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from medbench import expect
from medbench.accepted_runs import Taken, named, runs_of, same_predictions
from medbench.errors import MedbenchError, few, printable
from medbench.expect import INDEX, Change, Expectation, Expectations, summary
from medbench.reference import References
from medbench.spec.runs import RunSpec
from medbench.store import StoredRun, read_run

EXPECTATIONS, CHANGES, ABOUT = "expectations", "changes.txt", "candidates.json"
TIER = r"[A-Za-z0-9][A-Za-z0-9._-]*"
"""What a tier may be called, so that its folder lies below that of the expectations."""


class Proposed(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An item that is new or differs."""

    environment: str
    """Of its values."""
    before: str
    """The digest of what was accepted then; empty where nothing was."""


class About(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What candidates are of (`candidates.json`)."""

    tier: str
    own: bool
    """Of a cohort, backbones or a trainer of one's own, so that they are no values of the suite's."""
    elsewhere: bool
    """Held against expectations that do not lie beside the suite."""
    items: dict[str, Proposed]
    """By id, those that are new or differ from what was accepted."""
    runs: list[str]
    """Folders of the proposed reference runs, below that of the tier."""


class Candidates(NamedTuple):
    """What a session proposed."""

    root: Path
    """The copy of the folder `expectations`."""
    about: About
    items: list[Expectation]
    """Those that are new or differ from what was accepted then."""
    runs: list[StoredRun]
    """The proposed reference runs, whole."""


def require_own(folder: Path) -> None:
    """Refuse a folder that holds something else than earlier candidates.

    Raises:
      MedbenchError: it is a file, or a folder that is neither empty nor of earlier candidates.
    """
    if folder.exists() and not folder.is_dir():
        raise MedbenchError(f"{folder}: expected a folder (it is made), found a file.")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / CHANGES).is_file():
        raise MedbenchError(
            f"{folder}: holds something else than earlier candidates, and would be replaced. Name another "
            "folder."
        )


def begin(folder: Path, accepted_in: Path | None, tier: str) -> Path:
    """Make the folder, in place of earlier candidates, with a copy of what was accepted for a tier.

    Args:
      folder: of the candidates.
      accepted_in: the folder `expectations`, which need not exist; None where nothing was accepted.
      tier: whose values; those of others have no part.

    Returns:
      The copy.

    Raises:
      MedbenchError: the folder holds something else, or cannot be written.
    """
    require_own(folder)
    copy = folder / EXPECTATIONS
    try:
        (folder / ABOUT).unlink(missing_ok=True)  # a session that is killed from here on proposes nothing
        shutil.rmtree(copy, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / CHANGES).touch()  # by which the folder is known, should this end in between
        copy.mkdir()
        if accepted_in is not None:
            _copy_values(accepted_in, copy, tier)
    except OSError as error:
        raise _unwritable(folder, error) from error
    return copy


def end(folder: Path, changes: Sequence[Change], *, tier: str, own: bool, elsewhere: bool) -> str:
    """Write down what accepting would change, and which items are proposed.

    Args:
      folder: of the candidates.
      changes: that the copy was made with.
      tier: see `About`.
      own: see `About`.
      elsewhere: see `About`.

    Returns:
      What would change, as text whose last line is the sum.

    Raises:
      MedbenchError: the folder cannot be written.
    """
    proposed = _proposed(changes)
    kept = sum(bool(change.why_kept) for change in changes)
    last = f"{len(proposed)} of {len(changes)} items would change"
    last += f"; of {kept} nothing is proposed (changes.txt says why)" if kept else ""
    text = "\n".join(filter(None, (summary(changes), last)))
    try:
        (folder / CHANGES).write_text(text + "\n", encoding="utf-8")
        within = folder / EXPECTATIONS / tier
        runs = sorted(str(path.relative_to(within)) for path in within.glob(_RUNS))
        about = About(tier=tier, own=own, elsewhere=elsewhere, items=proposed, runs=runs)
        (folder / ABOUT).write_bytes(msgspec.json.encode(about) + b"\n")
    except OSError as error:
        raise _unwritable(folder, error) from error
    return text


def reason(date: str) -> str:
    """What stands as reason beside a value that nobody has accepted yet."""
    return f"candidate of {date}, not reviewed"


def read(folder: Path) -> Candidates:
    """What a session has left.

    Args:
      folder: of `--candidates`, or one of a night, which has it as `candidate`.

    Raises:
      MedbenchError: there is no such thing, or it was altered into something that is none.
    """
    root = next((each for each in (folder / "candidate", folder) if (each / ABOUT).is_file()), None)
    if root is None:
        raise MedbenchError(
            f"{folder}: no candidates here. Expected the folder of a night, or one that "
            f"`pytest --candidates DIR` made, with {ABOUT} and {EXPECTATIONS}/."
        )
    try:
        about = msgspec.json.decode((root / ABOUT).read_bytes(), type=About)
    except (OSError, UnicodeDecodeError, msgspec.DecodeError) as error:
        raise MedbenchError(f"{root / ABOUT}: damaged ({printable(str(error))}). {_ANEW}") from error
    if not re.fullmatch(TIER, about.tier):
        raise MedbenchError(f"{root / ABOUT}: `{printable(about.tier)}` is no name of a tier.")
    copy = root / EXPECTATIONS
    found = expect.load(copy, about.tier).accepted
    new = [each for each in found if _environment(about, each.item) == each.environment]
    if len(new) < len(about.items):
        lost = sorted(about.items.keys() - {each.item for each in new})
        raise MedbenchError(f"{copy}: {few(lost)} of {ABOUT} not found; the copy was altered. {_ANEW}")
    return Candidates(copy, about, new, _runs(copy / about.tier, about.runs))


_ANEW = "Fetch the folder again, or run the night again."
_RUNS = "runs*/*/*"
"""Folders of reference runs, below that of a tier."""


def _environment(about: About, item: str) -> str | None:
    return about.items[item].environment if item in about.items else None


def _runs(within: Path, listed: Sequence[str]) -> list[StoredRun]:
    """The proposed reference runs; all of their files are read, so that none is found damaged half-way."""
    there = {str(path.relative_to(within)): path for path in within.glob(_RUNS)}
    if lost := sorted(set(listed) - there.keys()):
        raise MedbenchError(f"{within}: {few(lost)} of {ABOUT} not found: it is not whole. {_ANEW}")
    found = []
    for name in listed:
        try:
            run = read_run(there[name], "loaded")
            if run is None:
                raise MedbenchError(f"{there[name]}: no record of a run.")
            for each in run.record.evaluations:
                run.predictions(each.evaluation_set)
        except MedbenchError as error:
            raise MedbenchError(f"{there[name]}: the proposed run is damaged ({error}). {_ANEW}") from error
        found.append(run)
    return found


def changes(
    candidates: Candidates,
    items: Iterable[Expectation],
    known: Expectations,
    *,
    why_not: Callable[[Expectation], str],
    reason: str = "",
    date: str = "",
) -> list[Change]:
    """What accepting candidates would change now.

    Args:
      candidates: as read.
      items: that were chosen of them.
      known: what is accepted.
      why_not: says of an item why it cannot be accepted any more, else nothing.
      reason: why they are right.
      date: ISO 8601 day of accepting them.

    Returns:
      One change an item; one that was accepted otherwise since then is kept.
    """
    held = {(each.item, each.environment): each for each in known.accepted}

    def change(candidate: Expectation) -> Change:
        before = held.get((candidate.item, candidate.environment))
        if before is not None and replace(candidate, accepted=before.accepted) == before:
            return Change(candidate.item, before, before)
        why = why_not(candidate)
        if not why and _digest(before) != candidates.about.items[candidate.item].before:
            now = f"accepted on {before.accepted.date}" if before is not None else "not accepted any more"
            why = f"{now}, otherwise than when these candidates were made; judge it again"
        if why:
            return Change(candidate.item, before, before, why)
        accepted = replace(candidate.accepted, reason=reason, date=date)
        return Change(candidate.item, before, replace(candidate, accepted=accepted))

    return [change(candidate) for candidate in items]


def take(
    candidates: Candidates, chosen: Sequence[Change], root: Path, references: Callable[[str], References]
) -> Taken:
    """Accept what `changes` made of candidates, and the reference runs that the items are of.

    The runs come first: where this ends in between, the values still differ, and the same command goes on.

    Args:
      candidates: as read.
      chosen: what is to change.
      root: the folder `expectations` of the suite.
      references: the accepted runs, by the name of their folder.

    Returns:
      How many runs were taken over, and which of them took the place of others.

    Raises:
      MedbenchError: what is accepted is damaged or cannot be written.
    """
    items = [change.after for change in chosen if change.after is not None and not change.why_kept]
    wanted = set[tuple[str, str, int]]().union(*map(runs_of, items))
    number, replaced = 0, list[RunSpec]()
    for run in candidates.runs:
        into, spec = references(run.path.parent.parent.name), run.record.spec
        before = into.get(spec)
        if named(spec) in wanted and not same_predictions(run, before):
            into.accept(run)
            number += 1
            replaced += [spec] if before else []
    expect.put(chosen, root, candidates.about.tier)
    return Taken(number, replaced)


def _proposed(changes: Iterable[Change]) -> dict[str, Proposed]:
    return {
        change.item: Proposed(environment=change.after.environment, before=_digest(change.before))
        for change in changes
        if change.after is not None and change.before != change.after
    }


def _digest(accepted: Expectation | None) -> str:
    """Of what is accepted, with who accepted it and why."""
    return hashlib.sha256(msgspec.json.encode(accepted)).hexdigest()[:20] if accepted is not None else ""


def _copy_values(accepted_in: Path, copy: Path, tier: str) -> None:
    """The files of values, the index and the calibration; not the runs, which are large and unchanged."""
    alone = [accepted_in / "numeric.yaml", accepted_in / tier / INDEX]
    for path in [*filter(Path.is_file, alone), *(accepted_in / tier).glob("*/*.yaml")]:
        target = copy / path.relative_to(accepted_in)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)


def _unwritable(folder: Path, error: OSError) -> MedbenchError:
    return MedbenchError(f"{folder}: candidates cannot be written ({error.strerror}). Name another folder.")
