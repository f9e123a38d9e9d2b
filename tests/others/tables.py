"""A small published table: two upstreams by two architectures, three amounts, three seeds."""

import csv
from itertools import product

SCALES = """\
upstreams:
  natural images: [small, large]
architectures: [r50, r152]
backbones:
  net-a: {upstream: small, architecture: r50}
  net-b: {upstream: large, architecture: r50}
  net-c: {upstream: small, architecture: r152}
  net-d: {upstream: large, architecture: r152}
"""
COLUMNS = {"backbone": "model", "fraction": "part", "seed": "run", "value": "auc"}
GAIN = {"net-a": 0.0, "net-b": 0.02, "net-c": 0.03, "net-d": 0.08}
NOISE = {1: 0.001, 2: -0.002, 3: 0.0015}


def published():
    """Rows of all backbones: the larger, the better; the interaction is +.03."""
    return [
        {
            "model": name,
            "part": part,
            "run": seed,
            # A seed moves all backbones alike, and each a little by itself.
            "auc": round(0.7 + level + gain + NOISE[seed] * (5, 6, 7, 9)[i], 6),
        }
        for (i, (name, gain)), (part, level), seed in product(
            enumerate(GAIN.items()), [("0.1", 0.0), ("0.5", 0.04), ("1.0", 0.06)], NOISE
        )
    ]


def write(folder, rows, scales=SCALES, columns=("model", "part", "run", "auc")):
    """Rows as a CSV file and the scales beside it; gives both paths."""
    table, declared = folder / "results.csv", folder / "scales.yaml"
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)
    declared.write_text(scales)
    return table, declared
