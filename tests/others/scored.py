"""A folder of predictions as another training stack might leave it: two backbones, three seeds, two sets."""

import csv

import numpy as np

DECLARED = """\
task: clinic-a
domain: mammography
target: {kind: single-label, classes: [benign, malignant]}
shifts: [vendor-b]
backbones:
  net-small: {upstream: small, architecture: r14x0.5}
  net-large: {upstream: large, architecture: r14x0.5}
"""
CLASSES = ("benign", "malignant")
GAIN = {"net-small": 0.0, "net-large": 1.5}


def examples(gain, seed, *, n_patients=80, images=2, score="logit"):
    """Rows of one file: the larger the gain, the better the classes are told apart."""
    draw, noise = np.random.default_rng(0), np.random.default_rng((seed, int(100 * gain)))
    rows = []
    for patient in range(n_patients):
        ill = patient % 3 == 0
        for image in range(images):
            logit = draw.normal() + (0.5 + gain) * ill + 0.2 * noise.normal()
            scores = (0.0, logit) if score == "logit" else (1 / (1 + np.exp(logit)), 1 / (1 + np.exp(-logit)))
            rows.append(
                {
                    "image": f"i{patient:03}-{image}",
                    "patient": f"p{patient:03}",
                    "label/benign": int(not ill),
                    "label/malignant": int(ill),
                    **{f"{score}/{name}": value for name, value in zip(CLASSES, scores, strict=True)},
                    "attribute/density": "abcd"[patient % 4],
                }
            )
    return rows


def write_rows(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return path


def write_folder(root, *, declared=DECLARED, sets=("id", "vendor-b"), seeds=(1, 2, 3), score="logit"):
    """The whole folder."""
    root.mkdir(exist_ok=True)
    (root / "predictions.yaml").write_text(declared)
    for name, gain in GAIN.items():
        for seed in seeds:
            for evaluation_set in sets:
                rows = examples(gain, seed, score=score)
                write_rows(root / name / f"seed-{seed}" / f"{evaluation_set}.csv", rows)
    return root
