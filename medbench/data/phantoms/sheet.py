"""Contact sheets of the phantoms for the eye: `python -m medbench.data.phantoms.sheet [FOLDER]`.

One PNG a domain, a row of its first images per evaluation set, marked as generated.
"""

import argparse
from pathlib import Path

from PIL import Image, ImageDraw

from medbench.data.cohort import ID
from medbench.data.phantoms.cohort import DOMAINS, GENERATOR_VERSION, open_phantoms
from medbench.data.phantoms.domain import SIZE

COLUMNS = 8
_LINE = 14
"""Pixels of a line of text."""


def sheet(domain: str) -> Image.Image:
    """The first images of each evaluation set of a domain, with findings, as one picture."""
    cohort = open_phantoms(domain, patients=COLUMNS)
    splits = (ID, *cohort.shifts)
    row_height = SIZE + 2 * _LINE
    picture = Image.new("RGB", (COLUMNS * SIZE, row_height * len(splits)), "white")
    pen = ImageDraw.Draw(picture)
    for row, split in enumerate(splits):
        top = row * row_height
        title = (
            f"{cohort.name}, {split}: generated images (generator version {GENERATOR_VERSION}), no patients"
        )
        pen.text((3, top), title, "black")
        examples = cohort.examples(split)
        for column, image in enumerate(cohort.images(split, SIZE)[:COLUMNS]):
            tile = Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image)
            picture.paste(tile, (column * SIZE, top + _LINE))
            found = [
                c for c, label in zip(cohort.target.classes, examples.labels[column], strict=True) if label
            ]
            pen.text((column * SIZE + 3, top + _LINE + SIZE), " and ".join(found) or "no finding", "black")
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
