"""The history: what every session judged, one small file a session, for those who look back over nights.

`<folder>/<tier>/<year-month>/<time>-<night|accepted>-<hash>.jsonl`: a line for the session and one for each
item. No file is ever changed or written by two, so that branches of git merge and folders can be copied
together; the hash in the name is that of the content, so that a torn file is known and one that came twice is
one. Patients, images and their ids never enter.
"""

import hashlib
import math
import re
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec
import numpy as np

from medbench import __version__
from medbench.errors import MedbenchError, printable
from medbench.expect import Expectations, held_to
from medbench.judgement import Judgement, State, Status, Verdict
from medbench.report.record import ItemResult, Session
from medbench.writing import PARTIAL, write_aside

SCHEMA_VERSION = 1
"""Of the files; raised when an older medbench would read a newer file wrongly."""
DIGITS = 5
"""Decimals of a value: a tenth of the least tolerance."""
_NAME = re.compile(r"\d{8}T\d{6}(\.\d+)?Z-(night|accepted)-(?P<hash>[0-9a-f]{16})\.jsonl")
_ABANDONED = 24 * 3600.0
"""Seconds after which a partial file is nobody's any more."""


class Night(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The first line of a file: the session."""

    schema_version: int
    created: str
    """UTC, ISO 8601, to the microsecond: sessions of one second have an order, too."""
    tier: str
    medbench: str
    """Version."""
    commit: str
    device_class: str
    python: str
    libraries: dict[str, str]
    generated: bool = False
    """True where any number comes from generated images (phantoms)."""
    backbones: str = ""
    """Given in place of the claims' own: such nights are not compared with others."""
    trainer: str = ""
    """Who trained in place of medbench: such nights are not compared with others."""
    accepted: str = ""
    """Why items were accepted in this session; empty where none was."""


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A further line: one judged item. Values have five decimals."""

    id: str
    state: State = "judged"
    verdict: Verdict | None = None
    effect: tuple[float, float, float] | None = None
    """Its value and the two limits."""
    metric: str
    """Name and version, such as `roc_auc@1`."""
    of: str
    """Stands for the definition and the cohort's images: only values that have it in common compare."""
    devices: list[str] = []
    """Device classes of the runs, where it is not the session's alone."""
    means: dict[str, float] = {}
    """The metric by term (an arm), over all seeds, measured or loaded."""
    seeds: int = 0
    """An arm, measured or loaded."""
    values: dict[str, dict[int, float]] = {}
    """The metric by term and seed, of those that were trained and not loaded."""
    accepted: bool = False
    """Whether these values were accepted in this session."""
    status: Status | None = None
    """Against what was accepted before."""
    bands: dict[str, tuple[float, float]] = {}
    """By term: the accepted mean of the measured seeds, and how far from it their mean may lie."""
    tolerance: float = 0.001
    """How far machines move the same seed."""
    red: bool = False


class Recorded(NamedTuple):
    """What one file holds."""

    night: Night
    entries: list[Entry]


class History(NamedTuple):
    """All files of a tier that could be read."""

    nights: list[Recorded]
    """By time."""
    warnings: list[str]
    """One for each file that could not."""

    def with_night(self, night: Recorded) -> "History":
        """The same with a night that is not written yet."""
        return self._replace(nights=[*self.nights, night])


def night_of(where: Session, *, created: str, tier: str, generated: bool, **given: str) -> Night:
    """The line of a session.

    Args:
      where: its machine, libraries and commit.
      created: UTC, ISO 8601, to the microsecond.
      tier: name of the tier.
      generated: whether any image is.
      **given: `backbones`, `trainer` and `accepted`, as `Night` has them.
    """
    return Night(
        schema_version=SCHEMA_VERSION,
        created=created,
        tier=tier,
        medbench=__version__,
        commit=where.commit,
        device_class=where.device_class,
        python=where.python,
        libraries=where.libraries,
        generated=generated,
        **given,
    )


def entry_of(
    result: ItemResult, expectations: Expectations, *, device_class: str, accepted: bool = False
) -> Entry | None:
    """The line of an item; None for one that was not judged.

    Args:
      result: of the item.
      expectations: that it was compared with.
      device_class: of the session.
      accepted: whether its values were accepted in the session.
    """
    judgement = result.judgement
    if judgement is None or judgement.state == "not-run":
        return None
    environments = judgement.environments
    return Entry(
        id=judgement.id,
        state=judgement.state,
        verdict=judgement.verdict,
        effect=_effect(judgement),
        metric=judgement.metric,
        of=_hash(msgspec.json.encode([judgement.definition, judgement.cohort_fingerprint]))[:8],
        devices=[] if environments == [device_class] else environments,
        means={term: _rounded(float(np.mean(list(of.values())))) for term, of in judgement.samples.items()},
        seeds=max(map(len, judgement.samples.values()), default=0),
        values=_measured(judgement),
        accepted=accepted,
        status=result.check.status if result.check else None,
        bands={
            term: (_rounded(mean), _rounded(half))
            for term, (mean, half) in held_to(judgement, expectations).items()
        },
        tolerance=_rounded(expectations.tolerance(judgement.metric, _main(environments, device_class))),
        red=result.red,
    )


def write(folder: Path, night: Night, entries: Sequence[Entry]) -> Path | None:
    """Write the file of a session, whole or not at all; returns where, or None if nothing was judged.

    Raises:
      MedbenchError: the folder cannot be written.
    """
    if not entries:
        return None
    content = b"".join(msgspec.json.encode(line) + b"\n" for line in (night, *entries))
    month = folder / night.tier / night.created[:7]
    path = month / _name(night, entries, content)
    try:
        month.mkdir(parents=True, exist_ok=True)
        write_aside(path, content)
        _clean(folder / night.tier)
    except OSError as error:
        raise MedbenchError(
            f"{month}: the history cannot be written ({error.strerror}). Make room, or name another folder "
            "with --history."
        ) from error
    return path


def read(folder: Path, tier: str) -> History:
    """All nights of a tier; none where there is no folder. A file that is damaged is named and left out."""
    nights, warnings = dict[str, Recorded](), list[str]()
    for path in sorted((folder / tier).glob("*/*.jsonl")):
        if path.name.startswith("."):
            continue
        try:
            nights[path.name] = _recorded(path)  # one that came twice has the same name
        except (MedbenchError, OSError) as error:
            warnings.append(printable(str(error)))
    return History(sorted(nights.values(), key=lambda each: each.night.created), warnings)


def _recorded(path: Path) -> Recorded:
    """What a file holds.

    Raises:
      MedbenchError: it is damaged, no file of a history, or a newer medbench's.
      OSError: it cannot be read.
    """
    name = _NAME.fullmatch(path.name)
    if name is None:
        raise MedbenchError(f"{path}: not named as files of a history are; left out. Move it elsewhere.")
    if not path.is_file():  # a pipe or a device would never end
        raise MedbenchError(f"{path}: expected a file of a history; left out. Remove it.")
    content = path.read_bytes().replace(b"\r\n", b"\n")  # as git may check it out elsewhere
    if _hash(content) != name["hash"]:
        raise MedbenchError(
            f"{path}: damaged: its content does not have the hash in its name; left out. Restore it from git "
            "or from where it was copied from, or delete it."
        )
    first, _, rest = content.partition(b"\n")
    try:
        version = msgspec.json.decode(first, type=_Version).schema_version
        if version > SCHEMA_VERSION:
            raise MedbenchError(f"{path}: of a newer medbench (schema {version}); left out. Update medbench.")
        return Recorded(msgspec.json.decode(first, type=Night), _ENTRIES.decode_lines(rest))
    except msgspec.MsgspecError as error:
        raise MedbenchError(f"{path}: not a history's file: {error}; left out.") from error


_ENTRIES = msgspec.json.Decoder(Entry)
"""One for all lines: half the time of reading hundreds of nights."""


class _Version(msgspec.Struct):
    """What is read of a file before the rest."""

    schema_version: int


def _name(night: Night, entries: Iterable[Entry], content: bytes) -> str:
    stamp = re.sub(r"[-:]|\+.*", "", night.created)
    kind: Literal["accepted", "night"] = "accepted" if any(each.accepted for each in entries) else "night"
    return f"{stamp}Z-{kind}-{_hash(content)}.jsonl"


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def _clean(folder: Path) -> None:
    """Remove what writers left that were killed."""
    for partial in folder.glob(f"*/.*{PARTIAL}"):
        with suppress(OSError):  # its writer has just finished, or it is another person's
            if time.time() - partial.stat().st_mtime > _ABANDONED:
                partial.unlink()


def _effect(judgement: Judgement) -> tuple[float, float, float] | None:
    effect = judgement.effect
    if effect is None or not all(map(math.isfinite, (effect.value, effect.low, effect.high))):
        return None
    return _rounded(effect.value), _rounded(effect.low), _rounded(effect.high)


def _measured(judgement: Judgement) -> dict[str, dict[int, float]]:
    by_term = {
        term: {seed: _rounded(of[seed]) for seed in sorted(judgement.trained.get(term, [])) if seed in of}
        for term, of in judgement.samples.items()
    }
    return {term: of for term, of in by_term.items() if of}


def _main(environments: Sequence[str], device_class: str) -> str:
    return device_class if device_class in environments or not environments else environments[0]


def _rounded(value: float) -> float:
    return round(value, DIGITS)
