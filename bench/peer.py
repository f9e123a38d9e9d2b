"""The peer's side of a comparison: BiT and its training step as good PyTorch, four variants (extra `oracle`).

Eager and compiled, in both memory formats; the best of them is the peer. Nothing of medbench enters.
"""

import copy
import itertools
import os
import time
from collections import OrderedDict
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from bench import cases
from bench.cases import LEARNING_RATE, MOMENTUM, Answer, Case, MachineCase, NetCase, Problem
from bench.worker import Subject, serve

WARM_UP = 3
FORMATS = {"contiguous": torch.contiguous_format, "channels-last": torch.channels_last}
MODES = ("eager", "compiled")
VARIANTS = [f"{mode}, {form}" for mode, form in itertools.product(MODES, FORMATS)]


class StandardConv(nn.Conv2d):
    """A convolution without bias whose kernel is standardised first."""

    def __init__(self, inputs: int, outputs: int, size: int, stride: int = 1) -> None:
        super().__init__(inputs, outputs, size, stride, padding=size // 2, bias=False)

    def standardized(self) -> Tensor:
        """Mean 0 and variance 1 in each output channel."""
        variance, mean = torch.var_mean(self.weight, dim=(1, 2, 3), keepdim=True, correction=0)
        return (self.weight - mean) * torch.rsqrt(variance + 1e-10)

    def forward(self, x: Tensor) -> Tensor:
        """(n, in, h, w) to (n, out, h / stride, w / stride)."""
        return functional.conv2d(x, self.standardized(), None, self.stride, self.padding)

    def plain(self) -> nn.Conv2d:
        """The same map with the standardised kernel as its own, for inference."""
        conv = nn.Conv2d(
            self.in_channels, self.out_channels, self.kernel_size, self.stride, self.padding, bias=False
        )
        conv.weight = nn.Parameter(self.standardized().detach())
        return conv


class NormRelu(nn.GroupNorm):
    """Group normalisation in 32 groups, or as many as a small net's channels allow, and ReLU in place."""

    def __init__(self, channels: int) -> None:
        super().__init__(int(np.gcd(32, channels)), channels, eps=1e-5)

    def forward(self, x: Tensor) -> Tensor:
        """Of the same shape."""
        return functional.relu(super().forward(x), inplace=True)


class Convolution(nn.Module):
    """Holds the convolution under its released name."""

    def __init__(self, inputs: int, outputs: int, size: int, stride: int) -> None:
        super().__init__()
        self.standardized_conv2d = StandardConv(inputs, outputs, size, stride)

    def forward(self, x: Tensor) -> Tensor:
        """(n, in, h, w) to (n, out, h / stride, w / stride)."""
        return self.standardized_conv2d(x)


class Layer(nn.Module):
    """Group normalisation, ReLU, convolution; the first of a block has the shortcut's projection too."""

    def __init__(self, inputs: int, outputs: int, size: int = 1, stride: int = 1) -> None:
        super().__init__()
        self.group_norm = NormRelu(inputs)
        self.standardized_conv2d = StandardConv(inputs, outputs, size, stride)
        self.proj: Convolution | None = None

    def forward(self, x: Tensor) -> Tensor:
        """(n, in, h, w) to (n, out, h / stride, w / stride)."""
        return self.standardized_conv2d(self.group_norm(x))


class Unit(nn.Module):
    """A pre-activation bottleneck."""

    def __init__(self, inputs: int, middle: int, stride: int, *, first: bool) -> None:
        super().__init__()
        self.a = Layer(inputs, middle)
        self.b = Layer(middle, middle, 3, stride)
        self.c = Layer(middle, 4 * middle)
        if first:
            self.a.proj = Convolution(inputs, 4 * middle, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        """(n, in, h, w) to (n, 4 * middle, h / stride, w / stride)."""
        active = self.a.group_norm(x)
        shortcut = x if self.a.proj is None else self.a.proj(active)
        out = self.c(self.b(self.a.standardized_conv2d(active)))
        out += shortcut
        return out


class Net(nn.Module):
    """BiT, its modules named as in the released files."""

    def __init__(self, blocks: tuple[int, ...], width: float, classes: int) -> None:
        super().__init__()
        root = inputs = int(64 * width)
        self.root_block = Convolution(3, inputs, 7, 2)
        for index, units in enumerate(blocks):
            middle = root * 2**index
            block = OrderedDict()
            for number in range(1, units + 1):
                stride = 2 if index and number == 1 else 1
                block[f"unit{number:02d}"] = Unit(inputs, middle, stride, first=number == 1)
                inputs = 4 * middle
            setattr(self, f"block{index + 1}", nn.Sequential(block))
        self.group_norm = NormRelu(inputs)
        self.head = nn.ModuleDict({"conv2d": nn.Conv2d(inputs, classes, 1)})

    def forward(self, images: Tensor) -> Tensor:
        """Logits of images (n, 3, h, w) of bytes, in any memory format that the weights are in too."""
        x = (images.float() - 127.5) / 127.5
        x = functional.max_pool2d(functional.pad(self.root_block(x), (1, 1, 1, 1)), 3, 2)
        for block in (self.block1, self.block2, self.block3, self.block4):
            x = block(x)
        x = self.group_norm(x).mean(dim=(2, 3), keepdim=True)
        return self.head["conv2d"](x)[:, :, 0, 0]


def prepare(case: Case, folder: Path) -> Subject:
    """The case in every variant, compiled and warm; reads what our side left in the folder."""
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    if isinstance(case, MachineCase):
        return Operation(case)
    assert isinstance(case, NetCase)
    return Variants(case, cases.read_problem(folder), cases.read_answer(folder))


class Variants:
    """The variants of one case."""

    def __init__(self, case: NetCase, problem: Problem, answer: Answer) -> None:
        torch._dynamo.reset()  # nothing of the case before may count as a recompilation
        kind = Training if case.kind == "train" else Inference
        self._variants = {name: kind(case, problem, *name.split(", ")) for name in VARIANTS}
        self._differences = {name: one.difference(answer) for name, one in self._variants.items()}
        for one in self._variants.values():
            one.run(WARM_UP)

    def variants(self) -> list[str]:
        """Names of the four."""
        return list(self._variants)

    def difference(self, variant: str) -> float:
        """As it was before the warm-up."""
        return self._differences[variant]

    def run(self, variant: str, steps: int) -> float:
        """Seconds that so many steps take."""
        return self._variants[variant].run(steps)


class Training:
    """SGD with momentum on random crops and flips."""

    def __init__(self, case: NetCase, problem: Problem, mode: str, form: str) -> None:
        self._problem, self._format, self._size = problem, FORMATS[form], case.size
        self.net = loaded(case, problem).to(memory_format=self._format)
        self._optimiser = torch.optim.SGD(self.net.parameters(), LEARNING_RATE, momentum=MOMENTUM, fused=True)
        self._apply = torch.compile(self._loss, dynamic=False) if mode == "compiled" else self._loss
        self._random = np.random.default_rng(0)
        self._step = 0

    def _loss(self, images: Tensor, labels: Tensor) -> Tensor:
        return functional.cross_entropy(self.net(images), labels)

    def step(self, squares: Tensor, labels: NDArray[np.int64]) -> Tensor:
        """Update by bytes (n, 3, size, size); the loss."""
        loss = self._apply(squares.contiguous(memory_format=self._format), torch.from_numpy(labels))
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self._optimiser.step()
        return loss

    def run(self, steps: int) -> float:
        """Seconds that so many steps take."""
        begin = time.perf_counter()
        for _ in range(steps):
            batch = self._step % len(self._problem.images)
            squares = augment(self._problem.images[batch], self._size, self._random)
            self.step(squares, self._problem.labels[batch])
            self._step += 1
        return time.perf_counter() - begin

    def difference(self, answer: Answer) -> float:
        """Of the first step's velocity from ours: Euclidean norm over all parameters, relative."""
        assert answer.velocity is not None
        self.step(torch.from_numpy(answer.batch).permute(0, 3, 1, 2), self._problem.labels[0])
        apart = length = 0.0
        for place, parameter in self.net.named_parameters():
            theirs = self._optimiser.state[parameter]["momentum_buffer"].numpy()
            ours = turned(answer.velocity[path_of(place)])
            apart += np.square(theirs - ours, dtype=np.float64).sum()
            length += np.square(ours, dtype=np.float64).sum()
        return float(np.sqrt(apart / length))


class Inference:
    """Logits, with kernels standardised once beforehand."""

    def __init__(self, case: NetCase, problem: Problem, mode: str, form: str) -> None:
        self._images, self._format = problem.images, FORMATS[form]
        self._net = folded(loaded(case, problem)).eval().to(memory_format=self._format)
        # Frozen weights are laid out beforehand as the convolutions want them.
        options = {"freezing": True}
        self._apply = (
            torch.compile(self._net, dynamic=False, options=options) if mode == "compiled" else self._net
        )

    @torch.inference_mode()
    def logits(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(n, classes) of (n, h, w, 3)."""
        batch = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous(memory_format=self._format)
        return self._apply(batch).numpy()

    def run(self, steps: int) -> float:
        """Seconds that so many batches take."""
        begin = time.perf_counter()
        for number in range(steps):
            self.logits(self._images[number % len(self._images)])
        return time.perf_counter() - begin

    def difference(self, answer: Answer) -> float:
        """Largest difference of logits from ours, relative to the largest logit."""
        assert answer.logits is not None
        apart = np.abs(self.logits(answer.batch) - answer.logits).max()
        return float(apart / np.abs(answer.logits).max())


class Operation:
    """A product or a sum, written over what is there, so that no memory is asked for."""

    def __init__(self, case: MachineCase) -> None:
        self._one, self._other = map(torch.from_numpy, case.arrays())
        self._product = case.kind == "matmul"
        self._out = torch.empty(case.shape[0], *case.shape[2:])
        self.run("eager", 1)
        self._difference = case.difference(self._out.numpy())
        self.run("eager", WARM_UP)

    def variants(self) -> list[str]:
        """The one that there is."""
        return ["eager"]

    def difference(self, variant: str) -> float:  # noqa: ARG002
        """From numpy's result."""
        return self._difference

    def run(self, variant: str, steps: int) -> float:  # noqa: ARG002
        """Seconds that so many products or sums take."""
        begin = time.perf_counter()
        for _ in range(steps):
            if self._product:
                torch.mm(self._one, self._other, out=self._out)
            else:
                torch.add(self._one, self._other, alpha=3, out=self._out)
        return time.perf_counter() - begin


def augment(images: NDArray[np.uint8], size: int, random: np.random.Generator) -> Tensor:
    """A random square of every image, every other one mirrored at random.

    Args:
      images: (n, side, side, 3).
      size: pixels of the square.
      random: consumed.

    Returns:
      (n, 3, size, size) uint8, laid out as the images are.
    """
    corners = random.integers(images.shape[1] - size + 1, size=(len(images), 2))
    squares = np.stack(
        [image[y : y + size, x : x + size] for image, (y, x) in zip(images, corners, strict=True)]
    )
    mirrored = random.random(len(images)) < 0.5
    squares[mirrored] = squares[mirrored, :, ::-1]
    return torch.from_numpy(squares).permute(0, 3, 1, 2)


def folded(net: Net) -> Net:
    """A copy that computes the same with plain convolutions."""
    net = copy.deepcopy(net)
    for parent in list(net.modules()):
        for name, child in parent.named_children():
            if isinstance(child, StandardConv):
                setattr(parent, name, child.plain())
    return net


@torch.no_grad()
def loaded(case: NetCase, problem: Problem) -> Net:
    """The net with the problem's parameters."""
    net = Net(case.blocks, case.width, case.classes)
    for place, parameter in net.named_parameters():
        parameter.copy_(torch.from_numpy(turned(problem.params[path_of(place)])))
    return net


def turned(array: NDArray[np.float32]) -> NDArray[np.float32]:
    """A kernel (height, width, in, out) as PyTorch lays it out; others as they are."""
    return np.ascontiguousarray(array.transpose(3, 2, 0, 1) if array.ndim == 4 else array)


def path_of(place: str) -> str:
    """The path in a problem of a parameter that PyTorch names, such as `group_norm.weight`."""
    *names, kind = place.split(".")
    norm = {"weight": "gamma", "bias": "beta"}
    other = {"weight": "kernel", "bias": "bias"}
    return "/".join([*names, (norm if names[-1] == "group_norm" else other)[kind]])


if __name__ == "__main__":
    serve(prepare)
