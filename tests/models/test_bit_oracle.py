"""Against transformers' BiT, somebody else's port of the same code (extra `oracle`)."""

import jax
import numpy as np
import pytest

from medbench.models import bit
from tests.models import plain

torch = pytest.importorskip("torch", reason="the extra `oracle` is not installed")
transformers = pytest.importorskip("transformers", reason="the extra `oracle` is not installed")

LAYERS = {"a": 1, "b": 2, "c": 3}


def theirs(params, blocks, width, images):
    """Logits and pooled hidden states of transformers' net under our parameters, in double precision."""
    channels, classes = int(64 * width), params["head"]["conv2d"]["bias"].shape[0]
    config = transformers.BitConfig(
        embedding_size=channels,
        hidden_sizes=[4 * channels * 2**block for block in range(4)],
        depths=list(blocks),
        num_labels=classes,
    )
    net = transformers.BitForImageClassification(config).double().eval()
    net.load_state_dict({name: torch.from_numpy(value) for name, value in their_names(params).items()})
    with torch.no_grad():
        out = net(torch.from_numpy(images.transpose(0, 3, 1, 2)).double(), output_hidden_states=True)
    stages = ("root", "block1", "block2", "block3", "block4")
    return out.logits.numpy(), {
        stage: state.mean(dim=(2, 3)).numpy() for stage, state in zip(stages, out.hidden_states, strict=True)
    }


def their_names(params):
    """Our parameters as their state: kernels are (out, in, height, width) there."""
    state = {
        "bit.embedder.convolution.weight": turned(params["root_block"]),
        "bit.norm.weight": params["group_norm"]["gamma"],
        "bit.norm.bias": params["group_norm"]["beta"],
        "classifier.1.weight": params["head"]["conv2d"]["kernel"][0, 0].T,
        "classifier.1.bias": params["head"]["conv2d"]["bias"],
    }
    for block in range(4):
        for index, unit in enumerate(params[f"block{block + 1}"].values()):
            prefix = f"bit.encoder.stages.{block}.layers.{index}"
            for name, number in LAYERS.items():
                state[f"{prefix}.conv{number}.weight"] = turned(unit[name])
                state[f"{prefix}.norm{number}.weight"] = unit[name]["group_norm"]["gamma"]
                state[f"{prefix}.norm{number}.bias"] = unit[name]["group_norm"]["beta"]
            if "proj" in unit["a"]:
                state[f"{prefix}.downsample.conv.weight"] = turned(unit["a"]["proj"])
    return {name: np.array(value, np.float64) for name, value in state.items()}


def turned(layer):
    return layer["standardized_conv2d"]["kernel"].transpose(3, 2, 0, 1)


CASES = pytest.mark.parametrize(
    ("blocks", "width", "side"), [((1, 1, 1, 1), 0.5, 64), ((1, 2, 1, 1), 0.5, 75), ((3, 4, 6, 3), 1, 64)]
)


@CASES
def test_transformers_net_agrees_on_the_same_random_weights(
    random_params, record_property, blocks, width, side
):
    """Their epsilon, 1e-8 against 1e-10, moves a kernel of variance 1e-3 by 5e-6 of itself: float32 noise."""
    params = random_params(blocks, width, 5)
    images = np.random.default_rng(1).uniform(-1, 1, (2, side, side, 3)).astype(np.float32)
    logits, stages = jax.jit(bit.BiT(blocks, width, 5).apply)({"params": params}, images)
    expected_logits, expected_stages = theirs(params, blocks, width, images)
    difference = float(np.abs(logits - expected_logits).max())
    record_property("largest_logit_difference", difference)
    print(f"largest difference of logits {difference:.2g}, logits up to {np.abs(expected_logits).max():.2g}")
    plain.assert_close(logits, expected_logits, "logits")
    for stage, expected in expected_stages.items():
        plain.assert_close(stages[stage], expected, stage)


def test_the_epsilon_is_all_that_sets_transformers_net_apart(random_params, monkeypatch):
    """In double precision the two differ by their epsilons' effect; with equal ones by rounding alone."""
    blocks, width = (1, 1, 1, 1), 0.5
    params = random_params(blocks, width, 5)
    images = np.random.default_rng(1).uniform(-1, 1, (2, 64, 64, 3)).astype(np.float32)
    expected = plain.forward(params, images)[0]
    convolution = transformers.models.bit.modeling_bit.WeightStandardizedConv2d
    build = convolution.__init__

    def with_our_epsilon(self, *args, **kwargs):
        build(self, *args, **kwargs | {"eps": bit.KERNEL_EPSILON})

    apart = np.abs(theirs(params, blocks, width, images)[0] - expected).max()
    monkeypatch.setattr(convolution, "__init__", with_our_epsilon)
    together = np.abs(theirs(params, blocks, width, images)[0] - expected).max()
    print(f"double precision: {apart:.2g} apart, {together:.2g} with equal epsilons")
    assert together < 1e-10 < apart < 1e-3
