"""Writes a prepared cohort as a TFDS data set in array_record files, without TensorFlow.

Image bytes go in as they are staged; nothing is decoded here.
"""

import contextlib
import functools
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from tensorflow_datasets.core.dataset_builder import ShardBasedBuilder

from medbench.data.cohort import Examples
from medbench.data.public.prepared import SCHEME
from medbench.data.public.source import Source
from medbench.data.public.staging import staged_bytes

SHARD = 256 * 2**20
"""Bytes of images in a file: a writer holds a file's images in memory."""


@dataclass(frozen=True)
class PackedSet:
    """What is written of a set: rows, and for each its staged file and the bytes of its image."""

    examples: Examples
    staged: Sequence[Path]
    lengths: Sequence[int]


class PublicCohortBuilder(ShardBasedBuilder, skip_registration=True):  # type: ignore[call-arg]
    """A public cohort as TFDS sees it.

    Built shard by shard, as `tfds.core.ShardBasedBuilder` (4.9.7 or newer) does: records keep the order of
    the rows, where `GeneratorBasedBuilder` sorts by hashed keys and needs TensorFlow beyond 1 GB
    (tensorflow_datasets/core/shuffle.py, `MAX_MEM_BUFFER_SIZE` and `tf.io.gfile`).
    """

    VERSION = tfds.core.Version(f"{SCHEME}.0.0")

    def __init__(
        self,
        source: Source,
        channels: int,
        sets: Mapping[str, PackedSet],
        *,
        folder: Path,
        done: Callable[[], None],
    ) -> None:
        """Declare what is to be written.

        Args:
          source: the cohort.
          channels: 1 or 3; grey images have as many for TFDS as the others.
          sets: by name.
          folder: in which a folder of the cohort's name is made.
          done: called for every image that was written.
        """
        self.name = source.name.replace("-", "_")
        self._source, self._channels, self._sets, self._done = source, channels, sets, done
        super().__init__(data_dir=folder, file_format="array_record")

    def _info(self) -> tfds.core.DatasetInfo:
        source = self._source
        features: dict[str, Any] = {
            "image": tfds.features.Image(shape=(None, None, self._channels)),
            "name": tfds.features.Text(),
            "patient": tfds.features.Text(),
            "labels": tfds.features.Tensor(shape=(len(source.target.classes),), dtype=np.int8),
        }
        if source.attributes:
            texts = {name: tfds.features.Text() for name in source.attributes}
            features["attributes"] = tfds.features.FeaturesDict(texts)
        return tfds.core.DatasetInfo(
            builder=self,
            description=f"{source.title}, prepared by medbench. Labels: {', '.join(source.target.classes)}; "
            "0, 1, -1 unknown, -2 uncertain.",
            features=tfds.features.FeaturesDict(features),
            homepage=source.homepage,
            citation=source.citation,
            license=source.licence,
            disable_shuffling=True,
        )

    def _shard_iterators_per_split(
        self,
        dl_manager: object,  # noqa: ARG002
    ) -> dict[str, list[Callable[[], Iterator[tuple[int, dict[str, Any]]]]]]:
        return {
            name: [functools.partial(self._records, packed, rows) for rows in _shards(packed.lengths)]
            for name, packed in self._sets.items()
        }

    def _records(self, packed: PackedSet, rows: range) -> Iterator[tuple[int, dict[str, Any]]]:
        examples = packed.examples
        for i in rows:
            record: dict[str, Any] = {
                "image": staged_bytes(packed.staged[i]),
                "name": str(examples.image[i]),
                "patient": str(examples.patient[i]),
                "labels": examples.labels[i],
            }
            if examples.attributes:
                record["attributes"] = {name: str(groups[i]) for name, groups in examples.attributes.items()}
            self._done()
            yield i, record


def write(
    source: Source, channels: int, sets: Mapping[str, PackedSet], *, folder: Path, done: Callable[[], None]
) -> Path:
    """Write the records of a cohort; returns the folder that they and TFDS's descriptions are in.

    Args:
      source: the cohort.
      channels: 1 or 3.
      sets: by name; none is empty.
      folder: an empty one, for what is being written.
      done: called for every image that was written.
    """
    builder = PublicCohortBuilder(source, channels, sets, folder=folder, done=done)
    tfds.disable_progress_bar()
    with contextlib.redirect_stdout(io.StringIO()):  # it tells of downloads
        builder.download_and_prepare()
    return Path(builder.data_path)


def _shards(lengths: Sequence[int]) -> list[range]:
    """Rows in their order, cut where `SHARD` bytes are full."""
    shards, first, size = [], 0, 0
    for i, length in enumerate(lengths):
        if size and size + length > SHARD:
            shards.append(range(first, i))
            first, size = i, 0
        size += length
    return [*shards, range(first, len(lengths))]
