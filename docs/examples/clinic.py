"""Writes a small folder of generated skin photographs with a table, in place of images of one's own.

`python docs/examples/clinic.py FOLDER` draws two images of each of 60 patients: a spot on skin, darker and more
ragged where it is called a melanoma. They are phantoms: no verdict on them says anything about patients.
"""

import csv
import sys
from pathlib import Path

import numpy as np
from PIL import Image

SIZE = 64
PATIENTS = 60


def photograph(malignant: bool, draw: np.random.Generator) -> Image.Image:
    """A spot on skin, SIZE pixels square."""
    y, x = np.mgrid[:SIZE, :SIZE] - draw.uniform(24, 40, (2, 1, 1))
    ragged = 1 + (0.25 if malignant else 0.08) * np.sin(5 * np.arctan2(y, x) + draw.uniform(0, 6))
    spot = np.hypot(x, y) < draw.uniform(10, 18) * ragged
    skin = np.array([225, 180, 155]) + draw.normal(0, 6, (SIZE, SIZE, 3))
    darkness = draw.normal(0.55 if malignant else 0.4, 0.1)
    return Image.fromarray((skin * (1 - darkness * spot[..., None])).clip(0, 255).astype(np.uint8))


def write(folder: Path) -> None:
    """The images below `images`, and `manifest.csv`."""
    draw = np.random.default_rng(20)
    (folder / "images").mkdir(parents=True, exist_ok=True)
    with (folder / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["file", "patient_id", "diagnosis", "gender", "age", "camera"])
        for patient in range(PATIENTS):
            diagnosis = "MEL" if patient % 3 == 0 else "NEV"
            who = (
                f"P-{patient:03d}",
                diagnosis,
                draw.choice(["female", "male"]),
                draw.integers(20, 90),
                "B" if patient % 4 == 0 else "A",
            )
            for number in (1, 2):
                name = f"{patient:03d}-{number}.png"
                photograph(diagnosis == "MEL", draw).save(folder / "images" / name)
                table.writerow([name, *who])


if __name__ == "__main__":
    write(Path(sys.argv[1]))
