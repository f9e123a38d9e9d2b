"""`medbench weights`: which weight files there are, fetching released ones, and whether they are sound.

What a file should hold is told by the suite's backbones and by the catalogue of released nets.
"""

import argparse
import glob
import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from filelock import FileLock, Timeout

from medbench.errors import MedbenchError, nearest
from medbench.models import lock, weights
from medbench.models.catalogue import Released, released
from medbench.packaged import chosen
from medbench.spec.records import Suite
from medbench.spec.suite import load_suite

SPARE = 1.02
"""Space that must be free, of what the parameters take: headers and names are little."""
MOST = 2
"""Of the calculated size: a file that is larger is not the one that was asked for."""
_CHUNK = 1 << 24
_INCOMING = "incoming"
"""Folder for files that are not whole yet, beside those that are."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare `medbench weights` and its commands."""
    parser.description = "Look after files of pre-trained weights; docs/weights.md says more."
    commands = parser.add_subparsers(dest="weights_command", required=True, metavar="COMMAND")

    listing = commands.add_parser(
        "list", help="which files the backbones need, which are there, which are missing"
    )
    listing.set_defaults(act=_list)

    getting = commands.add_parser("get", help="fetch released files, or copy files from a folder")
    getting.add_argument("name", nargs="+", metavar="NAME", help="a file, or the backbone that needs it")
    getting.add_argument(
        "--from", dest="source", type=Path, metavar="DIR", help="copy from this folder or file: no network"
    )
    getting.add_argument(
        "--into",
        type=Path,
        metavar="DIR",
        help=f"where to put them (default: the first folder of ${weights.VARIABLE}, else {weights.OWN})",
    )
    getting.set_defaults(act=_get)

    checking = commands.add_parser(
        "check", help="hold files against their nets and against what was recorded"
    )
    checking.add_argument(
        "name",
        nargs="*",
        metavar="NAME",
        help="a file, also by its path, or a backbone (default: all that are there)",
    )
    checking.add_argument(
        "--full", action="store_true", help="load every value too, and see that all are finite numbers"
    )
    checking.set_defaults(act=_check)

    accepting = commands.add_parser("accept", help="record files as they are now: a change was meant")
    accepting.add_argument("name", nargs="+", metavar="NAME", help="a file, or the backbone that needs it")
    accepting.set_defaults(act=_accept)
    for command in (listing, getting, checking, accepting):
        command.add_argument(
            "--suite",
            type=Path,
            metavar="SUITE",
            help="folder of declarations (default: benchmarks; without such a folder medbench's own suite)",
        )


def run(args: argparse.Namespace) -> int:
    """Do what was asked for; 1 where a check found errors.

    Raises:
      MedbenchError: an unknown name, a declaration is wrong, or a file cannot be fetched.
    """
    status: int = args.act(_Shelf.of(load_suite(chosen(args.suite))), args)
    return status


@dataclass(frozen=True)
class _Net:
    """What a file should hold: a BiT of blocks and width, or what a module of another package loads.

    The number of classes of its own head is known of released files alone; 0 of others.
    """

    blocks: tuple[int, ...] = ()
    width: float = 0.0
    module: str = ""
    classes: int = 0


@dataclass(frozen=True)
class _Shelf:
    """All files that are known by name.

    Attributes:
      needed: by backbone, the file that it starts from.
      nets: by file, what it should hold.
      random: backbones that start from none.
      near: the folder of the suite, where files are looked for too.
    """

    needed: Mapping[str, str]
    nets: Mapping[str, _Net]
    random: Sequence[str]
    near: Path

    @classmethod
    def of(cls, suite: Suite) -> "_Shelf":
        needed, nets = {}, {}
        for name, file in released().items():
            nets[name] = _Net(file.blocks, file.width, classes=file.classes)
        for upstream, declared in suite.upstreams.items():
            for architecture, file_name in declared.weights.items():
                net = suite.architectures[architecture]
                needed[f"bit-{upstream}-{architecture}"] = file_name
                known = nets.get(file_name, _Net())
                nets[file_name] = _Net(tuple(net.blocks), net.width, net.module, known.classes)
        at_random = [name for name, upstream in suite.upstreams.items() if not upstream.weights]
        random = [f"bit-{upstream}-{net}" for upstream in at_random for net in suite.architectures]
        return cls(needed, nets, random, Path(suite.root))

    def file_of(self, name: str) -> str:
        """The file's name, of itself or of a backbone.

        Raises:
          MedbenchError: neither is known, or the backbone needs none.
        """
        if name in self.random:
            raise MedbenchError(f"`{name}` starts at random: it needs no file.")
        file = self.needed.get(name, name)
        if file not in self.nets:
            raise MedbenchError(
                f"`{name}` is no file and no backbone that is known here. {nearest(name, self.known)} "
                "`medbench weights list` lists them; a file of your own is named in backbones.yaml."
            )
        return file

    @property
    def known(self) -> list[str]:
        """Names of files and backbones."""
        return [*self.nets, *self.needed]

    def asked(self, name: str) -> tuple[Path, _Net]:
        """Where a file lies that is asked for, also by its path, and what it should hold.

        Raises:
          MedbenchError: it is not known, or missing.
        """
        if name in self.known or not Path(name).is_file():
            file = self.file_of(name)
            return weights.find(file, self.near), self.nets[file]
        path = Path(name)
        if path.name not in self.nets:
            raise MedbenchError(
                f"{path}: no backbone starts from a file of this name, so what it should hold is not known. "
                "Name it in backbones.yaml."
            )
        return path, self.nets[path.name]

    def searches(self, folder: Path) -> bool:
        """Whether files in the folder are found by their names."""
        return folder.resolve() in [searched.resolve() for searched in weights.folders(self.near)]

    def place(self, file: str) -> Path | None:
        """Where the file lies; None where it is missing."""
        places = [folder / file for folder in weights.folders(self.near)]
        return next((path for path in places if path.is_file()), None)


def _list(shelf: _Shelf, args: argparse.Namespace) -> int:  # noqa: ARG001  all commands take the same
    print("Looked for in " + ", ".join(map(str, weights.folders(shelf.near))) + ".\n")
    rows = [(backbone, file, *_state(shelf, file)) for backbone, file in shelf.needed.items()]
    _print_table(("backbone", "file", "MB", "state"), rows)
    others = [file for file in released() if file not in shelf.needed.values()]
    print("\nReleased, and needed by no backbone that is declared:")
    _print_table(("file", "MB", "state"), [(file, *_state(shelf, file)) for file in others])
    print(
        "\nSizes with ~ are calculated from the number of parameters. `medbench weights get NAME` fetches a "
        "released file."
    )
    return 0


def _state(shelf: _Shelf, file: str) -> tuple[str, str]:
    """The size in MB, and how the file stands."""
    path = shelf.place(file)
    if path is None:
        known = released().get(file)
        return (f"~{known.bytes / 1e6:,.0f}", "missing") if known else ("", "missing, and not released")
    size = f"{path.stat().st_size / 1e6:,.1f}"
    if weights.is_shipped(path):
        return size, "shipped"
    entry = lock.recorded(path)
    if entry is None:
        return size, f"in {path.parent}, never used"
    since = f"recorded {entry.recorded}"
    return size, f"in {path.parent}, {since if entry.unchanged(path) else f'changed since it was {since}'}"


def _get(shelf: _Shelf, args: argparse.Namespace) -> int:
    into = args.into or weights.usual_folder()
    files = [shelf.file_of(name) for name in args.name]
    if args.source is None:
        for file in filter(_is_shipped, files):
            print(f"{weights.SHIPPED / file}: travels with medbench, there is nothing to get.")
        files = [file for file in files if not _is_shipped(file)]
        if not files:
            return 0
    sources = {file: _source(file, args.source) for file in files}
    needed = sum(_size(source) for file, source in sources.items() if not (into / file).is_file())
    with _writing(into):
        into.mkdir(parents=True, exist_ok=True)
        if into == weights.OWN:
            _keep_out_of_git(into)
        free = shutil.disk_usage(into).free
    if free < SPARE * needed:
        raise MedbenchError(
            f"{into}: {needed / 1e6:,.0f} MB are to come and {free / 1e6:,.0f} MB are free. Free some space, "
            "or name another folder by --into."
        )
    for file, source in sources.items():
        _get_one(file, source, into, shelf.nets[file])
    if not shelf.searches(into):
        print(f"{into} is not among the folders that are searched: export {weights.VARIABLE}={into}")
    return 0


def _is_shipped(file: str) -> bool:
    return (weights.SHIPPED / file).is_file()


def _source(file: str, folder: Path | None) -> Released | Path:
    """The catalogue's entry, or the file to copy: it is given itself, or the folder it lies in."""
    if folder is not None:
        if folder.is_file():
            if folder.name != file:
                raise MedbenchError(
                    f"{folder}: asked for was `{file}`. If this is that file under another name, rename it."
                )
            return folder
        if not (folder / file).is_file():
            there = ", ".join(path.name for path in weights.there_in(folder)) or "none"
            raise MedbenchError(f"{folder}: has no file `{file}`. Weight files found there: {there}.")
        return folder / file
    if file not in released():
        raise MedbenchError(
            f"`{file}` was never released, so there is nowhere to fetch it from. Put it into a folder of "
            f"${weights.VARIABLE}, or copy it by --from DIR."
        )
    return released()[file]


def _size(source: Released | Path) -> int:
    return source.stat().st_size if isinstance(source, Path) else source.bytes


def _get_one(file: str, source: Released | Path, into: Path, net: _Net) -> None:
    """Fetch or copy a file that is missing; of several processes that ask for it, one does."""
    target = into / file
    if _is_there(target, source):
        return
    with _writing(into), _alone(into / _INCOMING, file):
        if _is_there(target, source):
            return
        sha256 = _bring(source, target, net)
    print(f"{target}: {target.stat().st_size / 1e6:,.1f} MB, sha256 {sha256}")


def _is_there(target: Path, source: Released | Path) -> bool:
    """Whether the file is there; one that is to be copied must then be the very same.

    Raises:
      MedbenchError: it is not what it was, or not what would be copied.
    """
    if not target.is_file():
        return False
    found = lock.digest(target)
    if isinstance(source, Path):
        try:
            found, given = weights.sha256(target), weights.sha256(source)
        except OSError as error:
            raise MedbenchError(f"{error.filename}: cannot be read ({error.strerror}).") from error
        if found != given:
            raise MedbenchError(
                f"{target}: there already, and not the file that --from gives: sha256 {found[:12]}…, "
                f"{target.stat().st_size:,} bytes; {source} has {given[:12]}…, {source.stat().st_size:,} "
                "bytes. Remove the one that is there to have it replaced."
            )
    print(f"{target}: there already, sha256 {found[:12]}…")
    return True


@contextmanager
def _alone(incoming: Path, file: str) -> Iterator[None]:
    """Hold the right to bring a file, and clear what a killed process copied of it."""
    incoming.mkdir(exist_ok=True)
    held = FileLock(incoming / f".{file}.lock")  # not the name that the download locks within it
    try:
        held.acquire(timeout=0)
    except Timeout:
        print(f"{file}: waiting for another process that gets it", flush=True)
        held.acquire()
    try:
        for left in incoming.glob(f"{glob.escape(file)}-*/"):
            shutil.rmtree(left, ignore_errors=True)
        yield
    finally:
        held.release()


def _bring(source: Released | Path, target: Path, net: _Net) -> str:
    """Take a file if it holds what it should and is what it was; returns its SHA-256.

    A copy is made in a folder of its own: what is put in place is what this process wrote, even on a file
    system that does not keep locks. A download has one name, to be resumed by.
    """
    incoming = target.parent / _INCOMING
    if not isinstance(source, Path):
        known = lock.recorded(target)
        fetched = incoming / target.name
        _download(source, fetched, sha256=known.sha256 if known else source.sha256)
        try:
            return _take(fetched, target, net)
        finally:
            fetched.unlink(missing_ok=True)
    with TemporaryDirectory(prefix=f"{target.name}-", dir=incoming) as own:
        copied = Path(own) / target.name
        _copy(source, copied)
        try:
            return _take(copied, target, net)
        except MedbenchError as error:
            raise MedbenchError(str(error).replace(str(copied), str(source))) from error


def _take(incoming: Path, target: Path, net: _Net) -> str:
    _hold_against(incoming, net, full=False)
    return lock.take(incoming, target)


def _download(source: Released, incoming: Path, *, sha256: str) -> None:
    from medbench.data.download import download  # noqa: PLC0415  only this command needs a network

    print(f"{source.file}: from {source.address} (licence {source.licence})")
    progress = _Progress(source.file)
    try:
        download(
            source.address,
            incoming,
            sha256=sha256,
            most_bytes=MOST * source.bytes,
            report=progress,
            otherwise=f"`medbench weights get {source.file} --from` the folder that it is in, by that name",
        )
    finally:
        progress.clear()


def _copy(source: Path, incoming: Path) -> None:
    progress = _Progress(source.name)
    total, done = source.stat().st_size, 0
    with incoming.open("wb") as writing:
        for piece in _pieces(source):
            done += writing.write(piece)
            progress(done, total)
        writing.flush()
        os.fsync(writing.fileno())
    progress.clear()


def _pieces(source: Path) -> Iterator[bytes]:
    try:
        with source.open("rb") as file:
            while piece := file.read(_CHUNK):
                yield piece
    except OSError as error:
        raise MedbenchError(
            f"{source}: cannot be read ({error.strerror or error}). Allow it to be read, or name another "
            "folder by --from."
        ) from error


def _check(shelf: _Shelf, args: argparse.Namespace) -> int:
    there = {path: net for file, net in shelf.nets.items() if (path := shelf.place(file)) is not None}
    problems = 0
    for path, net in dict(map(shelf.asked, args.name)).items() if args.name else there.items():
        try:
            _hold_against(path, net, full=args.full)
            print(f"{path}: {_how_far(net, full=args.full)}, sha256 {_as_before(shelf, path)}")
        except MedbenchError as error:
            problems += 1
            print(error, file=sys.stderr)
    return 1 if problems else 0


def _as_before(shelf: _Shelf, path: Path) -> str:
    """The SHA-256, and whether it is what was recorded; recorded is what will be used from where it lies."""
    if not shelf.searches(path.parent):
        return f"{weights.sha256(path)}, in no folder that is searched"
    before = lock.recorded(path)
    sha256 = lock.verify(path)
    if weights.is_shipped(path):
        return sha256
    same = f"as on {before.recorded}" if before and before.sha256 == sha256 else "not used before"
    return f"{sha256}, {same}"


def _how_far(net: _Net, *, full: bool) -> str:
    """What a check that found nothing wrong has shown."""
    if net.module:
        return "read by its module alone, when a run starts"
    return "sound" if full else "names and shapes are right; values not read (--full)"


def _accept(shelf: _Shelf, args: argparse.Namespace) -> int:
    for name in args.name:
        file = shelf.file_of(name)
        path = weights.find(file, shelf.near)
        _hold_against(path, shelf.nets[file], full=True)
        print(f"{path}: recorded, sha256 {lock.accept(path)}")
    return 0


def _hold_against(path: Path, net: _Net, *, full: bool) -> None:
    """Raises MedbenchError if the file does not hold what it should; values are read if `full`."""
    from medbench.models import files  # noqa: PLC0415  imports jax

    if net.module:  # only the module can read it, and for images of a given size
        return
    classes = files.check(path, blocks=net.blocks, width=net.width)
    if net.classes and classes != net.classes:
        raise MedbenchError(
            f"{path.name}: its head is for {classes:,} classes, expected {net.classes:,}, as the released "
            "file of this name has. Is this another net of the same shape? Put it under its own name."
        )
    if full:
        files.load(path, blocks=net.blocks, width=net.width)


def _keep_out_of_git(folder: Path) -> None:
    """Gigabytes must not be committed by accident."""
    ignored = folder / ".gitignore"
    if not ignored.exists():
        ignored.write_text("*\n", encoding="utf-8")


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise MedbenchError(
            f"{folder}: cannot be written ({error.strerror or error}). Free some space, or name another "
            "folder by --into."
        ) from error


def _print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    for row in (header, *rows):
        cells = [
            cell.rjust(width) if title == "MB" else cell.ljust(width)
            for title, cell, width in zip(header, row, widths, strict=True)
        ]
        print("  ".join(cells).rstrip())


class _Progress:
    """One line on a terminal that says how much of a file is there; nothing where there is none."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._shown = sys.stderr.isatty()

    def __call__(self, done: int, total: int) -> None:
        if self._shown:
            of = f" of {total / 1e6:,.0f}" if total else ""
            print(f"\r{self._file}: {done / 1e6:,.0f}{of} MB", end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Take the line away."""
        if self._shown:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
