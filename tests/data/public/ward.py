"""A public cohort that nobody published: a table, a few files of noise, and the adapter that reads them.

`WARD_IMAGES` in the environment makes it larger for the tests that kill or measure.
"""

import csv
from pathlib import Path

import numpy as np
from PIL import Image

from medbench.data.findings import Findings
from medbench.data.public.source import UNCERTAIN, UNKNOWN, Source, SourceRows
from medbench.data.public.tables import joined
from medbench.spec.runs import Target

TARGET = Target(kind="multi-label", classes=("effusion", "edema"))
COLUMNS = ("file", "patient", "set", "effusion", "edema", "sex")
_LABELS = {"": UNKNOWN, "u": UNCERTAIN, "0": 0, "1": 1}


def read(folder: Path, findings: Findings) -> SourceRows:
    with (folder / "ward.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    wrong = [i for i, row in enumerate(rows) if row["effusion"] not in _LABELS]
    for i in wrong:
        findings.error(f"ward.csv: row {i + 2}: `{rows[i]['effusion']}` is no label")
    numbered = [(i, row) for i, row in enumerate(rows, start=2) if i - 2 not in wrong]
    listed = SourceRows(
        image=np.array([row["file"] for _, row in numbered]),
        path=[folder / "images" / row["file"] for _, row in numbered],
        table=np.full(len(numbered), "ward.csv"),
        row=np.array([i for i, _ in numbered]),
        patient=np.array([row["patient"] for _, row in numbered]),
        split=np.array([row["set"] for _, row in numbered]),
        labels=np.array(
            [[_LABELS[row[name]] for name in TARGET.classes] for _, row in numbered], dtype=np.int8
        ),
        attributes={"sex": np.array([row["sex"] for _, row in numbered])},
    )
    return joined(SOURCE, [listed], findings)


def source(name: str, **changes: object) -> Source:
    declared = {
        "title": "Ward films",
        "domain": "chest",
        "target": TARGET,
        "attributes": ("sex",),
        "images": 80,
        "patients": 40,
        "gigabytes": 0.1,
        "licence": "CC0",
        "citation": "Nobody, 2026",
        "homepage": "https://example.org/ward",
        "obtain": "Ask nobody for ward.zip and unpack it",
        "read": read,
        "own_shifts": ("night",),
        "policies": ("ignore", "ones", "zeros"),
    }
    return Source(name=name, **{**declared, **changes})


SOURCE = source("ward", shifts_from=("annex",))


class Ward:
    """The publisher's folder: change `rows` or the files after `write`.

    Args:
      folder: where it is written.
      patients: each has two images.
    """

    def __init__(self, folder: Path, patients: int = 40) -> None:
        self.folder = folder
        self.rows = [
            {
                "file": f"film-{p:04d}-{i}.png",
                "patient": f"P{p:04d}",
                "set": "",
                "effusion": "01"[p % 2],
                "edema": ("0", "1", "u", "")[p // 2 % 4],
                "sex": "FM"[p // 3 % 2],
            }
            for p in range(patients)
            for i in range(2)
        ]

    def image(self, number: int) -> Path:
        return self.folder / "images" / self.rows[number]["file"]

    def write(self, *, height: int = 20, width: int = 24) -> Path:
        (self.folder / "images").mkdir(parents=True, exist_ok=True)
        for number in range(len(self.rows)):
            if not self.image(number).exists():
                write_noise(self.image(number), seed=number, height=height, width=width)
        self.write_table()
        return self.folder

    def write_table(self) -> None:
        with (self.folder / "ward.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(self.rows)


def write_noise(path: Path, *, seed: int, height: int = 20, width: int = 24, mode: str = "L") -> None:
    channels = {"L": 1, "RGB": 3, "RGBA": 4}[mode]
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)
    Image.fromarray(pixels[..., 0] if channels == 1 else pixels).save(path)
