"""Public cohorts as `medbench cohort prepare` leaves them: opens one, and decodes its images.

Nothing here knows how a source lays its files out; its module is asked by name for what it declares.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from medbench.data.cohort import ID, TRAIN, VALIDATION, Examples
from medbench.data.decoded import in_threads
from medbench.data.images import decode, resize
from medbench.data.public.source import UNCERTAIN, UNKNOWN, Policy, Source
from medbench.errors import MedbenchError, NotPreparedError, nearest, printable
from medbench.spec.runs import Aspect, Target

SCHEME = 1
"""How images are read and kept, in every fingerprint: raise it when the pixels of the same files change.

A test pins the code that decides this."""

RECORD, ROWS = "cohort.json", "rows.parquet"

_DECIDED: Mapping[Policy, int] = {"ignore": UNKNOWN, "zeros": 0, "ones": 1}


class FileDigest(msgspec.Struct, frozen=True):
    """What a file should be."""

    bytes: int
    sha256: str


class PreparedRecord(msgspec.Struct, frozen=True, kw_only=True):
    """`cohort.json`: what a prepared cohort is and where it came from."""

    scheme: int
    source: str
    """As in `public:<source>`."""
    title: str
    domain: str
    target: Target
    cluster: str
    attributes: tuple[str, ...]
    licence: str
    citation: str
    homepage: str
    date: str
    """UTC, ISO 8601."""
    medbench: str
    """Version that prepared it."""
    fingerprint: str
    """SHA-256 over the scheme, the target, the rows as they are used, and the bytes of the source's files."""
    images: dict[str, int]
    """By set, in the order `train`, `validation`, `id`, the source's own shifts."""
    patients: dict[str, int]
    uncertain: dict[str, int]
    """By class, images that say so; empty where none does."""
    image_area: int
    """Median width x height of the training images as they came, in pixels."""
    channels: int
    """1 where every image is grey, else 3."""
    warnings: tuple[str, ...]
    """What was found when it was prepared."""
    files: dict[str, FileDigest]
    """All others that lie beside this one, by name."""

    @property
    def bytes(self) -> int:
        """Size on disk."""
        return sum(file.bytes for file in self.files.values())


@dataclass(frozen=True)
class PreparedSet:
    """A set of images on disk.

    Attributes:
      folder: of the prepared cohort.
      split: the set's name there.
      examples: its rows, in the order of the records.
      prefix: of the rows' names where the set is another cohort's shift; the records' names lack it.
    """

    folder: Path
    split: str
    examples: Examples
    prefix: str = ""

    @cached_property
    def _records(self) -> Any:
        try:
            import tensorflow_datasets as tfds  # noqa: PLC0415
        except ImportError as error:
            raise MedbenchError(
                "Public cohorts are read with tensorflow-datasets and array-record: "
                "pip install 'medbench[public]'."
            ) from error
        builder = tfds.builder_from_directory(self.folder)
        return builder.as_data_source(split=self.split, decoders={"image": tfds.decode.SkipDecoding()})

    def image(self, i: int) -> NDArray[np.uint8]:
        """The i-th image, decoded: (h, w, 1 or 3) uint8; its shorter side has 512 pixels at most.

        Raises:
          MedbenchError: it cannot be read, or is not the image that the row names.
        """
        place = self.folder / f"{self.split}[{i}]"
        try:
            record = self._records[i]
        except (OSError, ValueError, RuntimeError, IndexError) as error:
            raise MedbenchError(f"{place}: the record cannot be read ({error}). Prepare it again.") from error
        # Records are opened when they are asked for, and may be others than those that the rows came with.
        if record["name"].decode() != str(self.examples.image[i]).removeprefix(self.prefix):
            raise MedbenchError(
                f"{place}: the record is of another image than the row: the cohort was prepared again "
                "meanwhile: start again."
            )
        return decode(record["image"], place)


@dataclass(eq=False)
class PreparedCohort:
    """A public cohort; see `medbench.data.cohort.Cohort` for the attributes.

    Attributes:
      warnings: what a person should know about the cohort, one sentence each.
      channels: 1 where every image is grey, else 3; the same for all sets.
      records: of this cohort, and of those whose `id` is a shift here.
    """

    name: str
    domain: str
    target: Target
    fingerprint: str
    shifts: tuple[str, ...]
    attributes: tuple[str, ...]
    cluster: str
    image_area: int
    channels: int
    warnings: tuple[str, ...]
    sets: Mapping[str, PreparedSet]
    records: Mapping[Path, PreparedRecord]
    absent: Mapping[str, str]
    generated: bool = False

    def examples(self, split: str) -> Examples:
        """The rows of a split.

        Raises:
          MedbenchError: there is no such split; the message offers the nearest.
        """
        return self.set(split).examples

    def images(self, split: str, size: int) -> NDArray[np.uint8]:
        """The images of a split, decoded and squashed to (n, size, size, channels) uint8.

        Raises:
          MedbenchError: there is no such split, or an image cannot be read.
        """
        out = np.empty((len(self.examples(split)), size, size, self.channels), dtype=np.uint8)
        self.decode_into(out, split, size, lambda _: None)
        return out

    def decode_into(
        self,
        out: NDArray[np.uint8],
        split: str,
        size: int,
        done: Callable[[int], None],
        aspect: Aspect = "squashed",
    ) -> None:
        """As `images`, into a given array, calling `done` with the number of images so far.

        Raises:
          MedbenchError: as `images`, or the cohort was prepared again since it was opened; what is in the
            array is of no use then.
        """
        images = self.set(split)

        def decode_one(i: int) -> None:
            out[i] = resize(images.image(i), size, aspect)  # a grey image fills all three channels

        self.require_unchanged()
        try:
            in_threads(len(images.examples), decode_one, done)
        except MedbenchError:
            self.require_unchanged()  # explains what went wrong, if it was that
            raise
        self.require_unchanged()

    def require_unchanged(self) -> None:
        """Make sure that what is on disk is what was opened.

        Raises:
          MedbenchError: this cohort, or one that a shift comes from, was prepared again or removed since.
        """
        for home, record in self.records.items():
            try:
                now = _recorded(home).fingerprint
            except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
                now = ""
            if now != record.fingerprint:
                raise MedbenchError(f"{home}: was prepared again meanwhile: start again.")

    def set(self, split: str) -> PreparedSet:
        """A split's images and rows.

        Raises:
          MedbenchError: there is no such split; the message offers the nearest.
        """
        if split not in self.sets:
            raise MedbenchError(f"{self.name} has no split `{split}`. {nearest(split, self.sets)}")
        return self.sets[split]


def open_prepared(reference: str, folder: Path) -> PreparedCohort:
    """Open a public cohort that was prepared; no image is read.

    Its shifts are its own, and the `id` sets of the sources that its source names, where they are prepared
    beside it and predict the same; their patients are other people.

    Args:
      reference: `<name>` or `<name>@<policy>`, the policy for uncertain labels.
      folder: where cohorts are prepared.

    Raises:
      NotPreparedError: it is not there; the message says how to come by it.
      MedbenchError: there is no such source or policy, or what was prepared is damaged.
    """
    name, at, wanted = reference.partition("@")
    source = _source(name)
    if at and not wanted:
        hint = nearest(wanted, source.policies) or "Leave the `@` out: its labels are never uncertain."
        raise MedbenchError(f"public:{reference}: no policy after `@`. {hint}")
    policy = _policy(source, wanted)
    home, place = read_record(source, folder), _place(source, folder)
    sets = {name: _decided(part, policy) for name, part in _sets(place, home).items()}
    records, policies, warnings = {place: home}, [policy], [*source.warnings, *home.warnings]
    absent = {
        name: f"{source.title}: no image of `{name}` is in what was prepared. {source.obtain}"
        for name in source.own_shifts
        if name not in sets
    }
    for other in map(_source, source.shifts_from):
        try:
            record, place = read_record(other, folder), _place(other, folder)
        except NotPreparedError as error:
            absent[other.name] = str(error)
            continue
        if record.target != home.target:
            raise MedbenchError(
                f"{place}: predicts {', '.join(record.target.classes)}; expected "
                f"{', '.join(home.target.classes)} as {source.name}. Prepare both again."
            )
        records[place] = record
        warnings += [f"{other.name}: {warning}" for warning in (*other.warnings, *record.warnings)]
        policies.append(policy if policy in other.policies else _policy(other, ""))
        borrowed = _sets(place, record)[ID]
        sets[other.name] = _qualified(_decided(borrowed, policies[-1]), other.name)
    attributes = tuple(dict.fromkeys(name for part in sets.values() for name in part.examples.attributes))
    others = [f"{r.source}: {r.cluster}" for r in records.values() if r.cluster != home.cluster]
    cohort = PreparedCohort(
        name=f"public:{source.name}" + (f"@{policy}" if policy != _policy(source, "") else ""),
        domain=home.domain,
        target=home.target,
        fingerprint=_fingerprint(records.values(), policies),
        shifts=tuple(name for name in sets if name not in (TRAIN, VALIDATION, ID)),
        attributes=attributes,
        cluster=home.cluster + (f" ({', '.join(others)})" if others else ""),
        image_area=home.image_area,
        channels=max(record.channels for record in records.values()),
        warnings=tuple(warnings),
        sets={
            name: replace(part, examples=part.examples.with_attributes(attributes))
            for name, part in sets.items()
        },
        records=records,
        absent=absent,
    )
    cohort.require_unchanged()  # rows are read after the records
    return cohort


def read_record(source: Source, folder: Path) -> PreparedRecord:
    """What `cohort.json` says of a prepared source.

    Raises:
      NotPreparedError: it is not there, or was prepared in another way than this version does.
      MedbenchError: it is damaged, a file beside it is missing or cut off, or the rows were altered.
    """
    home = _place(source, folder)
    again = f"Prepare it again: medbench cohort prepare {source.name} --from DIR."
    try:
        record = _recorded(home)
    except FileNotFoundError as error:
        raise NotPreparedError(
            f"public:{source.name}: not prepared below {folder}. {how_to(source)}"
        ) from error
    except NotADirectoryError as error:
        raise MedbenchError(
            f"{home if folder.is_dir() else folder}: no folder. Expected prepared cohorts there: name their "
            "folder by $MEDBENCH_COHORTS or `--store`."
        ) from error
    except PermissionError as error:
        raise NotPreparedError(
            f"{home}: somebody else's, and not to be read by you. Ask its owner, or prepare your own in "
            "another $MEDBENCH_COHORTS."
        ) from error
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise MedbenchError(f"{home / RECORD}: damaged ({error}). {again}") from error
    if record.scheme != SCHEME:
        raise NotPreparedError(
            f"{home}: prepared in another way (scheme {record.scheme}; this version's is {SCHEME}). {again}"
        )
    if record.source != source.name:
        raise MedbenchError(
            f"{home}: holds `{printable(record.source)}`; expected `{source.name}`. If it was moved by "
            f"mistake, rename it `{printable(record.source)}`; else {again[0].lower()}{again[1:]}"
        )
    for name, expected in record.files.items():
        file = home / name
        if not file.is_file() or file.stat().st_size != expected.bytes:
            raise MedbenchError(f"{file}: missing or cut off; expected {expected.bytes:,} bytes. {again}")
    # Rows are few bytes and decide everything; `medbench cohort check` digests the images too.
    if ROWS not in record.files or digest_of(home / ROWS) != record.files[ROWS]:
        raise MedbenchError(f"{home / ROWS}: altered since it was prepared. {again}")
    return record


def stepped_aside(home: Path) -> Path:
    """What a prepared cohort's folder is called while a new one takes its place."""
    return home.with_name(f".{home.name}.old")


def digest_of(path: Path) -> FileDigest:
    """What a file is now."""
    with path.open("rb") as file:
        return FileDigest(path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest())


def how_to(source: Source) -> str:
    """How to come by a source's files and what to do with them, in three sentences."""
    return (
        f"{source.title}: {source.obtain.rstrip('.')}. Licence: {source.licence.rstrip('.')}. "
        f"Then: medbench cohort prepare {source.name} --from DIR"
    )


def _source(name: str) -> Source:
    # By name, so that no source's module shapes the identity of runs: what it read is in the fingerprint.
    source: Source = import_module("medbench.data.public.catalogue").source_named(name)
    return source


def _place(source: Source, folder: Path) -> Path:
    """Where a cohort is: aside, if preparing it again was killed before the new one had taken its place."""
    home = folder / source.name
    return stepped_aside(home) if stepped_aside(home).exists() and not home.exists() else home


def _recorded(home: Path) -> PreparedRecord:
    return msgspec.json.decode((home / RECORD).read_bytes(), type=PreparedRecord)


def _policy(source: Source, wanted: str) -> Policy | None:
    """The policy of that name, or else the usual one; None where labels are never uncertain."""
    if not wanted:
        return source.policies[0] if source.policies else None
    for policy in source.policies:
        if policy == wanted:
            return policy
    hint = nearest(wanted, source.policies) or "Its labels are never uncertain: leave the policy out."
    raise MedbenchError(f"public:{source.name}@{wanted}: no such policy. {hint}")


def _sets(home: Path, record: PreparedRecord) -> dict[str, PreparedSet]:
    """All sets, labels as the source has them."""
    import pyarrow.parquet as pq  # noqa: PLC0415  (a third of a second, for public cohorts only)

    table = pq.read_table(home / ROWS)
    columns = {name: np.array(table[name].to_pylist()) for name in table.column_names}
    whole = Examples(
        image=columns["image"],
        patient=columns["patient"],
        labels=np.stack([columns[f"label/{label}"] for label in record.target.classes], 1).astype(np.int8),
        attributes={name: columns[f"attribute/{name}"] for name in record.attributes},
    )
    return {
        name: PreparedSet(home, name, whole.take(np.flatnonzero(columns["split"] == name)))
        for name in record.images
    }


def _decided(part: PreparedSet, policy: Policy | None) -> PreparedSet:
    """With uncertain labels decided."""
    labels = part.examples.labels
    decided = np.where(labels == UNCERTAIN, UNKNOWN if policy is None else _DECIDED[policy], labels)
    return replace(part, examples=replace(part.examples, labels=decided.astype(np.int8)))


def _qualified(part: PreparedSet, name: str) -> PreparedSet:
    """As a shift of another cohort: names are qualified, since numberings may coincide."""
    examples = part.examples
    prefix = f"{name}/"
    return replace(
        part,
        prefix=prefix,
        examples=replace(
            examples,
            image=np.char.add(prefix, examples.image),
            patient=np.char.add(prefix, examples.patient),
        ),
    )


def _fingerprint(records: Iterable[PreparedRecord], policies: Iterable[Policy | None]) -> str:
    content = [(r.source, r.fingerprint, policy) for r, policy in zip(records, policies, strict=True)]
    return hashlib.sha256(msgspec.json.encode(content)).hexdigest()
