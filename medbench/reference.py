"""Committed reference runs: accepted runs of generated cohorts that are loaded instead of trained.

Layout: `<root>/<task>/<spec_id>/{record.json, predictions/<evaluation set>.parquet}`. They are found by
spec alone: code, libraries and device may have changed since, which is what the sentinels are trained for.
"""

import re
import shutil
from pathlib import Path

import msgspec

from medbench.errors import MedbenchError
from medbench.identity import spec_id
from medbench.record import RunRecord
from medbench.spec.runs import RunSpec
from medbench.store import StoredRun, read_run, write_run

GENERATED = "phantoms:"
"""Prefix of the names of generated cohorts: the only ones whose predictions may be committed."""

_MACHINE = re.compile(r"-(x86_64|amd64|aarch64|arm64|ppc64le|riscv64|s390x|i686)\b", re.IGNORECASE)


class References:
    """A folder of reference runs, such as `expectations/embedded/runs`; it need not exist.

    Args:
      root: the folder.
      base: where runs are looked for that it lacks; never written to.

    Raises:
      MedbenchError: the folder, or one that it lies in, is a file.
    """

    def __init__(self, root: Path, base: "References | None" = None) -> None:
        self.root = root
        for path in (root, *root.parents):
            if path.is_file():
                raise MedbenchError(
                    f"{path}: expected a folder of accepted values, found a file. Move it, or name another "
                    "folder by --expectations."
                )
        self._base = base

    def path(self, spec: RunSpec) -> Path:
        """Where the reference run of a spec lies, whether it exists or not."""
        return self.root / spec.task / spec_id(spec)

    def get(self, spec: RunSpec) -> StoredRun | None:
        """The reference run of a spec, here or in the base, or None.

        Raises:
          MedbenchError: its record is damaged, of another run, or of a later version of medbench.
        """
        found = read_run(self.path(spec), "loaded") or read_run(self._aside(spec), "loaded")
        if found is None:
            return self._base.get(spec) if self._base else None
        if spec_id(found.record.spec) != spec_id(spec):
            raise MedbenchError(
                f"{found.path}: holds the run `{found.record.spec.label}`, expected `{spec.label}` as "
                "it is planned now. Restore the reference run from version control."
            )
        return found

    def specs(self) -> list[RunSpec]:
        """What was run, in the order in which it was finished; that of the base first.

        Raises:
          MedbenchError: a record is damaged, or of a later version of medbench.
        """
        found = [read_run(folder, "loaded") for folder in self.root.glob("*/*")]
        records = sorted((run.record for run in found if run is not None), key=lambda each: each.finished)
        return [*(self._base.specs() if self._base else ()), *(record.spec for record in records)]

    def accept(self, run: StoredRun) -> Path:
        """Commit a run: copy its record and predictions, without features; returns the folder.

        Of the platform, the record keeps the system and the machine. An earlier run is there until the
        new one is.

        Raises:
          MedbenchError: the run is of real patients, or its predictions are damaged.
        """
        record = run.record
        if not record.spec.cohort.startswith(GENERATED):
            raise MedbenchError(
                f"`{record.spec.label}` was trained on `{record.spec.cohort}`. Only runs of generated "
                f"cohorts (`{GENERATED}…`) can be reference runs: predictions of real patients stay in "
                "the store."
            )
        target, aside = self.path(record.spec), self._aside(record.spec)
        predictions = {e.evaluation_set: run.predictions(e.evaluation_set) for e in record.evaluations}
        incoming = target.with_name(target.name + ".new")
        shutil.rmtree(incoming, ignore_errors=True)
        try:
            write_run(incoming, _committed(record), predictions, {})
            if target.exists():
                shutil.rmtree(aside, ignore_errors=True)
                target.rename(aside)
            incoming.rename(target)
            shutil.rmtree(aside, ignore_errors=True)
        except OSError as error:
            raise MedbenchError(f"{target}: the reference run cannot be written ({error}).") from error
        return target

    def _aside(self, spec: RunSpec) -> Path:
        """Where a run steps aside while another takes its place."""
        target = self.path(spec)
        return target.with_name(target.name + ".old")


def _committed(record: RunRecord) -> RunRecord:
    platform = _without_kernel(record.environment.platform)
    environment = msgspec.structs.replace(record.environment, platform=platform)
    return msgspec.structs.replace(record, environment=environment)


def _without_kernel(platform: str) -> str:
    """System and machine alone, such as `Linux-x86_64`: what is committed names nobody's kernel."""
    machine = _MACHINE.search(platform)
    return "-".join([platform.partition("-")[0], *(machine.groups() if machine else ())])
