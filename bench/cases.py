"""What is compared with the peer: a net at one size in training or inference, or what the machine can do.

Both sides import it in interpreters of their own, so it knows neither jax nor torch.
"""

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

BATCHES = 4
"""Different batches that a side goes through in turn."""
LEARNING_RATE = 1e-3
"""Small, so that hundreds of steps on random labels stay among ordinary numbers."""
MOMENTUM = 0.9
_PARAMS, _VELOCITY = "params/", "velocity/"
PROBLEM, ANSWER = "problem.npz", "answer.npz"
"""Files by which our side hands the peer its task, and its own answer to be held against."""


class Case(Protocol):
    """What one row of the table compares; both sides know it by its message."""

    @property
    def kind(self) -> str:
        """Which of `KINDS`."""

    @property
    def name(self) -> str:
        """Of the row."""

    @property
    def work(self) -> tuple[float, str]:
        """How much a step does, and the unit of so much in a second."""

    def as_message(self) -> dict[str, Any]:
        """For `of_message` on the other end of a pipe."""


@dataclass(frozen=True)
class NetCase:
    """A training step, or a batch of logits.

    Attributes:
      kind: a step of SGD with momentum, or logits.
      net: name of the architecture.
      blocks: units in each of its blocks.
      width: factor on its channels.
      size: pixels of the images that the net sees; training crops them from images larger by an eighth.
      batch: images at once.
      classes: columns of the logits.
    """

    kind: Literal["train", "infer"]
    net: str
    blocks: tuple[int, ...]
    width: float
    size: int
    batch: int = 32
    classes: int = 10

    @property
    def name(self) -> str:
        """Such as `train/r50x1/64px`."""
        return f"{self.kind}/{self.net}/{self.size}px"

    @property
    def work(self) -> tuple[float, str]:
        """Images."""
        return self.batch, "images/s"

    @property
    def image_size(self) -> int:
        """Pixels of the images that come in."""
        return self.size * 9 // 8 if self.kind == "train" else self.size

    def as_message(self) -> dict[str, Any]:
        """As of `Case`."""
        return asdict(self)


@dataclass(frozen=True)
class MachineCase:
    """What the machine does best: a matrix product, or a sum of long vectors.

    Attributes:
      kind: `matmul`, (m, k) by (k, n); or `triad`, a + 3 b of vectors.
      shape: (m, k, n), or the length of a vector alone.
    """

    kind: Literal["matmul", "triad"]
    shape: tuple[int, ...]

    @property
    def name(self) -> str:
        """Such as `machine/matmul/1024x1024x1024`."""
        return f"machine/{self.kind}/{'x'.join(map(str, self.shape))}"

    @property
    def work(self) -> tuple[float, str]:
        """Operations, or bytes that are read and written; both in billions."""
        if self.kind == "matmul":
            return 2 * math.prod(self.shape) / 1e9, "GFLOP/s"
        return 3 * 4 * self.shape[0] / 1e9, "GB/s"

    def as_message(self) -> dict[str, Any]:
        """As of `Case`."""
        return asdict(self)

    def arrays(self) -> list[NDArray[np.float32]]:
        """The two that are multiplied or added."""
        random = np.random.default_rng(0)
        shapes = [self.shape[:2], self.shape[1:]] if self.kind == "matmul" else [self.shape] * 2
        return [random.standard_normal(shape, np.float32) for shape in shapes]

    def difference(self, result: NDArray[np.float32]) -> float:
        """Of the first rows or entries from numpy's, relative to the largest."""
        one, other = self.arrays()
        expected = one[:8] @ other if self.kind == "matmul" else one[:8] + 3 * other[:8]
        return float(np.abs(result[:8] - expected).max() / np.abs(expected).max())


@dataclass(frozen=True)
class AcceleratorCase:
    """Training in bfloat16 on an accelerator.

    Attributes:
      kind: this one.
      net: name of the architecture.
      blocks: units in each of its blocks.
      width: factor on its channels.
      size: pixels of the images that the net sees; they are cropped from images larger by an eighth.
      batch: images in a step, at most.
      classes: columns of the logits.
    """

    kind: Literal["accelerator"]
    net: str
    blocks: tuple[int, ...]
    width: float
    size: int
    batch: int
    classes: int

    @property
    def name(self) -> str:
        """Such as `accelerator/r50x1/384px`."""
        return f"{self.kind}/{self.net}/{self.size}px"

    @property
    def work(self) -> tuple[float, str]:
        """Images, at most: each side says how many it really has in a step."""
        return self.batch, "images/s"

    def as_message(self) -> dict[str, Any]:
        """As of `Case`."""
        return asdict(self)


KINDS: dict[str, type] = {
    "train": NetCase,
    "infer": NetCase,
    "matmul": MachineCase,
    "triad": MachineCase,
    "accelerator": AcceleratorCase,
}


def of_message(message: dict[str, Any]) -> Any:
    """The case that `as_message` told, after a way through JSON, which knows no tuples."""
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in message.items()}
    return KINDS[message["kind"]](**values)


@dataclass(frozen=True)
class Problem:
    """What both sides work on.

    Attributes:
      params: path, such as `block1/unit01/a/group_norm/gamma`, -> array, as medbench names and lays them out.
      images: (batches, n, image_size, image_size, 3) uint8.
      labels: (batches, n) class of each image.
    """

    params: dict[str, NDArray[np.float32]]
    images: NDArray[np.uint8]
    labels: NDArray[np.int64]


def random_batches(case: NetCase) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images and labels of a problem."""
    random = np.random.default_rng(0)
    side = case.image_size
    images = random.integers(256, size=(BATCHES, case.batch, side, side, 3), dtype=np.uint8)
    return images, random.integers(case.classes, size=(BATCHES, case.batch))


def write_problem(folder: Path, problem: Problem) -> None:
    """Leave it for the other side."""
    arrays = {f"{_PARAMS}{path}": array for path, array in problem.params.items()}
    np.savez(folder / PROBLEM, images=problem.images, labels=problem.labels, **arrays)


def read_problem(folder: Path) -> Problem:
    """What `write_problem` left."""
    with np.load(folder / PROBLEM) as file:
        return Problem(_below(_PARAMS, file), file["images"], file["labels"])


@dataclass(frozen=True)
class Answer:
    """One step, or one batch of logits, from the beginning of a problem.

    Attributes:
      batch: (n, size, size, 3) uint8, the images that were taken, after crop and flip.
      logits: (n, classes), in inference.
      velocity: by path of its parameter, after the step in training: the gradient itself, which a
        difference of parameters would have but to a thousandth.
    """

    batch: NDArray[np.uint8]
    logits: NDArray[np.float32] | None = None
    velocity: dict[str, NDArray[np.float32]] | None = None


def write_answer(folder: Path, answer: Answer) -> None:
    """Leave it for the other side."""
    arrays = {f"{_VELOCITY}{path}": array for path, array in (answer.velocity or {}).items()}
    if answer.logits is not None:
        arrays["logits"] = answer.logits
    np.savez(folder / ANSWER, batch=answer.batch, **arrays)


def read_answer(folder: Path) -> Answer:
    """What `write_answer` left."""
    with np.load(folder / ANSWER) as file:
        logits = file.get("logits")
        return Answer(file["batch"], logits, _below(_VELOCITY, file) or None)


def _below(prefix: str, file: Any) -> dict[str, NDArray[np.float32]]:
    return {name.removeprefix(prefix): file[name] for name in file.files if name.startswith(prefix)}
