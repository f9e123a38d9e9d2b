"""MedMNIST+: small images, ready to use in one file a set and size; the quickest real data there is.

Fetches the published files and opens them, or files of the user's own in the same format.
"""

import hashlib
import itertools
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType

import msgspec
import numpy as np
from numpy.typing import NDArray

from medbench.data.cohort import ID, TRAIN, VALIDATION, Examples
from medbench.data.download import CHUNK, digests, download
from medbench.data.findings import Findings, counted
from medbench.data.images import resize
from medbench.data.public.medmnist_published import CLUSTER, PREFIX, PUBLISHED, SIZES, Reference
from medbench.data.public.npz import Npz
from medbench.data.soundness import Part, require_all_classes
from medbench.errors import MedbenchError, NotPreparedError, nearest, printable
from medbench.spec.loader import shown
from medbench.spec.runs import Aspect

FINGERPRINT_SCHEME = 2

_SPLITS = {TRAIN: "train", VALIDATION: "val", ID: "test"}
"""The official splits, by medbench's names."""

_LARGEST, _MOST_IMAGES = 1024, 1_000_000
"""Pixels of an image's side and images of a split; no file is believed that claims more."""

_BLOCK = 256
"""Images read at a time."""

_OWN = (
    "{}: not a file that MedMNIST published, but one of your own making; results on it cannot be compared "
    "with published ones."
)
_NO_PATIENTS = (
    "{}: patients are not known; every image stands for one. Images of one patient may be in training and "
    "test, and intervals may come out too narrow."
)

Report = Callable[[int, int], None]
"""Told how many bytes are done, and how many there are; 0 where that is not known."""


def fetch(rest: str, folder: Path, *, source: Path | None = None, report: Report) -> Path:
    """Put a published file into a folder: downloaded, or copied from where the user has it.

    A file that is there already is verified, and nothing is fetched. A download goes on where an earlier one
    broke off.

    Args:
      rest: `<name>@<size>`, or `<name>` for 28 pixels.
      folder: where it is kept; made if need be.
      source: the file, or a folder with it; downloaded from Zenodo without.
      report: progress in bytes.

    Returns:
      The file's path.

    Raises:
      MedbenchError: unknown name, no connection, no such file, or not the published bytes; the message says
        what to do, and nothing half is left.
    """
    wanted = Reference.parse(rest)
    into = folder / wanted.file
    if source is not None and not into.exists():
        _copy(wanted, source.expanduser(), into, report)
    else:
        download(wanted.url, into, md5=wanted.md5, most_bytes=wanted.most_bytes, report=report)
    return into


def open_medmnist(rest: str, *, folder: Path, cache: Path | None = None) -> "MedMNIST":
    """Open a set that was fetched, or a file of the user's own in the same format; nothing is downloaded.

    Args:
      rest: `<name>@<size>`, or `<name>` for 28 pixels; or the path of a file whose name begins with that of a
        set, such as `./pneumoniamnist_subset.npz`.
      folder: where `fetch` puts files.
      cache: folder for digests, so that a second start need not read the whole file.

    Raises:
      NotPreparedError: the file is not in the folder; the message says how to come by it.
      MedbenchError: unknown name, or not the published file, or not in the format.
    """
    if os.sep in rest or rest.endswith(".npz"):
        path, wanted = Path(rest).expanduser(), None
        name = _set_of(path)
    else:
        wanted = Reference.parse(rest)
        path, name = _find(wanted, folder), wanted.name
    if not path.is_file():
        raise MedbenchError(
            f"{PREFIX}{printable(rest)}: there is no such file. Expected the path of an .npz."
        )
    sha256, md5 = _digests(path, cache)
    known = {reference.md5: reference for reference in (Reference(name, size) for size in SIZES)}.get(md5)
    if wanted is not None and known != wanted:
        raise MedbenchError(
            f"{shown(path)}: not the file that was published as {wanted}: its MD5 is {md5}, expected "
            f"{wanted.md5}. Take it away and fetch it anew (`medbench cohort prepare {wanted}`), or use it "
            f"as one of your own by its path: `{PREFIX}{shown(path)}`."
        )
    return MedMNIST(path, name, known, sha256)


class MedMNIST:
    """A file in MedMNIST's format as a cohort; see `medbench.data.cohort.Cohort` for the attributes.

    Labels are read when it is opened, images when they are asked for, a block at a time.

    Attributes:
      warnings: what a person should know, one sentence each.
      channels: 1 grey, 3 colour.
    """

    generated = False
    shifts: tuple[str, ...] = ()
    absent: Mapping[str, str] = MappingProxyType({})
    attributes: tuple[str, ...] = ()
    cluster = CLUSTER

    def __init__(self, path: Path, name: str, known: Reference | None, sha256: str):
        self._published = PUBLISHED[name]
        self._file = Npz(path)
        self.name = str(known) if known else f"{PREFIX}{path.name}"
        self.domain: str = self._published.domain
        self.target = self._published.target
        self.channels: int = self._published.channels
        self._size = self._image_size()
        self.image_area = self._size**2
        self._examples = {split: self._read_examples(split) for split in _SPLITS}
        self.fingerprint = self._fingerprint(sha256)
        self.warnings = (
            *((_OWN.format(printable(path.name)), *self._shared_images()) if known is None else ()),
            *self._published.warnings,
            _NO_PATIENTS.format(self.name),
            *self._rare_classes(),
        )

    def examples(self, split: str) -> Examples:
        """The rows of a split, in the order of the file.

        Raises:
          MedbenchError: there is no such split; the message offers the nearest.
        """
        if split not in self._examples:
            raise MedbenchError(f"{self.name} has no split `{split}`. {nearest(split, self._examples)}")
        return self._examples[split]

    def images(self, split: str, size: int) -> NDArray[np.uint8]:
        """The images of a split, squashed to (n, size, size, channels) uint8.

        Raises:
          MedbenchError: there is no such split, or the file is damaged.
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
        aspect: Aspect = "squashed",  # noqa: ARG002  (every image is square)
    ) -> None:
        """As `images`, into a given array, calling `done` with the number of images so far."""
        total, start = len(self.examples(split)), 0
        for block in self._file.blocks(f"{_SPLITS[split]}_images", _BLOCK):
            images = block.astype(np.uint8, copy=False).reshape(-1, self._size, self._size, self.channels)
            for i, image in enumerate(images, start):
                out[i] = resize(image, size)
            start = min(total, start + len(images))
            done(start)

    def _image_size(self) -> int:
        """Width and height of all images, in pixels.

        Raises:
          MedbenchError: images or labels do not have the form they should have.
        """
        classes = len(self._published.labels)
        sizes = set()
        for split in _SPLITS.values():
            shape, dtype = self._file.header(f"{split}_images")
            n, size = (*shape, 0, 0)[:2]
            if (
                dtype != np.uint8
                or shape != (n, size, size, 3)[: 3 if self.channels == 1 else 4]
                or not shape
            ):
                colours = "" if self.channels == 1 else ", 3"
                raise self._unlike(f"{split}_images", dtype, shape, f"uint8 of (n, size, size{colours})")
            if not (0 < n <= _MOST_IMAGES and 0 < size <= _LARGEST):
                limits = f"1 to {_MOST_IMAGES:,} images of at most {_LARGEST} pixels"
                raise self._unlike(f"{split}_images", dtype, shape, limits)
            shape, dtype = self._file.header(f"{split}_labels")
            fitting = [(n, classes)] if self.target.kind == "multi-label" else [(n, 1), (n,)]
            if dtype.kind not in "iu" or shape not in fitting:
                raise self._unlike(f"{split}_labels", dtype, shape, f"integers of {fitting[0]}")
            sizes.add(size)
        if len(sizes) > 1:
            told = ", ".join(map(str, sorted(sizes)))
            raise MedbenchError(
                f"{shown(self._file.path)}: images of {told} pixels; expected one size for all."
            )
        return sizes.pop()

    def _unlike(self, array: str, dtype: object, shape: object, expected: str) -> MedbenchError:
        return MedbenchError(
            f"{shown(self._file.path)}: array `{array}` is {dtype} of {shape}; expected {expected}, as in "
            f"{self._published.title.partition(':')[0]}."
        )

    def _read_examples(self, split: str) -> Examples:
        theirs, names = _SPLITS[split], self._published.labels
        values = self._file.read(f"{theirs}_labels").astype(np.int64)
        several = self.target.kind == "multi-label"
        largest = 1 if several else len(names) - 1
        wrong = np.flatnonzero(((values < 0) | (values > largest)).reshape(len(values), -1).any(axis=1))
        if len(wrong):
            raise MedbenchError(
                f"{shown(self._file.path)}: array `{theirs}_labels` has values that are no labels, the first "
                f"at position {wrong[0]}: {values[wrong[0]].tolist()}. Expected 0 to {largest}."
            )
        labels = values.astype(np.int8) if several else np.eye(len(names), dtype=np.int8)[values.reshape(-1)]
        columns = [names.index(name) for name in self.target.classes]
        images = np.array([f"{theirs}/{i}" for i in range(len(labels))], dtype=np.str_)
        return Examples(images, images, np.ascontiguousarray(labels[:, columns]), {})

    def _fingerprint(self, sha256: str) -> str:
        """SHA-256 over the file's bytes, and over what is made of them: sets, rows, labels and their names.

        What this module makes of a file is part of a run's identity by this alone.
        """
        digest = hashlib.sha256()

        def add(value: object) -> None:
            digest.update(msgspec.json.encode(value) + b"\n")

        add([FINGERPRINT_SCHEME, self.domain, self.target, self.cluster, sha256])
        for split, examples in self._examples.items():
            add([split, examples.image.tolist(), examples.labels.tolist()])
        return digest.hexdigest()

    def _shared_images(self) -> Iterator[str]:
        """Warnings of sets that have images in common, byte for byte."""
        digests = {split: list(map(_digest, self._every_image(split))) for split in _SPLITS}
        for one, other in itertools.combinations(_SPLITS, 2):
            of_one = set(digests[one])
            shared = sum(digest in of_one for digest in digests[other])
            if shared:
                yield (
                    f"{printable(self._file.path.name)}: {counted(shared, 'image')} of `{other}` "
                    f"{'is' if shared == 1 else 'are'} byte for byte in `{one}`, too: results on them are no "
                    "results on unseen images."
                )

    def _every_image(self, split: str) -> Iterator[NDArray[np.generic]]:
        return itertools.chain.from_iterable(self._file.blocks(f"{_SPLITS[split]}_images", _BLOCK))

    def _rare_classes(self) -> list[str]:
        """Warnings of sets in which a class is too rare.

        Raises:
          MedbenchError: a class is missing in a set.
        """
        findings, path = Findings(), self._file.path
        parts = {
            split: Part(examples, np.arange(len(examples)), [], path.parent, shown(path))
            for split, examples in self._examples.items()
        }
        require_all_classes(parts, self.target, findings)
        if findings.errors:
            raise MedbenchError(findings.errors[0])
        return findings.warnings


def _digest(image: NDArray[np.generic]) -> bytes:
    return hashlib.blake2b(image.tobytes(), digest_size=16).digest()


def _set_of(path: Path) -> str:
    """Which set a file of the user's own is one of, by the beginning of its name."""
    found = re.match(r"[a-z]+mnist", path.name.lower())
    if not found or found[0] not in PUBLISHED:
        names = ", ".join(f"`{name}`" for name in PUBLISHED)
        raise MedbenchError(
            f"{shown(path)}: the file's name does not say which set it is one of. Let it begin with one of "
            f"{names}, as in `pneumoniamnist_subset.npz`."
        )
    return found[0]


def _find(wanted: Reference, folder: Path) -> Path:
    path = folder / wanted.file
    if path.is_file():
        return path
    raise NotPreparedError(
        f"{wanted} is not here: {wanted.file} is not in {shown(folder)}. Fetch it with `medbench cohort "
        f"prepare {wanted}`, where you have it already with `--from FILE`; or download {wanted.url} "
        f"elsewhere (MD5 {wanted.md5}) and put it into {shown(folder)}. "
        f"Licence: {wanted.published.licence}."
    )


def _copy(wanted: Reference, source: Path, into: Path, report: Report) -> None:
    """Copy the user's file, verified on its way."""
    file = source / wanted.file if source.is_dir() else source
    partial = into.with_name(f"{into.name}.{os.getpid()}.partial")
    md5 = hashlib.md5(usedforsecurity=False)
    try:
        into.parent.mkdir(parents=True, exist_ok=True)
        with file.open("rb") as original, partial.open("wb") as copy:
            total = os.fstat(original.fileno()).st_size
            while chunk := original.read(CHUNK):
                md5.update(chunk)
                copy.write(chunk)
                report(copy.tell(), total)
            copy.flush()
            os.fsync(copy.fileno())
        if md5.hexdigest() != wanted.md5:
            raise MedbenchError(
                f"{shown(file)}: not the file that was published as {wanted}: its MD5 is {md5.hexdigest()}, "
                f"expected {wanted.md5}. Get it from {wanted.url}, or use this one as one of your own by its "
                f"path: `{PREFIX}{shown(file)}`."
            )
        partial.replace(into)
    except OSError as error:
        raise MedbenchError(
            f"{shown(file)}: cannot be copied to {shown(into.parent)} ({error.strerror or error}). "
            f"Expected {wanted.file}, or a folder with it."
        ) from error
    finally:
        partial.unlink(missing_ok=True)


class _Digests(msgspec.Struct, frozen=True, array_like=True):
    """SHA-256 and MD5 of a file, as long as its size and time of change are the same."""

    bytes: int
    mtime_ns: int
    sha256: str
    md5: str


def _digests(path: Path, cache: Path | None) -> tuple[str, str]:
    """SHA-256 and MD5 of a file, from the cache where it did not change."""
    status = path.stat()
    place = hashlib.sha256(str(path.absolute()).encode()).hexdigest()[:20]
    kept = cache / f"{place}-medmnist.json" if cache else None
    with suppress(OSError, msgspec.MsgspecError):
        if kept:
            known = msgspec.json.decode(kept.read_bytes(), type=_Digests)
            if (known.bytes, known.mtime_ns) == (status.st_size, status.st_mtime_ns):
                return known.sha256, known.md5
    found = _Digests(status.st_size, status.st_mtime_ns, *digests(path))
    with suppress(OSError):  # the next start only takes longer
        if kept:
            kept.parent.mkdir(parents=True, exist_ok=True)
            partial = kept.with_suffix(f".{os.getpid()}.partial")
            partial.write_bytes(msgspec.json.encode(found))
            partial.replace(kept)
    return found.sha256, found.md5
