"""medbench's side of a comparison: its own training step and scoring, called as a run calls them."""

import time
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import traverse_util
from numpy.typing import NDArray

from bench import cases
from bench.cases import LEARNING_RATE, MOMENTUM, Answer, Case, MachineCase, NetCase, Problem
from bench.worker import Subject, serve
from medbench.models import bit
from medbench.training import heap, mesh, step
from medbench.training.scoring import Scorer
from medbench.training.step import Network, Objective

WARM_UP = 3
VARIANT = "medbench"
_KEY_SEED = 0


def prepare(case: Case, folder: Path) -> Subject:
    """The case compiled and warm; leaves a net's problem and our answer in the folder."""
    if isinstance(case, MachineCase):
        return Operation(case)
    assert isinstance(case, NetCase)
    problem = Problem(random_params(case), *cases.random_batches(case))
    cases.write_problem(folder, problem)
    subject = Training(case, problem) if case.kind == "train" else Inference(case, problem)
    cases.write_answer(folder, subject.answer)
    subject.run(VARIANT, WARM_UP)
    return subject


def random_params(case: NetCase) -> dict[str, NDArray[np.float32]]:
    """By path; the head is random too, as logits of zero would show nothing."""
    random = np.random.default_rng(1)
    tree = bit.init_params(case.blocks, case.width, case.classes, random)
    params = {"/".join(path): array for path, array in traverse_util.flatten_dict(tree).items()}
    head = "head/conv2d/kernel"
    params[head] = 0.05 * random.standard_normal(params[head].shape, np.float32)
    return params


class _Ours:
    def variants(self) -> list[str]:
        return [VARIANT]

    def difference(self, variant: str) -> float:  # noqa: ARG002
        return 0.0


class Training(_Ours):
    """The step that fine-tuning takes."""

    def __init__(self, case: NetCase, problem: Problem) -> None:
        self._problem = problem
        self._labels = np.eye(case.classes, dtype=np.int8)[problem.labels]
        self._network = _network(case)
        self._objective = Objective("single-label", case.size, True, 0.0, MOMENTUM)
        self._key = step.random_key(_KEY_SEED)
        self._state = step.start(_tree(problem.params))
        self._step = 0
        self.run(VARIANT, 1)
        augmentation, _ = jax.random.split(jax.random.fold_in(self._key, 0))
        batch = step.augment(augmentation, problem.images[0], case.size, flip=True)
        self.answer = Answer(np.array(batch), velocity=_flat(self._state.velocity))

    def run(self, variant: str, steps: int) -> float:  # noqa: ARG002
        """Seconds that so many steps take."""
        losses: list[Any] = []
        begin = time.perf_counter()
        for _ in range(steps):
            batch = self._step % len(self._problem.images)
            self._state, loss = step.train_step(
                self._state,
                self._problem.images[batch],
                self._labels[batch],
                learning_rate=np.float32(LEARNING_RATE),
                key=self._key,
                step=self._step,
                network=self._network,
                objective=self._objective,
            )
            losses.append(loss)
            step.keep_close(losses)
            self._step += 1
        jax.block_until_ready(self._state)
        return time.perf_counter() - begin

    def params(self) -> dict[str, NDArray[np.float32]]:
        """By path, as they are now."""
        return _flat(self._state.params)


class Inference(_Ours):
    """Scoring as it is done after training: many images, from memory to memory."""

    def __init__(self, case: NetCase, problem: Problem) -> None:
        self._images = problem.images.reshape(-1, *problem.images.shape[2:])
        self._batch = case.batch
        params = jax.tree.map(jax.numpy.asarray, _tree(problem.params))
        layout = mesh.over(mesh.devices_for(case.batch), params)
        self._scorer = Scorer(params, network=_network(case), batch_size=case.batch, layout=layout)
        logits = self._scorer.logits(problem.images[0])
        self.answer = Answer(problem.images[0], logits=logits)

    def run(self, variant: str, steps: int) -> float:  # noqa: ARG002
        """Seconds that so many batches take."""
        images = np.resize(self._images, (steps * self._batch, *self._images.shape[1:]))
        begin = time.perf_counter()
        self._scorer.logits(images)
        return time.perf_counter() - begin


class Operation(_Ours):
    """A product or a sum; the sum is written over one of its arguments, so that no memory is asked for."""

    def __init__(self, case: MachineCase) -> None:
        self._case = case
        self._one, self._other = map(jax.numpy.asarray, case.arrays())
        self._apply = _product if case.kind == "matmul" else _triad
        self._difference = case.difference(np.asarray(self._next()))
        self.run(VARIANT, WARM_UP)

    def difference(self, variant: str) -> float:  # noqa: ARG002
        """From numpy's result."""
        return self._difference

    def run(self, variant: str, steps: int) -> float:  # noqa: ARG002
        """Seconds that so many products or sums take."""
        begin = time.perf_counter()
        for _ in range(steps):
            result = self._next()
        jax.block_until_ready(result)
        return time.perf_counter() - begin

    def _next(self) -> Any:
        result = self._apply(self._one, self._other)
        if self._case.kind == "triad":
            self._one = result
        return result


@jax.jit
def _product(one: jax.Array, other: jax.Array) -> jax.Array:
    return one @ other


@partial(jax.jit, donate_argnums=0)
def _triad(one: jax.Array, other: jax.Array) -> jax.Array:
    return one + 3 * other


def _network(case: NetCase) -> Network:
    return Network(case.blocks, case.width, case.classes)


def _tree(params: dict[str, NDArray[np.float32]]) -> Any:
    return traverse_util.unflatten_dict({tuple(path.split("/")): array for path, array in params.items()})


def _flat(tree: Any) -> dict[str, NDArray[np.float32]]:
    return {"/".join(path): np.asarray(leaf) for path, leaf in traverse_util.flatten_dict(tree).items()}


if __name__ == "__main__":
    heap.keep()
    serve(prepare)
