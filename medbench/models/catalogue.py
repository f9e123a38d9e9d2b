"""The nets that were released for everybody: where their files are and what is in them (`released.yaml`).

Nothing is fetched here, and nothing imports jax.
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from medbench.spec.declared import Declared
from medbench.spec.loader import load_yaml

_FLOAT32 = 4


class _Architecture(Declared, frozen=True, kw_only=True):
    blocks: list[int]
    width: float
    body: int
    """Parameters without the head."""
    features: int
    """What the head sees."""


class _Source(Declared, frozen=True, kw_only=True):
    address: str
    licence: str


class _File(Declared, frozen=True, kw_only=True):
    source: str
    upstream: str
    architecture: str
    classes: int
    sha256: str = ""


class _Catalogue(Declared, frozen=True, kw_only=True):
    architectures: dict[str, _Architecture]
    sources: dict[str, _Source]
    files: dict[str, _File] = msgspec.field(default_factory=dict)


@dataclass(frozen=True)
class Released:
    """A file that anybody may fetch.

    Attributes:
      file: its name here; on its server it may have another.
      address: https.
      licence: of the weights, by name.
      upstream: what it was pre-trained on, as `backbones.yaml` names it.
      architecture: likewise.
      blocks: units in each of its four blocks.
      width: factor on its channels.
      classes: of its own head.
      bytes: calculated from its number of float32 parameters; the file is a little larger, or half as large.
      sha256: hex, as a source worth trusting has it; empty where none has.
    """

    file: str
    address: str
    licence: str
    upstream: str
    architecture: str
    blocks: tuple[int, ...]
    width: float
    classes: int
    bytes: int
    sha256: str


@functools.cache
def released() -> Mapping[str, Released]:
    """Every file by its name, in the order of the catalogue."""
    read = load_yaml(Path(__file__).parent / "released.yaml", _Catalogue)
    return {name: _released(name, file, read) for name, file in read.files.items()}


def _released(name: str, file: _File, read: _Catalogue) -> Released:
    source, net = read.sources[file.source], read.architectures[file.architecture]
    stem = name.removesuffix(".safetensors")
    return Released(
        file=name,
        address=source.address.format(file=name, stem=stem),
        licence=source.licence,
        upstream=file.upstream,
        architecture=file.architecture,
        blocks=tuple(net.blocks),
        width=net.width,
        classes=file.classes,
        bytes=_FLOAT32 * (net.body + (net.features + 1) * file.classes),
        sha256=file.sha256,
    )
