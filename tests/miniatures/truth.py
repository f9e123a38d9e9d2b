"""What a right reader must find in a miniature; stated by its writer, in the words of the publisher."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One image as its publisher describes it.

    Attributes:
      path: of the file, relative to the miniature's root, with slashes.
      patient: the patient; the lesion where a set knows no patients; the image where it knows neither.
      split: the publisher's own word (`train`, `training`, `train_val`, `valid`, `val`, `test`); empty: none.
      labels: column -> cell, as published.
      attributes: column -> cell, as published.
      table: the file that lists it, relative to the root; empty where no table does.
      row: its row there as a spreadsheet numbers it: the header is row 1.
      left_out: why no reader should use it (`lateral`); empty: it takes part.
      facts: of the file: photometric interpretation, transfer syntax, the chest wall's edge.
    """

    path: str
    patient: str
    split: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    attributes: Mapping[str, str] = field(default_factory=dict)
    table: str = ""
    row: int = 0
    left_out: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Truth:
    """A written miniature.

    Attributes:
      root: the folder that a person who unpacked the set would name.
      pictures: all images that its tables list, in their order.
    """

    root: Path
    pictures: tuple[Picture, ...]

    @property
    def used(self) -> list[Picture]:
        """Those that take part."""
        return [picture for picture in self.pictures if not picture.left_out]

    def file(self, picture: Picture) -> Path:
        return self.root / picture.path

    def table(self, picture: Picture) -> Path:
        return self.root / picture.table
