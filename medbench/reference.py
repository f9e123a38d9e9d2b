"""Committed reference runs: accepted runs of generated cohorts that are loaded instead of trained.

Layout: `<root>/<task>/<spec_id>/{record.json, predictions/<evaluation set>.parquet}`. They are found by
spec alone: code, libraries and device may have changed since, which is what the sentinels are trained for.
"""

import shutil
from collections.abc import Iterable
from pathlib import Path

from medbench.errors import MedbenchError
from medbench.identity import spec_id
from medbench.spec.runs import RunSpec
from medbench.store import RECORD, StoredRun, read_run, write_run

GENERATED = "phantoms:"
"""Prefix of the names of generated cohorts: the only ones whose predictions may be committed."""


class References:
    """A folder of reference runs, such as `expectations/embedded/runs`; it need not exist."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, spec: RunSpec) -> Path:
        """Where the reference run of a spec lies, whether it exists or not."""
        return self.root / spec.task / spec_id(spec)

    def get(self, spec: RunSpec) -> StoredRun | None:
        """The reference run of a spec, or None.

        Raises:
          MedbenchError: its record is damaged, or of a later version of medbench.
        """
        return read_run(self.path(spec), "loaded")

    def accept(self, run: StoredRun) -> Path:
        """Commit a run: copy its record and predictions, without features; returns the folder.

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
        target = self.path(record.spec)
        predictions = {e.evaluation_set: run.predictions(e.evaluation_set) for e in record.evaluations}
        incoming = target.with_name(target.name + ".new")
        shutil.rmtree(incoming, ignore_errors=True)
        try:
            write_run(incoming, record, predictions, {})
            if target.exists():
                shutil.rmtree(target)
            incoming.rename(target)
        except OSError as error:
            raise MedbenchError(f"{target}: the reference run cannot be written ({error}).") from error
        return target

    def missing(self, specs: Iterable[RunSpec]) -> list[RunSpec]:
        """The specs that have no reference run."""
        return [spec for spec in specs if not (self.path(spec) / RECORD).is_file()]

    def surplus(self, specs: Iterable[RunSpec]) -> list[Path]:
        """Folders of reference runs that none of the specs needs."""
        needed = {self.path(spec) for spec in specs}
        return sorted(file.parent for file in self.root.glob(f"*/*/{RECORD}") if file.parent not in needed)
