"""A small made-up cohort folder for tests: noise images, a table, a declaration, all easy to spoil."""

import csv
import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

DECLARATION = """\
domain: dermatology
root: images
table: manifest.csv
columns: {image: file, patient: patient_id, attributes: {sex: sex, age: age}}
labels: {malignant: {column: dx, positive: [MEL, BCC], negative: [NEV]}}
"""


class Clinic:
    """A folder with a cohort: change `rows` and `declaration`, then `write`.

    Args:
      folder: where it is written.
      patients: number of patients; each has two images, and every third patient is malignant.
    """

    def __init__(self, folder: Path, patients: int = 30):
        self.folder = folder
        self.declaration = DECLARATION
        self.rows: list[dict[str, str]] = [
            {
                "file": f"{p:03d}_{i}.png",
                "patient_id": f"P-{p:04d}",
                "dx": ("MEL", "NEV", "NEV", "BCC", "NEV", "NEV")[p % 6],
                "sex": "FM"[p % 2],
                "age": str(30 + p),
            }
            for p in range(patients)
            for i in range(2)
        ]

    @property
    def path(self) -> Path:
        """The cohort.yaml."""
        return self.folder / "cohort.yaml"

    def image(self, number: int) -> Path:
        """The image file of a row, counted from 0."""
        return self.folder / "images" / self.rows[number]["file"]

    def write(self, declaration: str | None = None) -> Path:
        """Write images, table and declaration, and return the path of the declaration."""
        (self.folder / "images").mkdir(parents=True, exist_ok=True)
        for number in range(len(self.rows)):
            if not self.image(number).exists():
                write_noise(self.image(number), seed=number)
        (self.folder / "manifest.csv").write_text(table_text(self.rows), encoding="utf-8")
        self.path.write_text(declaration or self.declaration, encoding="utf-8")
        return self.path


def write_noise(path: Path, *, seed: int, channels: int = 3) -> None:
    """Write a noise image of 8 x 10 pixels."""
    pixels = np.random.default_rng(seed).integers(0, 256, (10, 8, channels), dtype=np.uint8)
    Image.fromarray(pixels[..., 0] if channels == 1 else pixels).save(path)


def table_text(rows: list[dict[str, str]]) -> str:
    """The rows as CSV."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def edited(declaration: str, changes: Mapping[str, str]) -> str:
    """The declaration with pieces of text replaced; each must occur."""
    for old, new in changes.items():
        assert old in declaration, f"{old!r} is not in the declaration"
        declaration = declaration.replace(old, new)
    return declaration
