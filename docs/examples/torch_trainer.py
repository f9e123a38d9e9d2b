#!/usr/bin/env python
"""A trainer for medbench in PyTorch: BiT from a job's weight file, fine-tuned by its recipe, scored on every set.

It needs torch and numpy and nothing of medbench: `pytest benchmarks --trainer docs/examples/torch_trainer.py`.
The contract is docs/own-trainer.md.
"""

import csv
import json
import math
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F  # noqa: N812

PROBE = 128  # features are kept of the first so many images of `id`


class BiT:
    """The network. A parameter is made when it is first asked for, from the weight file or at random."""

    def __init__(self, job, random, device):
        backbone, self.classes = job["spec"]["backbone"], len(job["spec"]["target"]["classes"])
        if backbone["module"] or (job["weights"] and not job["weights"].endswith(".npz")):
            raise ValueError(f"{backbone['name']}: this trainer knows BiT from .npz files only")
        self.blocks, self.width = backbone["blocks"], round(64 * backbone["width"])
        self.file = np.load(job["weights"]) if job["weights"] else {}
        self.random, self.device, self.parameters = random, device, {}

    def parameter(self, name, *shape):
        if name not in self.parameters:
            if f"resnet/{name}" in self.file and not name.startswith("head"):
                values = self.file[f"resnet/{name}"]
            elif name.endswith("standardized_conv2d/kernel"):
                values = self.random.normal(size=shape) / math.sqrt(math.prod(shape[:3]))
            else:
                values = np.ones(shape) if name.endswith("gamma") else np.zeros(shape)
            values = values.transpose(3, 2, 0, 1).copy() if values.ndim == 4 else values  # to (out, in, h, w)
            made = torch.tensor(values, dtype=torch.float32, device=self.device)
            self.parameters[name] = made.requires_grad_()
        return self.parameters[name]

    def convolved(self, name, x, channels, size=1, stride=1):
        w = self.parameter(f"{name}/standardized_conv2d/kernel", size, size, x.shape[1], channels)
        variance, mean = torch.var_mean(w, dim=(1, 2, 3), keepdim=True, correction=0)
        return F.conv2d(x, (w - mean) / torch.sqrt(variance + 1e-10), stride=stride, padding=size // 2)

    def normed(self, name, x):
        gamma, beta = (self.parameter(f"{name}group_norm/{which}", x.shape[1]) for which in ("gamma", "beta"))
        return F.relu(F.group_norm(x, math.gcd(32, x.shape[1]), gamma, beta, eps=1e-5))

    def unit(self, name, x, channels, stride):
        out = self.normed(f"{name}/a/", x)
        if stride > 1 or x.shape[1] != 4 * channels:
            x = self.convolved(f"{name}/a/proj", out, 4 * channels, stride=stride)
        out = self.normed(f"{name}/b/", self.convolved(f"{name}/a", out, channels))
        out = self.normed(f"{name}/c/", self.convolved(f"{name}/b", out, channels, 3, stride))
        return x + self.convolved(f"{name}/c", out, 4 * channels)

    def __call__(self, x):
        """Logits of images (n, 3, h, w) in [-1, 1], and pooled features by stage."""
        x = F.max_pool2d(F.pad(self.convolved("root_block", x, self.width, 7, 2), (1, 1, 1, 1)), 3, 2)
        stages = {"root": x.mean((2, 3))}
        for block, units in enumerate(self.blocks):
            for unit in range(units):
                stride = 2 if block > 0 and unit == 0 else 1
                x = self.unit(f"block{block + 1}/unit{unit + 1:02d}", x, self.width * 2**block, stride)
            stages[f"block{block + 1}"] = x.mean((2, 3))
        features = stages["pre_logits"] = self.normed("", x).mean((2, 3))
        head = self.parameter("head/conv2d/kernel", features.shape[1], self.classes)
        return features @ head + self.parameter("head/conv2d/bias", self.classes), stages


class Images:
    """A set of the job: the rows of its table, and its array, which stays on the disk."""

    def __init__(self, given):
        with Path(given["examples"]).open(newline="", encoding="utf-8") as file:
            self.table = list(csv.DictReader(file))
        self.rows = np.array([int(row["row"]) for row in self.table])
        self.array = np.load(given["images"], mmap_mode="r")

    def column(self, name):
        return np.array([float(row[name]) for row in self.table], np.float32)


def inputs(images, device):
    """(n, h, w, 1 or 3) uint8 as the network's input."""
    scaled = (torch.from_numpy(np.ascontiguousarray(images)).to(device).float() - 127.5) / 127.5
    return scaled.permute(0, 3, 1, 2).expand(-1, 3, -1, -1)


def augmented(images, recipe, random):
    """Random squares of a batch, every other one mirrored if the recipe allows it."""
    crop = recipe["crop"]
    out = np.empty((*images.shape[:1], crop, crop, *images.shape[3:]), np.uint8)
    for i, (top, left) in enumerate(random.integers(recipe["resize"] - crop + 1, size=(len(images), 2))):
        square = images[i, top : top + crop, left : left + crop]
        out[i] = square[:, ::-1] if recipe["horizontal_flip"] and random.random() < 0.5 else square
    return out


def cross_entropy(logits, labels, kind):
    """Softmax over the classes; or the sum of a sigmoid each, where -1 is unknown and costs nothing."""
    if kind == "single-label":
        return F.cross_entropy(logits, labels)
    each = F.binary_cross_entropy_with_logits(logits, labels.clamp(min=0), reduction="none")
    return (each * (labels >= 0)).sum(1).mean()


def learning_rate(recipe, step):
    """Linear warm-up from 0, then a tenth past every decay step."""
    if step < recipe["warmup_steps"]:
        return recipe["base_learning_rate"] * step / recipe["warmup_steps"]
    return recipe["base_learning_rate"] / 10 ** sum(step > decay for decay in recipe["decay_steps"])


def fine_tune(folder, report):
    """Do what `job.json` in the folder asks for."""
    job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    recipe, target, begin = job["spec"]["recipe"], job["spec"]["target"], time.perf_counter()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.backends.cudnn.deterministic = True
    random = np.random.default_rng(job["spec"]["seed"])  # all that is drawn: the same seed, the same numbers
    sets = {name: Images(given) for name, given in job["sets"].items()}
    train, network = sets["train"], BiT(job, random, device)
    labels = np.stack([train.column(f"label/{name}") for name in target["classes"]], axis=1)

    @torch.no_grad()
    def scored(name, first=None):
        """Logits and features of a set, in the order of its table."""
        rows = sets[name].rows[:first]
        batches = np.array_split(rows, math.ceil(len(rows) / recipe["batch_size"]))
        logits, stages = zip(*(network(inputs(sets[name].array[b], device)) for b in batches), strict=True)
        features = {stage: torch.cat([each[stage] for each in stages]).cpu().numpy() for stage in stages[0]}
        return torch.cat(logits).cpu().numpy(), features

    # Training: SGD under the recipe's schedule; MixUp, where it is asked for, with the batch in reverse.
    start = scored("id", PROBE)[1]
    optimiser = torch.optim.SGD(network.parameters.values(), lr=0.0, momentum=recipe["momentum"])
    epochs = math.ceil(recipe["steps"] * recipe["batch_size"] / len(labels))
    order = np.concatenate([random.permutation(len(labels)) for _ in range(epochs)])
    trace = []
    for step in range(recipe["steps"]):
        batch = order[step * recipe["batch_size"] : (step + 1) * recipe["batch_size"]]
        x = inputs(augmented(train.array[train.rows[batch]], recipe, random), device)
        y = torch.from_numpy(labels[batch]).to(device)
        share = random.beta(recipe["mixup_alpha"], recipe["mixup_alpha"]) if recipe["mixup_alpha"] else 1.0
        logits = network(share * x + (1 - share) * x.flip(0))[0]
        loss = share * cross_entropy(logits, y, target["kind"])
        loss = loss + (1 - share) * cross_entropy(logits, y.flip(0), target["kind"])
        optimiser.param_groups[0]["lr"] = learning_rate(recipe, step)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if (step + 1) % max(1, recipe["steps"] // 50) == 0:
            rate = optimiser.param_groups[0]["lr"]
            trace.append({"step": step, "loss": loss.item(), "learning_rate": rate})
            report("train", step + 1, recipe["steps"])

    # What is left: logits of every set but `train`; and, if one likes, features and how it went.
    for name, given in job["sets"].items():
        if given["predictions"]:
            images, logits = [row["image"] for row in sets[name].table], scored(name)[0].tolist()
            with Path(given["predictions"]).open("w", newline="", encoding="utf-8") as file:
                table = csv.writer(file)
                table.writerow(["image", *(f"logit/{c}" for c in target["classes"])])
                table.writerows([image, *each] for image, each in zip(images, logits, strict=True))
    end = scored("id", PROBE)[1]
    features = {f"{at}/{stage}": of[stage] for at, of in (("start", start), ("end", end)) for stage in of}
    np.savez(folder / "features.npz", **features)
    about = {
        "platform": "gpu" if device.type == "cuda" else "cpu",
        "device": torch.cuda.get_device_name() if device.type == "cuda" else "",
        "libraries": {"torch": torch.__version__, "numpy": np.__version__},
        "timings": {"train": time.perf_counter() - begin},
        "trace": trace,
    }
    (folder / "trainer.json").write_text(json.dumps(about), encoding="utf-8")


def train(job):
    """As an installed entry point, in medbench's own process."""
    fine_tune(job.folder, job.report)


if __name__ == "__main__":  # as a script, also on a node of a cluster
    PROGRESS = Path(sys.argv[1], "progress")
    fine_tune(Path(sys.argv[1]), lambda stage, done, total: PROGRESS.write_text(f"{stage} {done} {total}\n"))
