"""Opens a cohort by its reference: generated phantoms, a public cohort, or a folder of the user's own images.

The only place that knows which sources there are.
"""

import os
from importlib import import_module
from pathlib import Path

from medbench.data.absent import AbsentCohort
from medbench.data.cohort import Cohort
from medbench.data.digests import Report, quiet
from medbench.errors import MedbenchError, nearest, printable

PHANTOMS, PUBLIC, MEDMNIST = "phantoms:", "public:", "medmnist:"


def names_source(reference: str) -> bool:
    """Whether a reference names a source of cohorts, and not a folder or file."""
    return reference.startswith((PHANTOMS, PUBLIC, MEDMNIST))


def open_cohort(
    reference: str, *, cache: Path | None = None, prepared: Path | None = None, report: Report = quiet
) -> Cohort:
    """Open a cohort.

    Args:
      reference: `phantoms:<domain>`; `public:<name>`, with `@<policy>` for uncertain labels;
        `medmnist:<name>@<size>`; a folder with `cohort.yaml`; or such a file itself.
      cache: folder for digests of image files, so that a second start need not read them again.
      prepared: where public cohorts are prepared; by default as `prepared_in` has it for the usual store.
      report: told the number of image files digested so far, and how many there are.

    Raises:
      NotPreparedError: a public cohort is not there; the message says how to come by it.
      MedbenchError: there is no such cohort, or its declaration, table or images have errors.
    """
    if reference.startswith(PHANTOMS):
        from medbench.data.phantoms.cohort import open_phantoms  # noqa: PLC0415

        return open_phantoms(reference.removeprefix(PHANTOMS))
    folder = prepared or prepared_in(Path(".medbench"))
    if reference.startswith(PUBLIC):
        from medbench.data.public.prepared import open_prepared  # noqa: PLC0415

        return open_prepared(reference.removeprefix(PUBLIC), folder)
    if reference.startswith(MEDMNIST):
        # By name, so that how it is downloaded is no part of a run's identity; its fingerprint is.
        medmnist = import_module("medbench.data.public.medmnist")
        cohort: Cohort = medmnist.open_medmnist(reference.removeprefix(MEDMNIST), folder=folder, cache=cache)
        return cohort
    path = Path(reference)
    if ":" in reference and not path.exists():
        raise MedbenchError(
            f"{reference}: no such cohort. Expected `phantoms:<domain>`, `public:<name>`, "
            "`medmnist:<name>@<size>`, or a folder with cohort.yaml."
        )
    from medbench.data.folder import open_folder  # noqa: PLC0415

    return open_folder(find_declaration(path), cache=cache, report=report)


def prepared_in(store: Path) -> Path:
    """The folder of public cohorts: `$MEDBENCH_COHORTS`, which stores may share, else one in the store."""
    named = os.environ.get("MEDBENCH_COHORTS", "")
    return Path(named).expanduser() if named else store / "cohorts"


def absent_cohort(reference: str, reason: str) -> AbsentCohort:
    """What is known of a public cohort that was not prepared.

    Args:
      reference: `public:<name>`, with `@` a policy or without; or `medmnist:<name>@<size>`.
      reason: what is missing and how to come by it.
    """
    if reference.startswith(MEDMNIST):
        return _absent_medmnist(reference, reason)
    catalogue = import_module("medbench.data.public.catalogue")
    source = catalogue.source_named(reference.removeprefix(PUBLIC).partition("@")[0])
    return AbsentCohort(
        name=reference,
        domain=source.domain,
        target=source.target,
        attributes=source.attributes,
        absent=dict.fromkeys((*source.own_shifts, *source.shifts_from), reason),
        reason=reason,
        cluster=source.cluster,
    )


def _absent_medmnist(reference: str, reason: str) -> AbsentCohort:
    published = import_module("medbench.data.public.medmnist_published")
    wanted = published.Reference.parse(reference.removeprefix(MEDMNIST))
    return AbsentCohort(
        name=str(wanted),
        domain=wanted.published.domain,
        target=wanted.published.target,
        attributes=(),
        absent={},
        reason=reason,
        cluster=published.CLUSTER,
    )


def find_declaration(path: Path) -> Path:
    """The `cohort.yaml` that a path means: the file itself, or the one in that folder.

    Raises:
      MedbenchError: there is none; the message offers what is there.
    """
    path = path.expanduser()
    if path.is_file():
        if path.suffix == ".npz":
            raise MedbenchError(f"{path}: no cohort.yaml. For a file of MedMNIST give {MEDMNIST}{path}")
        return path
    if not path.is_dir():
        siblings = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
        near = printable(nearest(path.name, siblings)) if siblings else ""
        hint = _meant(path.name) or near
        raise MedbenchError(
            f"{path}: no such folder or file. Give a folder with cohort.yaml, or that file. {hint}".rstrip()
        )
    declaration = path / "cohort.yaml"
    if not declaration.is_file():
        others = sorted(p.name for p in path.iterdir() if p.suffix in {".yaml", ".yml"})
        hint = f"There is {printable(', '.join(others))}: name the file itself. " if others else ""
        raise MedbenchError(
            f"{path}: the folder has no cohort.yaml. {hint}docs/cohorts.md shows how to write one."
        )
    return declaration


def _meant(name: str) -> str:
    """The sentence for a public cohort whose source was left out: `public:pad-ufes-20`."""
    public = import_module("medbench.data.public.catalogue").MODULES
    published = import_module("medbench.data.public.medmnist_published").PUBLISHED
    bare = name.partition("@")[0].lower()
    prefix = PUBLIC if bare in public else MEDMNIST if bare in published else ""
    return f"Did you mean `{prefix}{name.lower()}`?" if prefix else ""
