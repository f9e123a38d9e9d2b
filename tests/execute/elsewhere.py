"""Other trainers for tests: one that learns, and a package with an entry point that pytest may install."""

import csv
import json
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression

from medbench.execute.job import Job
from medbench.record import Trainer


class InHand:
    """A trainer that is a function of the test, and counts its calls."""

    def __init__(self, train, name="fake", version="1"):
        self.train, self.identity, self.jobs = train, Trainer(name=name, version=version), []

    def __call__(self, job: Job) -> None:
        self.jobs.append(job)
        self.train(job)


def rows(path):
    """The rows of a CSV table as dicts of text."""
    with Path(path).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def learn(job: Job) -> None:
    """Logistic regression on stripes; reads the files alone, as a stranger would."""
    told = json.loads((job.folder / "job.json").read_text(encoding="utf-8"))
    classes = told["spec"]["target"]["classes"]

    def known(name):
        examples = rows(told["sets"][name]["examples"])
        images = np.load(told["sets"][name]["images"], mmap_mode="r")[[int(row["row"]) for row in examples]]
        middle = images[:, 4:-4, 4:-4].astype(float).mean(axis=(2, 3))
        return examples, np.stack([np.ptp(middle, axis=1), middle.mean(axis=1)], axis=1)

    examples, features = known("train")
    positive = [int(row[f"label/{classes[1]}"]) for row in examples]
    model = LogisticRegression().fit(features, positive)
    for done, name in enumerate(["validation", *told["spec"]["evaluation_sets"]], start=1):
        examples, features = known(name)
        score = model.decision_function(features)
        leave(job, name, [row["image"] for row in examples], np.stack([0 * score, score], axis=1))
        job.report("evaluate", done, 3)


def leave(job, name, images, logits, **extra):
    """Write a CSV of predictions as documented."""
    classes = job.file.spec.target.classes
    with Path(job.file.sets[name].predictions).open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["image", *(f"logit/{c}" for c in classes), *extra])
        for i, image in enumerate(images):
            numbers = map(repr, np.asarray(logits[i], float).tolist())
            writer.writerow([image, *numbers, *(values[i] for values in extra.values())])


def guess(job: Job) -> None:
    """Random logits from the seed."""
    random = np.random.default_rng(job.file.spec.seed)
    for name in ("validation", *job.file.spec.evaluation_sets):
        images = [row["image"] for row in rows(job.file.sets[name].examples)]
        leave(job, name, images, random.normal(size=(len(images), len(job.file.spec.target.classes))))


def package(folder, body, *, name="stack", version="1.0", entry="fake = stack:train"):
    """Install a package with an entry point into a folder on the path."""
    (folder / f"{name}.py").write_text(body, encoding="utf-8")
    info = folder / f"{name}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (info / "entry_points.txt").write_text(f"[medbench.trainers]\n{entry}\n")
