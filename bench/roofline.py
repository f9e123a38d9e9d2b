"""What the machine can do at best, and what each part of a training step of ours reaches of it.

Parts are the layers that the net itself names, timed alone; what is measured of whole steps is elsewhere.
"""

import math
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from bench import cases, turns
from bench.cases import BATCHES, MOMENTUM, MachineCase, NetCase
from bench.ours import VARIANT, Training, random_params
from bench.table import Row
from medbench.models import bit, on_cpu
from medbench.training import heap

PRODUCTS = (
    (2048, 2048, 2048),
    (1024, 1024, 1024),
    (8192, 256, 64),
    (8192, 64, 256),
    (2048, 512, 128),
    (512, 1024, 256),
    (128, 2048, 512),
)
"""Square ones, and those that the 1x1 convolutions of R50x1 at 64 pixels are, batch 32."""
TRIAD = 2**24
"""Numbers in a vector: 64 MiB, more than any cache."""
TURN_SECONDS = 0.2
PASSES = {"group norm, relu": 8, "standardisation": 5, "optimiser": 5}
"""How often the numbers must be read or written at least, with gradients: a norm reads its map for the
statistics, again to apply them, and writes; its gradient reads map and gradient twice and writes."""


@dataclass(frozen=True)
class Limits:
    """The best that was seen on this machine, in a second.

    Attributes:
      operations: in a matrix product.
      bytes: read and written.
    """

    operations: float
    bytes: float

    def seconds(self, operations: float, moved: float) -> float:
        """Least time for so many operations and bytes."""
        return max(operations / self.operations, moved / self.bytes)


@dataclass(frozen=True)
class Layer:
    """A layer as the net calls it.

    Attributes:
      part: what it is counted among.
      shape: (n, height, width, c) of its input.
      size: of a convolution's kernel.
      stride: likewise.
      channels: that it gives out.
    """

    part: str
    shape: tuple[int, ...]
    size: int = 1
    stride: int = 1
    channels: int = 0

    @property
    def output(self) -> tuple[int, ...]:
        """(n, height / stride, width / stride, channels), rounded up."""
        n, height, width, _ = self.shape
        return n, -(-height // self.stride), -(-width // self.stride), self.channels

    @property
    def kernel(self) -> tuple[int, ...]:
        """(size, size, in, out)."""
        return self.size, self.size, self.shape[-1], self.channels

    @property
    def operations(self) -> int:
        """Multiplications and additions of the convolution; its gradient takes twice as many once more."""
        return 2 * math.prod(self.output) * math.prod(self.kernel[:3])


@dataclass
class Part:
    """All layers of one kind.

    Attributes:
      forward: seconds in a step, without gradients.
      whole: seconds in a step, with gradients.
      least: seconds that the machine's limits allow, with gradients.
      layers: how many they are.
      operations: of convolutions, with gradients.
    """

    forward: float = 0.0
    whole: float = 0.0
    least: float = 0.0
    layers: int = 0
    operations: float = 0.0

    def add(self, times: int, forward: float, whole: float, least: float, operations: float = 0.0) -> None:
        """Count a layer so many times."""
        self.forward += times * forward
        self.whole += times * whole
        self.least += times * least
        self.operations += times * operations
        self.layers += times


def rows(pythons: Mapping[str, str], repetitions: int, sizes: Iterable[int] = (64, 128)) -> Iterator[Row]:
    """What the machine does, then what the parts of R50x1's step take.

    Args:
      pythons: interpreter of each side, `ours` and perhaps `peer`.
      repetitions: of every measurement.
      sizes: pixels.
    """
    heap.keep()  # as a run has it
    best = {"GFLOP/s": 0.0, "GB/s": 0.0}
    machine = [MachineCase("matmul", shape) for shape in PRODUCTS] + [MachineCase("triad", (TRIAD,))]
    with turns.workers(pythons) as sides:
        for case in machine:
            row = turns.row_of(case, turns.compare(case, sides, repetitions))
            best[row.unit] = max(best[row.unit], row.ours, row.peer or 0.0)
            yield row
    limits = Limits(1e9 * best["GFLOP/s"], 1e9 * best["GB/s"])
    for size in sizes:
        yield from of_step(NetCase("train", "r50x1", (3, 4, 6, 3), 1.0, size), limits, repetitions)


def of_step(case: NetCase, limits: Limits, repetitions: int) -> Iterator[Row]:
    """Milliseconds of every part beside the least that the limits allow, and of the whole step.

    Args:
      case: of training.
      limits: of the machine.
      repetitions: of every measurement; medians are taken.
    """
    found = parts(case, limits, repetitions)
    whole = step_seconds(case, repetitions)
    least = sum(part.least for part in found.values())
    name = f"{case.net}/{case.size}px"
    for title, part in found.items():
        reached = f"{part.operations / part.whole / 1e9:.0f} GFLOP/s, " if part.operations else ""
        note = (
            f"{part.layers} layers, {1e3 * part.forward:.3g} ms without gradient, {reached}"
            f"{part.whole / whole:.0%} of the step"
        )
        yield _row(f"part/{name}/{title}", part.whole, part.least, note)
    measured = sum(part.whole for part in found.values())
    yield _row(f"part/{name}/all parts", measured, least, f"{measured / whole:.0%} of the step")
    yield _row(f"part/{name}/step", whole, least, "as training takes it")


def parts(case: NetCase, limits: Limits, repetitions: int) -> dict[str, Part]:
    """By name of the part, its layers timed alone."""
    found: dict[str, Part] = defaultdict(Part)
    for layer, times in Counter(layers(case)).items():
        found[layer.part].add(times, *_timed(layer, limits, repetitions))
    params = {
        name: jnp.asarray(array) for name, array in random_params(case).items() if name.endswith("/kernel")
    }
    del params["head/conv2d/kernel"]
    size = 4 * sum(array.size for array in params.values())
    standardized = partial(jax.tree.map, bit.standardized)
    forward, whole = _forward_and_gradient(standardized, (params,), repetitions)
    found["standardisation"].add(1, forward, whole, limits.seconds(0, PASSES["standardisation"] * size))
    seconds = _optimiser_seconds(params, repetitions)
    found["optimiser"].add(1, 0.0, seconds, limits.seconds(0, PASSES["optimiser"] * size))
    return dict(found)


def layers(case: NetCase) -> list[Layer]:
    """Every convolution, norm and maximum of the net, in the order in which it calls them."""
    called: list[Layer] = []

    def note(following: Callable[..., Any], args: Any, kwargs: Any, context: Any) -> Any:
        if context.method_name == "__call__" and (layer := _layer(context.module, args)) is not None:
            called.append(layer)
        return following(*args, **kwargs)

    model = bit.BiT(case.blocks, case.width, case.classes, program=bit.Program(platform="cpu"))
    image = jax.ShapeDtypeStruct((case.batch, case.size, case.size, 3), jnp.float32)
    params = bit.param_shapes(case.blocks, case.width, case.classes)
    with nn.intercept_methods(note):
        jax.eval_shape(model.apply, {"params": params}, image)
    root = called[0].output
    return [called[0], Layer("max-pool", root, 3, 2, root[-1]), *called[1:]]


def _layer(module: nn.Module, args: Any) -> Layer | None:
    if not isinstance(module, bit.GroupNormRelu | bit.StandardizedConv2D):
        return None
    channels, height, width, n = args[0].shape  # of a map on a CPU
    shape = (n, height, width, channels)
    if isinstance(module, bit.GroupNormRelu):
        return Layer("group norm, relu", shape, channels=channels)
    stage = module.path[0].removesuffix("_block")
    return Layer(
        f"{module.size}x{module.size} in {stage}", shape, module.size, module.stride, module.channels
    )


def _timed(layer: Layer, limits: Limits, repetitions: int) -> tuple[float, float, float, float]:
    """Seconds forward, seconds with gradient, least seconds, operations with gradient."""
    random = np.random.default_rng(0)
    x = on_cpu.entered(jnp.asarray(random.standard_normal(layer.shape, np.float32)))
    put_in, put_out = 4 * math.prod(layer.shape), 4 * math.prod(layer.output)
    if layer.part == "max-pool":
        times = _forward_and_gradient(on_cpu.max_pool, (x,), repetitions)
        return *times, limits.seconds(0, 3 * put_in + 3 * put_out), 0.0
    if layer.part in PASSES:
        gain = jnp.ones(layer.channels), jnp.zeros(layer.channels)
        times = _forward_and_gradient(on_cpu.norm_relu, (x, *gain), repetitions)
        return *times, limits.seconds(0, PASSES[layer.part] * put_in), 0.0
    kernel = jnp.asarray(random.standard_normal(layer.kernel, np.float32))
    convolve = partial(on_cpu.convolve, stride=layer.stride)
    is_root = layer.shape[-1] == 3  # images need no gradient
    if is_root:
        times = _forward_and_gradient(lambda kernel: convolve(x, kernel), (kernel,), repetitions)
    else:
        times = _forward_and_gradient(convolve, (x, kernel), repetitions)
    operations = (2 if is_root else 3) * layer.operations
    moved = 3 * (put_in + put_out + 4 * math.prod(layer.kernel))
    return *times, limits.seconds(operations, moved), operations


def _forward_and_gradient(
    function: Callable[..., Any], args: tuple[Any, ...], repetitions: int
) -> tuple[float, float]:
    """Median seconds of the function, and of it with the gradients by all its arguments."""
    cotangent = jax.tree.map(lambda leaf: jnp.ones(leaf.shape, leaf.dtype), jax.eval_shape(function, *args))

    def with_gradient(cotangent: Any, *args: Any) -> Any:
        result, pull_back = jax.vjp(function, *args)
        return result, pull_back(cotangent)

    return seconds(jax.jit(function), args, repetitions), seconds(
        jax.jit(with_gradient), (cotangent, *args), repetitions
    )


def _optimiser_seconds(params: Any, repetitions: int) -> float:
    """Of momentum and update, written over what is there."""

    @partial(jax.jit, donate_argnums=(0, 1))
    def update(params: Any, velocity: Any, gradient: Any) -> tuple[Any, Any]:
        velocity = jax.tree.map(lambda v, g: MOMENTUM * v + g, velocity, gradient)
        return jax.tree.map(lambda p, v: p - 1e-3 * v, params, velocity), velocity

    gradient = jax.tree.map(jnp.ones_like, params)
    state = [jax.tree.map(jnp.array, params), jax.tree.map(jnp.zeros_like, params)]

    def once() -> Any:
        state[:] = update(*state, gradient)
        return state

    return seconds(once, (), repetitions)


def step_seconds(case: NetCase, repetitions: int) -> float:
    """Of a whole training step, as the comparison with the peer takes it."""
    problem = cases.Problem(random_params(case), *cases.random_batches(case))
    training = Training(case, problem)
    training.run(VARIANT, BATCHES)
    return median(training.run(VARIANT, 1) for _ in range(repetitions))


def seconds(function: Callable[..., Any], args: tuple[Any, ...], repetitions: int) -> float:
    """Median time of a call, after one that compiles and one that shows how many make a turn."""
    jax.block_until_ready(function(*args))
    calls = max(1, math.ceil(TURN_SECONDS / _turn(function, args, 1)))
    return median(_turn(function, args, calls) / calls for _ in range(repetitions))


def _turn(function: Callable[..., Any], args: tuple[Any, ...], calls: int) -> float:
    begin = time.perf_counter()
    for _ in range(calls):
        result = function(*args)
    jax.block_until_ready(result)
    return time.perf_counter() - begin


def _row(name: str, measured: float, least: float, note: str) -> Row:
    return Row(name, 1e3 * measured, 1e3 * least, least / measured, "ms", note=note)
