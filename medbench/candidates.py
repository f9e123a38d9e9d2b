"""The folder of `--candidates`: expectations as they would be if a session were accepted, and what changes.

Layout: `changes.txt`; `candidates.json`; `expectations/`, a whole copy of the tier's accepted values with the
changes made, and of the reference runs those that are new or differ. A session only reads what was accepted;
`medbench accept` takes from here what a person has chosen.
"""

import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from medbench import expect
from medbench.accepted_runs import Taken, named, runs_of
from medbench.errors import MedbenchError, few
from medbench.expect import INDEX, Change, Expectation, Expectations, summary
from medbench.reference import References
from medbench.spec.runs import RunSpec
from medbench.store import StoredRun, read_run

EXPECTATIONS, CHANGES, ABOUT = "expectations", "changes.txt", "candidates.json"


class About(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What candidates are of (`candidates.json`)."""

    tier: str
    own: bool
    """Of a cohort, backbones or a trainer of one's own, so that they are no values of the suite's."""
    items: dict[str, str]
    """Ids of those that are new or differ from what was accepted, with the environment of their values."""


class Candidates(NamedTuple):
    """What a session proposed."""

    root: Path
    """The copy of the folder `expectations`."""
    about: About
    items: list[Expectation]
    """Those that are new or differ from what was accepted then."""


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
        copy.mkdir(parents=True)
        (folder / CHANGES).touch()
        if accepted_in is not None:
            _copy_values(accepted_in, copy, tier)
    except OSError as error:
        raise _unwritable(folder, error) from error
    return copy


def end(folder: Path, changes: Sequence[Change], *, tier: str, own: bool) -> str:
    """Write down what accepting would change, and which items are proposed.

    Args:
      folder: of the candidates.
      changes: that the copy was made with.
      tier: see `About`.
      own: see `About`.

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
        about = About(tier=tier, own=own, items=proposed)
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
        raise MedbenchError(f"{root / ABOUT}: damaged ({error}). Run the night again.") from error
    found = expect.load(root / EXPECTATIONS, about.tier).accepted
    new = [each for each in found if about.items.get(each.item) == each.environment]
    if len(new) < len(about.items):
        raise MedbenchError(
            f"{root / EXPECTATIONS}: {few(sorted(about.items.keys() - {each.item for each in new}))} of "
            f"{ABOUT} not found; the copy was altered. Run the night again."
        )
    return Candidates(root / EXPECTATIONS, about, new)


def changes(
    items: Iterable[Expectation], known: Expectations, *, reason: str = "", date: str = ""
) -> list[Change]:
    """What accepting candidates would change now.

    Args:
      items: that were chosen.
      known: what is accepted.
      reason: why they are right.
      date: ISO 8601 day of accepting them.

    Returns:
      One change an item; one that was accepted anew since then is kept.
    """
    held = {(each.item, each.environment): each for each in known.accepted}
    return [_change(each, held.get((each.item, each.environment)), reason, date) for each in items]


def _proposed(changes: Iterable[Change]) -> dict[str, str]:
    return {
        change.item: change.after.environment
        for change in changes
        if change.after is not None and change.before != change.after
    }


def _change(candidate: Expectation, before: Expectation | None, reason: str, date: str) -> Change:
    if before is not None and before.accepted.date > candidate.accepted.date:
        since = f"accepted on {before.accepted.date}, after these candidates of {candidate.accepted.date}"
        return Change(candidate.item, before, before, since)
    if before is not None and replace(candidate, accepted=before.accepted) == before:
        return Change(candidate.item, before, before)
    accepted = replace(candidate.accepted, reason=reason, date=date)
    return Change(candidate.item, before, replace(candidate, accepted=accepted))


def take(candidates: Candidates, chosen: Sequence[Change], root: Path) -> Taken:
    """Accept what `changes` made of candidates, and the reference runs that the items are of.

    Args:
      candidates: as read.
      chosen: what is to change.
      root: the folder `expectations` of the suite.

    Raises:
      MedbenchError: what is accepted is damaged or cannot be written; so is a run.
    """
    tier = candidates.about.tier
    expect.put(chosen, expect.load(root, tier), root, tier)
    items = [change.after for change in chosen if change.after is not None and not change.why_kept]
    number, replaced = 0, list[RunSpec]()
    for folder in sorted((candidates.root / tier).glob("runs*")):
        into = References(root / tier / folder.name)
        for run in _runs_of(items, folder):
            spec = run.record.spec
            replaced += [spec] if into.get(spec) else []
            into.accept(run)
            number += 1
    return Taken(number, replaced)


def _runs_of(items: Sequence[Expectation], folder: Path) -> list[StoredRun]:
    """The proposed reference runs that items' values are of."""
    wanted = set[tuple[str, str, int]]().union(*map(runs_of, items))
    runs = (read_run(path, "loaded") for path in sorted(folder.glob("*/*")))
    return [run for run in runs if run is not None and named(run.record.spec) in wanted]


def _copy_values(accepted_in: Path, copy: Path, tier: str) -> None:
    """The files of values, the index and the calibration; not the runs, which are large and unchanged."""
    alone = [accepted_in / "numeric.yaml", accepted_in / tier / INDEX]
    for path in [*filter(Path.is_file, alone), *(accepted_in / tier).glob("*/*.yaml")]:
        target = copy / path.relative_to(accepted_in)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)


def _unwritable(folder: Path, error: OSError) -> MedbenchError:
    return MedbenchError(f"{folder}: candidates cannot be written ({error.strerror}). Name another folder.")
