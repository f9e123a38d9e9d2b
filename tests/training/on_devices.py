"""Looks at the layouts of a process with several devices, and prints what it sees as JSON."""

import json
import re
import sys
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np

from medbench.models import bit
from medbench.training import mesh
from medbench.training import step as steps
from medbench.training.cache import enable

SIZE, BATCH = 16, 16
OBJECTIVE = steps.Objective("single-label", SIZE, horizontal_flip=True, mixup_alpha=0.1, momentum=0.9)
KEY = steps.random_key(3)
RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.integers(0, 256, (40, SIZE + 4, SIZE + 4, 3), np.uint8)
LABELS = np.eye(2, dtype=np.int8)[np.arange(40) % 2]
ROWS = RANDOM.permutation(40)[:BATCH]
MOVES = ("all-reduce", "all-gather", "all-to-all")


def moved(compiled):
    """The shapes of what devices exchange, by operation."""
    text = compiled.as_text()
    return {
        name: [
            re.sub(r"\{[\d,]*\}", "", shape) for shape in re.findall(rf"= (\S+) {name}(?:-start)?\(", text)
        ]
        for name in ("all-gather", "all-to-all", "reduce-scatter")
    } | {"all-reduce": re.findall(r" all-reduce(?:-start)?\(", text)}  # of whole trees of shapes


def of_layout(layout, params):
    network = replace(steps.Network((1, 1), 0.25, 2), over=layout.mesh)
    state = steps.start(layout.params(params))
    batch = layout.rows(IMAGES, ROWS), layout.rows(LABELS, ROWS)
    options = {"learning_rate": np.float32(0.01), "key": KEY, "network": network, "objective": OBJECTIVE}
    predict = steps.predict_step.lower(state.params, batch[0], network=network).compile()
    train = steps.train_step.lower(state, *batch, step=0, **options).compile()
    accelerated = options | {"network": replace(network, program=bit.Program(platform="tpu"))}
    in_parts = steps.train_step.lower(state, *batch, step=0, parts=2, **accelerated).compile()
    before = jax.tree.map(lambda leaf: leaf.sharding, state)
    compiled = steps.train_step._cache_size()
    for step in range(3):
        state, _ = steps.train_step(state, *batch, step=step, **options)
    kept = layout.kept(state)
    return {
        "velocity lies as parameters": before.params == before.velocity,
        "kept without moving": jax.tree.map(lambda leaf: leaf.sharding, state) == before
        and jax.tree.map(lambda leaf: leaf.sharding, kept) == before,
        "compiled": steps.train_step._cache_size() - compiled,
        "train": moved(train),
        "predict": moved(predict),
        "in parts": moved(in_parts),
    }


def divided_axis(layout, shape):
    spec = layout.params({"": np.zeros(shape, np.float32)})[""].sharding.spec
    return list(spec).index(mesh.AXIS) if mesh.AXIS in spec else None


def main(folder):
    enable(folder / "xla")
    params = bit.init_params((1, 1), 0.25, 2, RANDOM)
    size = sum(leaf.nbytes for leaf in jax.tree.leaves(params))
    devices = mesh.devices_for(BATCH)
    copied, divided = (mesh.over(devices, params, sharded_from=n) for n in (size + 1, size))
    crop = jax.jit(lambda images: steps.augment(KEY, images, SIZE, flip=True))
    shapes = [(7, 7, 3, 16), (1, 1, 64, 32), (3, 3, 16, 16), (16,), (3, 5), ()]
    leaves = jax.tree.leaves(params)
    seen = {
        "devices": {n: len(mesh.devices_for(n)) for n in (32, 8, 12, 20, 9, 7, 11, 1)},
        "divided axes": {",".join(map(str, shape)): divided_axis(divided, shape) for shape in shapes},
        "copied below": {"of as many bytes": divided.sharded, "of a byte less": copied.sharded},
        "same crops": bool(
            (np.asarray(crop(copied.rows(IMAGES, ROWS))) == np.asarray(crop(IMAGES[ROWS]))).all()
        ),
        "shapes of divided": [
            f"f32[{','.join(map(str, leaf.shape))}]"
            for leaf in leaves
            if divided_axis(divided, leaf.shape) is not None
        ],
        "copied": of_layout(copied, params),
        "divided": of_layout(divided, params),
    }
    print(json.dumps(seen))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
