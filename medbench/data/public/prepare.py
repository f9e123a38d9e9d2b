"""Prepares a public cohort from the files that its publisher gives out: rows, splits, images, one data set.

All that is wrong is said at once, and what was prepared before stays until the new set is whole.
"""

import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import filelock
import msgspec
import numpy as np

from medbench import __version__
from medbench.data.cohort import TRAIN
from medbench.data.decoders import versions
from medbench.data.findings import Findings, counted
from medbench.data.public.parts import read_parts
from medbench.data.public.prepared import RECORD, ROWS, SCHEME, PreparedRecord, digest_of, stepped_aside
from medbench.data.public.source import UNCERTAIN, Source
from medbench.data.public.staging import (
    Staged,
    Staging,
    Task,
    Workers,
    find_staged,
    unwritable,
    workers,
)
from medbench.data.soundness import Part, require_distinct_images
from medbench.errors import MedbenchError, printable

ERRORS_SHOWN = 20
"""The rest are counted."""
SAMPLE = 64
"""Images that are staged first, spread over the cohort, to tell what room all of them need."""
_BLOCK = 4096
"""Bytes that a file system gives a file at least, so that many small images take more than their bytes."""

_OWNERS = 0o700
"""Of folders with patients' ids."""
_IGNORED = "/.incoming/\n/.staging/\n/.*.lock\n/*/rows.parquet\n/*/*.array_record-*\n"
"""Patients' ids and images stay out of git; whatever else lies beside prepared cohorts does not."""

Report = Callable[[str, int, int], None]
"""Told the stage, the images done so far, and how many there are."""


@dataclass(frozen=True)
class Prepared:
    """What came of preparing.

    Attributes:
      record: as written to `cohort.json`.
      folder: of the cohort.
      found: images that were staged by an earlier, interrupted start.
      seconds: that it took.
    """

    record: PreparedRecord
    folder: Path
    found: int
    seconds: float


def prepare(source: Source, folder: Path, into: Path, *, processes: int, report: Report) -> Prepared:
    """Prepare a cohort; interrupted, the same call goes on with the images that are missing.

    Args:
      source: the cohort.
      folder: with the publisher's files; only read.
      into: the folder of prepared cohorts; this one comes to lie in a folder of its name.
      processes: how many stage images at a time.
      report: progress.

    Raises:
      MedbenchError: files are missing, tables or images have errors (all of them are in the message), there
        is not enough space, another process prepares the same cohort, or `into` lies inside `folder`. Nothing
        of what was prepared before is changed then.
    """
    begun = time.monotonic()
    findings = Findings()
    if into.resolve().is_relative_to(folder.resolve()):
        raise MedbenchError(
            f"{into}: lies inside {folder}, the publisher's folder, which is only read. Name another folder "
            "by `--into`."
        )
    parts = read_parts(source, folder, findings)
    _refuse(source, folder, findings)
    with _only_one(source, into):
        staging = Staging(into / ".staging" / source.name, source.reading, versions())
        tasks = {name: _tasks(staging, name, part, findings) for name, part in parts.items()}
        _refuse(source, folder, findings)
        staged, found = _stage(source, parts, tasks, findings, into=into, processes=processes, report=report)
        _refuse(source, folder, findings)
        record = _record(source, parts, staged, findings)
        record = _write(source, parts, tasks, staged, record, into=into, report=report)
        shutil.rmtree(staging.folder, ignore_errors=True)
    return Prepared(record, into / source.name, found, time.monotonic() - begun)


def _refuse(source: Source, folder: Path, findings: Findings) -> None:
    """Say all that is wrong, if anything is."""
    errors = findings.errors
    if errors:
        more = len(errors) - ERRORS_SHOWN
        lines = [f"  - {printable(error)}" for error in errors[:ERRORS_SHOWN]]
        lines += [f"  - {counted(more, 'more error')}"] if more > 0 else []
        raise MedbenchError(
            f"{folder}: {source.title} cannot be prepared, {counted(len(errors), 'error')}:\n"
            + "\n".join(lines)
            + "\nWhat was prepared before is unchanged."
        )


def _tasks(staging: Staging, set_name: str, part: Part, findings: Findings) -> list[Task]:
    """Where the images are staged; a file that cannot be looked at is an error."""
    tasks = []
    for i, (image, path) in enumerate(zip(part.examples.image.tolist(), part.path, strict=True)):
        try:
            tasks.append(staging.task(image, path))
        except OSError as error:
            problem = MedbenchError(f"{path}: image cannot be read ({error.strerror}).")
            findings.error(part.complaint(set_name, i, problem, findings.show))
    return tasks


def _stage(
    source: Source,
    parts: Mapping[str, Part],
    tasks: Mapping[str, Sequence[Task]],
    findings: Findings,
    *,
    into: Path,
    processes: int,
    report: Report,
) -> tuple[dict[str, list[Staged]], int]:
    """Stage all images; what is known of them by set, and how many were there before."""
    everything = [task for of_set in tasks.values() for task in of_set]
    results: list[Staged | MedbenchError | None] = [*find_staged(everything)]
    waiting = [i for i, result in enumerate(results) if result is None]
    found = len(results) - len(waiting)
    sample = waiting[:: max(1, len(waiting) // SAMPLE)][:SAMPLE]
    rest = sorted(set(waiting) - set(sample))
    done = found

    def run(pool: Workers, some: list[int]) -> None:
        nonlocal done
        chosen = [everything[i] for i in some]
        told = pool.stage(chosen, lambda n, _: report("reading images", done + n, len(results)))
        for i, result in zip(some, told, strict=True):
            results[i] = result
        done += len(some)

    with workers(processes, source.reading) as pool:
        run(pool, sample)
        _require_space(results, len(rest), into)
        run(pool, rest)
    return _sound(parts, results, findings), found


def _require_space(results: Sequence[Staged | MedbenchError | None], to_stage: int, into: Path) -> None:
    """Refuse what would not fit, judged by the images that are staged."""
    lengths = [result.length for result in results if isinstance(result, Staged)]
    mean, total = sum(lengths) / max(1, len(lengths)), len(results)
    kept, needed = total * mean, total * mean + to_stage * (mean + _BLOCK)
    free = shutil.disk_usage(into).free
    if needed > free:
        raise MedbenchError(
            f"{into}: {counted(total, 'image')} need about {_gigabytes(needed)} there while they are "
            f"prepared and {_gigabytes(kept)} afterwards, and {_gigabytes(free)} are free. Free some space, "
            "or name another folder by `--into`. What is staged is kept."
        )


def _gigabytes(size: float) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e8 else f"{size / 1e6:.1f} MB"


def _sound(
    parts: Mapping[str, Part], results: Sequence[Staged | MedbenchError | None], findings: Findings
) -> dict[str, list[Staged]]:
    """What is known of the images by set, damaged ones and copies reported."""
    waiting = iter(results)
    staged: dict[str, list[Staged]] = {}
    for name, part in parts.items():
        staged[name] = []
        for i in range(len(part.path)):
            result = next(waiting)
            if isinstance(result, Staged):
                staged[name].append(result)
            elif result is not None:
                findings.error(part.complaint(name, i, result, findings.show))
    if not findings.errors:
        sha256 = {
            path: known.sha256
            for name, part in parts.items()
            for path, known in zip(part.path, staged[name], strict=True)
        }
        require_distinct_images(parts, sha256, findings)
    return staged


def _record(
    source: Source,
    parts: Mapping[str, Part],
    staged: Mapping[str, Sequence[Staged]],
    findings: Findings,
) -> PreparedRecord:
    """What `cohort.json` will say; files are not known yet."""
    labels = np.concatenate([part.examples.labels for part in parts.values()])
    uncertain = (labels == UNCERTAIN).sum(axis=0).tolist()
    return PreparedRecord(
        scheme=SCHEME,
        source=source.name,
        title=source.title,
        domain=source.domain,
        target=source.target,
        cluster=source.cluster,
        attributes=source.attributes,
        licence=source.licence,
        citation=source.citation,
        homepage=source.homepage,
        date=datetime.now(UTC).date().isoformat(),
        medbench=__version__,
        fingerprint=_fingerprint(source, parts, staged),
        images={name: len(part.examples) for name, part in parts.items()},
        patients={name: len(set(part.examples.patient.tolist())) for name, part in parts.items()},
        uncertain={c: n for c, n in zip(source.target.classes, uncertain, strict=True) if n},
        image_area=int(np.median([known.width * known.height for known in staged[TRAIN]])),
        channels=max(known.channels for of_set in staged.values() for known in of_set),
        warnings=tuple(findings.warnings),
        files={},
    )


def _fingerprint(source: Source, parts: Mapping[str, Part], staged: Mapping[str, Sequence[Staged]]) -> str:
    """SHA-256 over scheme, decoders, target, the rows as they are used and the bytes of their files."""
    digest = hashlib.sha256()

    def add(value: object) -> None:
        digest.update(msgspec.json.encode(value) + b"\n")

    add([SCHEME, versions(), source.reading, source.domain, source.target, source.cluster])
    for name, part in parts.items():
        examples = part.examples
        add([name, examples.image.tolist(), examples.patient.tolist(), examples.labels.tolist()])
        add({attribute: groups.tolist() for attribute, groups in examples.attributes.items()})
        add([known.sha256 for known in staged[name]])
    return digest.hexdigest()


def _write(
    source: Source,
    parts: Mapping[str, Part],
    tasks: Mapping[str, Sequence[Task]],
    staged: Mapping[str, Sequence[Staged]],
    record: PreparedRecord,
    *,
    into: Path,
    report: Report,
) -> PreparedRecord:
    """Write the data set aside, and put it in the place of an earlier one; the record with its files."""
    try:
        from medbench.data.public import builder  # noqa: PLC0415
    except ImportError as error:
        raise MedbenchError(
            "Public cohorts are written with tensorflow-datasets and array-record: pip install "
            "'medbench[public]'. What is staged is kept."
        ) from error
    total, written = sum(record.images.values()), 0

    def done() -> None:
        nonlocal written
        written += 1
        report("writing", written, total)

    incoming = into / ".incoming" / source.name
    try:
        incoming.mkdir(mode=_OWNERS, parents=True)
        packed = {
            name: builder.PackedSet(
                part.examples, [task.target for task in tasks[name]], [known.length for known in staged[name]]
            )
            for name, part in parts.items()
        }
        aside = builder.write(source, record.channels, packed, folder=incoming, done=done)
        _write_rows(aside / ROWS, parts, source)
        files = {path.name: digest_of(path) for path in sorted(aside.iterdir())}
        whole = msgspec.structs.replace(record, files=files)
        (aside / RECORD).write_bytes(msgspec.json.format(msgspec.json.encode(whole), indent=1) + b"\n")
        aside.chmod(_OWNERS)
        for path in (*aside.iterdir(), aside):
            _flush(path)
        _swap_in(aside, into / source.name)
        return whole
    except OSError as error:
        raise unwritable(into, error) from error
    finally:
        shutil.rmtree(incoming, ignore_errors=True)


def _write_rows(path: Path, parts: Mapping[str, Part], source: Source) -> None:
    """All rows in the order of the records, set after set."""
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    examples = [part.examples for part in parts.values()]
    labels = np.concatenate([e.labels for e in examples])
    columns = {
        "split": np.repeat(list(parts), [len(e) for e in examples]),
        "image": np.concatenate([e.image for e in examples]),
        "patient": np.concatenate([e.patient for e in examples]),
        **{f"label/{label}": labels[:, i] for i, label in enumerate(source.target.classes)},
    }
    for name in source.attributes:
        columns[f"attribute/{name}"] = np.concatenate([e.attributes[name] for e in examples])
    pq.write_table(pa.table({name: pa.array(values) for name, values in columns.items()}), path)


@contextmanager
def _only_one(source: Source, into: Path) -> Iterator[None]:
    """Hold the right to prepare a cohort, with what killed processes left put in order."""
    try:
        into.mkdir(parents=True, exist_ok=True)
        if not (into / ".gitignore").exists():
            (into / ".gitignore").write_text(_IGNORED, encoding="utf-8")
        lock = filelock.FileLock(into / f".{source.name}.lock", timeout=0)
        with lock:
            home, old = into / source.name, stepped_aside(into / source.name)
            if old.exists() and not home.exists():
                old.rename(home)
            for path in (old, into / ".incoming" / source.name):
                shutil.rmtree(path, ignore_errors=True)
            yield
    except filelock.Timeout as error:
        raise MedbenchError(f"{into}: another process prepares {source.name} there. Wait for it.") from error
    except OSError as error:
        raise unwritable(into, error) from error


def _swap_in(aside: Path, home: Path) -> None:
    """Rename `aside` to `home`; an earlier `home` steps aside for a moment (see `_only_one`)."""
    old = stepped_aside(home)
    if home.exists():
        home.rename(old)
    aside.rename(home)
    _flush(home.parent)
    shutil.rmtree(old, ignore_errors=True)


def _flush(path: Path) -> None:
    """Ask the system to put a file's or a folder's content on the disk now."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
