"""Contact sheets of the phantoms for the eye: `python -m medbench.data.phantoms.sheet [FOLDER]`.

One PNG a domain, two rows of its first images per evaluation set, marked as generated.
"""

import argparse
import textwrap
from pathlib import Path

from PIL import Image, ImageDraw

from medbench.data.cohort import ID
from medbench.data.phantoms.cohort import DOMAINS, GENERATOR_VERSION, open_phantoms
from medbench.data.phantoms.domain import SIZE

COLUMNS, ROWS = 8, 2
"""Images side by side, and rows of them an evaluation set."""

_LINE = 14
"""Pixels of a line of text."""

_LETTERS = 23
"""What a line below an image holds."""


def sheet(domain: str) -> Image.Image:
    """The first images of each evaluation set of a domain, with findings, as one picture."""
    cohort = open_phantoms(domain, patients=COLUMNS * ROWS)
    splits = (ID, *cohort.shifts)
    tile_height = SIZE + 2 * _LINE
    height = _LINE + ROWS * tile_height
    picture = Image.new("RGB", (COLUMNS * SIZE, height * len(splits)), "white")
    pen = ImageDraw.Draw(picture)
    for number, split in enumerate(splits):
        top = number * height
        title = (
            f"{cohort.name}, {split}: generated images (generator version {GENERATOR_VERSION}), no patients"
        )
        pen.text((3, top), title, "black")
        labels = cohort.examples(split).labels
        for place, image in enumerate(cohort.images(split, SIZE)[: COLUMNS * ROWS]):
            x, y = place % COLUMNS * SIZE, top + _LINE + place // COLUMNS * tile_height
            picture.paste(Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image), (x, y))
            found = [c for c, label in zip(cohort.target.classes, labels[place], strict=True) if label == 1]
            legend = textwrap.wrap(", ".join(found) or "no finding", _LETTERS)
            pen.multiline_text((x + 3, y + SIZE), "\n".join(legend), "black", spacing=2)
    return picture


def main() -> None:
    """Write one sheet a domain."""
    parser = argparse.ArgumentParser(prog="python -m medbench.data.phantoms.sheet", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=Path("docs/phantoms"))
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    for domain in DOMAINS:
        path = folder / f"{domain}.png"
        sheet(domain).save(path, optimize=True)
        print(path)


if __name__ == "__main__":
    main()
