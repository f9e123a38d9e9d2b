"""Accepted values and reference runs as a git revision has them; the working tree is not touched."""

import shutil
import subprocess
import tempfile
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from medbench import expect
from medbench.errors import MedbenchError, printable
from medbench.expect import INDEX, Expectations
from medbench.reference import References
from medbench.spec.runs import RunSpec
from medbench.store import RECORD, StoredRun

RUNS = "runs"
"""The folder of a tier in which reference runs lie."""

_LONGEST = 60
"""Seconds for one command of git."""
_FILE_MODES = ("100644", "100755")


def is_revision(name: str, folder: Path) -> bool:
    """Whether git knows a revision of that name in the repository of a folder."""
    return not name.startswith("-") and _resolved(name, _there(folder)) is not None


@dataclass(frozen=True)
class Revision:
    """A commit, and where in it a folder of accepted values is.

    Attributes:
      root: of the repository.
      commit: its hash.
      inside: the folder `expectations`, from the root on.
      name: as it was given.
      words: name, hash and day.
    """

    root: Path
    commit: str
    inside: PurePosixPath
    name: str
    words: str


def resolved(name: str, folder: Path) -> Revision:
    """The revision that a name stands for.

    Args:
      name: as git knows it: a branch, tag, hash, or `HEAD~3`.
      folder: `expectations` in the working tree, which need not exist there.

    Raises:
      MedbenchError: there is no git, no repository or no such revision.
    """
    here = _there(folder)
    top = _git(here, "rev-parse", "--show-toplevel")
    if top is None:
        raise MedbenchError(
            f"{folder}: not in a git repository (or git is not installed), so there is no revision `{name}`. "
            "Name a report, a store or a folder of expectations."
        )
    root = Path(top.decode().rstrip("\n"))
    commit = None if name.startswith("-") else _resolved(name, root)
    if commit is None:
        raise MedbenchError(f"git knows no revision `{printable(name)}` in {root}. {_advice(root)}")
    inside = PurePosixPath(folder.resolve().relative_to(root.resolve()))
    day = (_git(root, "show", "--no-patch", "--format=%cs", commit) or b"").decode().strip()
    words = f"expectations at {printable(name)} ({', '.join(filter(None, (commit[:12], day)))})"
    return Revision(root, commit, inside, name, words)


def expectations_at(at: Revision, tier: str) -> Expectations:
    """What a folder of accepted values held at a revision.

    Raises:
      MedbenchError: there is no such folder in it, or a file is not as it should be, and the message names
        revision and file.
    """
    with tempfile.TemporaryDirectory() as copied:
        names = _copy(at, at.inside, Path(copied), lambda name: _is_read(name, tier))
        if not any(name.parts[0] == tier for name in names):
            raise MedbenchError(
                f"{at.words}: there is nothing in {at.inside}/{tier}. --tier names another tier, --suite the "
                "folder that `expectations` lies beside."
            )
        try:
            return expect.load(Path(copied), tier)
        except MedbenchError as error:
            message = str(error).replace(f"{copied}/", f"{printable(at.name)}:{at.inside}/")
            raise MedbenchError(message) from error


class RunsAt:
    """The reference runs of a revision, each copied out of git's objects when it is asked for.

    Args:
      at: the revision.
      tier: whose runs.
    """

    def __init__(self, at: Revision, tier: str) -> None:
        self._at, self._tier = at, tier
        self._copied = Path(tempfile.mkdtemp(prefix="medbench-"))
        weakref.finalize(self, shutil.rmtree, self._copied, ignore_errors=True)
        self._references = References(self._copied)

    def get(self, spec: RunSpec) -> StoredRun | None:
        """The reference run of a spec, or None.

        Raises:
          MedbenchError: as `medbench.reference.References.get`.
        """
        path = self._references.path(spec)
        if not path.exists():
            own = PurePosixPath(self._tier, RUNS, *path.relative_to(self._copied).parts)
            _copy(self._at, self._at.inside / own, path, lambda _: True)
        return self._references.get(spec)

    def specs(self) -> list[RunSpec]:
        """What was run, as `medbench.reference.References.specs`.

        Raises:
          MedbenchError: as there.
        """
        with tempfile.TemporaryDirectory() as copied:
            inside = self._at.inside / self._tier / RUNS
            _copy(self._at, inside, Path(copied), lambda name: name.name == RECORD)
            return References(Path(copied)).specs()


def _copy(
    at: Revision, inside: PurePosixPath, into: Path, wanted: Callable[[PurePosixPath], bool]
) -> list[PurePosixPath]:
    """Copy what is wanted of a folder out of a commit; the names of the files, from the folder on."""
    listed = _git(at.root, "ls-tree", "-r", "-z", "--full-tree", at.commit, "--", f"{inside}/")
    found: dict[PurePosixPath, str] = {}
    for entry in filter(None, (listed or b"").split(b"\0")):
        facts, _, path = entry.partition(b"\t")
        mode, _, digest = facts.decode().split()
        name = PurePosixPath(path.decode(errors="surrogateescape")).relative_to(inside)
        if mode in _FILE_MODES and wanted(name):
            found[name] = digest
    for name, content in zip(found, _contents(at.root, list(found.values())), strict=True):
        target = into / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    return list(found)


def _is_read(name: PurePosixPath, tier: str) -> bool:
    """Whether a file holds accepted values of the tier, or the calibration; runs are left where they are."""
    of_tier = name.parts[0] == tier and (
        len(name.parts) == 3 or (len(name.parts) == 2 and name.name == INDEX)
    )
    return str(name) == "numeric.yaml" or of_tier


def _contents(root: Path, digests: list[str]) -> list[bytes]:
    """The content of objects, by one process of git."""
    output = _git(root, "cat-file", "--batch", given="".join(f"{digest}\n" for digest in digests).encode())
    contents, rest = [], output or b""
    for digest in digests:
        header, _, rest = rest.partition(b"\n")
        if not header.startswith(f"{digest} blob ".encode()):
            raise MedbenchError(
                f"{root}: git cannot read object {digest}. Is the clone whole? Try `git fsck`."
            )
        size = int(header.split()[2])
        contents.append(rest[:size])
        rest = rest[size + 1 :]
    return contents


def _resolved(name: str, folder: Path) -> str | None:
    """The commit that a name stands for."""
    found = _git(folder, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    return found.decode().strip() if found is not None else None


def _advice(root: Path) -> str:
    if (_git(root, "rev-parse", "--is-shallow-repository") or b"").strip() == b"true":
        return "The clone is shallow, so that older ones are missing: `git fetch --unshallow`, then again."
    return "`git branch --all` and `git tag` list names; `git fetch` brings those of others."


def _there(folder: Path) -> Path:
    """The folder, or the nearest above it that exists."""
    return next(path for path in (folder.absolute(), *folder.absolute().parents) if path.is_dir())


def _git(folder: Path, *arguments: str, given: bytes = b"") -> bytes | None:
    """What a command of git prints; None if it fails, hangs or is not there."""
    command = ("git", "-C", str(folder), *arguments)
    try:
        done = subprocess.run(  # noqa: S603
            command, input=given, capture_output=True, timeout=_LONGEST, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
