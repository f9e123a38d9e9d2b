"""Per-example predictions of one run on one evaluation set: the artefact every metric is computed from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from medbench.data.cohort import Examples
from medbench.errors import MedbenchError
from medbench.spec.runs import Target

_LABEL, _LOGIT, _ATTRIBUTE = "label/", "logit/", "attribute/"


@dataclass(frozen=True, eq=False)  # `difference` compares; what is found out of one is kept by its identity
class Predictions:
    """Logits with what is needed to score them, one row per image, every image once.

    Attributes:
      evaluation_set: `validation`, `id` or a shift.
      target: what the columns mean.
      image: (n,) str.
      patient: (n,) str, raw ids: they stay in the store.
      labels: (n, k) int8 of 0, 1, and -1 where unknown.
      logits: (n, k) float32.
      attributes: name -> (n,) str.
    """

    evaluation_set: str
    target: Target
    image: NDArray[np.str_]
    patient: NDArray[np.str_]
    labels: NDArray[np.int8]
    logits: NDArray[np.float32]
    attributes: Mapping[str, NDArray[np.str_]]

    def __len__(self) -> int:
        return len(self.image)

    def difference(self, other: "Predictions") -> str:
        """The first of `images`, `patients`, `labels` and `sub-groups` that two runs do not share.

        Runs are compared example by example; empty where they can be.
        """
        same = {
            "images": np.array_equal(self.image, other.image),
            "patients": np.array_equal(self.patient, other.patient),
            "labels": np.array_equal(self.labels, other.labels),
            "sub-groups": self.attributes.keys() == other.attributes.keys()
            and all(np.array_equal(of, other.attributes[name]) for name, of in self.attributes.items()),
        }
        return next((what for what, equal in same.items() if not equal), "")

    def write(self, path: Path) -> None:
        """Write as Parquet; the columns are documented in docs/store.md."""
        columns: dict[str, pa.Array] = {
            "image": pa.array(self.image.tolist(), pa.string()),
            "patient": pa.array(self.patient.tolist(), pa.string()).dictionary_encode(),
        }
        for name, values in self.attributes.items():
            columns[_ATTRIBUTE + name] = pa.array(values.tolist(), pa.string()).dictionary_encode()
        for i, name in enumerate(self.target.classes):
            columns[_LABEL + name] = pa.array(self.labels[:, i])
        for i, name in enumerate(self.target.classes):
            columns[_LOGIT + name] = pa.array(self.logits[:, i])
        table = pa.table(columns).replace_schema_metadata(
            {"evaluation_set": self.evaluation_set, "kind": self.target.kind}
        )
        pq.write_table(
            table, path, compression="zstd", compression_level=19, write_statistics=False, **_encodings(table)
        )

    @classmethod
    def of_file(cls, content: bytes, path: Path) -> "Predictions":
        """What `write` wrote.

        Args:
          content: the bytes of the file.
          path: where they were found, for messages.

        Raises:
          MedbenchError: the file is damaged or has other columns; the message names it.
        """
        try:  # neither a data set nor threads: a file is of some kilobytes, and there are thousands
            file = pq.ParquetFile(pa.BufferReader(content))
            schema = file.schema_arrow
            names = schema.names
            logits = file.read([name for name in names if name.startswith(_LOGIT)], use_threads=False)
            examples = _examples(_Described(_before_logits(file, content), schema, file))
        except (OSError, pa.ArrowException) as error:
            raise MedbenchError(
                f"{path}: predictions cannot be read ({error}). Delete the run to train it again."
            ) from error
        metadata = schema.metadata or {}
        classes = tuple(n.removeprefix(_LABEL) for n in names if n.startswith(_LABEL))
        if (
            examples is None
            or b"evaluation_set" not in metadata
            or any(_LOGIT + c not in names for c in classes)
        ):
            raise MedbenchError(
                f"{path}: not a predictions file; expected columns image, patient, label/…, logit/…."
            )
        return cls(
            evaluation_set=metadata[b"evaluation_set"].decode(),
            target=Target(kind=metadata[b"kind"].decode(), classes=classes),
            image=examples.image,
            patient=examples.patient,
            labels=examples.labels,
            logits=np.stack([logits[_LOGIT + c].to_numpy() for c in classes], axis=1).astype(np.float32),
            attributes=examples.attributes,
        )


@dataclass(frozen=True)
class _Described:
    """All columns of a file but the logits; equal bytes are equal columns, whichever file they are in.

    Attributes:
      content: the file up to its logits.
      schema: of all columns.
      file: to read them from.
    """

    content: bytes
    schema: pa.Schema = field(hash=False)
    file: pq.ParquetFile = field(compare=False)


@lru_cache(maxsize=4)  # the sets that one item looks at
def _examples(described: _Described) -> Examples | None:
    """What is scored, which all runs on a set share; None where a column is missing."""
    names = described.schema.names
    table = described.file.read([n for n in names if not n.startswith(_LOGIT)], use_threads=False)
    classes = [name for name in names if name.startswith(_LABEL)]
    if not classes or not {"image", "patient"} <= set(names):
        return None

    def text(column: str) -> NDArray[np.str_]:
        return np.asarray(table[column].to_numpy(zero_copy_only=False), dtype=np.str_)

    examples = Examples(
        image=text("image"),
        patient=text("patient"),
        labels=np.stack([table[c].to_numpy() for c in classes], axis=1).astype(np.int8),
        attributes={n.removeprefix(_ATTRIBUTE): text(n) for n in names if n.startswith(_ATTRIBUTE)},
    )
    for shared in (examples.image, examples.patient, examples.labels, *examples.attributes.values()):
        shared.flags.writeable = False
    return examples


def _before_logits(file: pq.ParquetFile, content: bytes) -> bytes:
    """The bytes of all columns but the logits, which are written last; all bytes where they are not."""
    if file.metadata.num_row_groups != 1:
        return content
    group = file.metadata.row_group(0)
    begins: dict[bool, list[int]] = {True: [len(content)], False: []}
    for column in map(group.column, range(group.num_columns)):
        begin = column.dictionary_page_offset or column.data_page_offset
        begins[column.path_in_schema.startswith(_LOGIT)].append(begin)
    first = min(begins[True])
    return content[:first] if all(begin < first for begin in begins[False]) else content


def _encodings(table: pa.Table) -> dict[str, Any]:
    """Dictionaries only where values repeat: they take a quarter more for names of images and logits."""
    unlike = {name: "BYTE_STREAM_SPLIT" for name in table.column_names if name.startswith(_LOGIT)}
    unlike["image"] = "DELTA_BYTE_ARRAY"
    return {
        "use_dictionary": [name for name in table.column_names if name not in unlike],
        "column_encoding": unlike,
    }
