"""BiT once more, in plain numpy and float64, written from the paper's description and not from ours."""

import numpy as np


def forward(params, images):
    """Logits and pooled stages of `images` (n, h, w, 3) for a parameter tree, as medbench names them."""
    x = np.asarray(images, np.float64)
    x = convolution(x, kernel_of(params["root_block"]), stride=2, padding=3)
    x = maximum(x)
    pooled = {"root": x.mean(axis=(1, 2))}
    for number in range(1, 5):
        block = params[f"block{number}"]
        for unit in sorted(block):
            first_of_a_smaller_map = number > 1 and unit == "unit01"
            x = bottleneck(x, block[unit], stride=2 if first_of_a_smaller_map else 1)
        pooled[f"block{number}"] = x.mean(axis=(1, 2))
    pooled["pre_logits"] = normalised(x, params["group_norm"]).mean(axis=(1, 2))
    head = params["head"]["conv2d"]
    logits = pooled["pre_logits"] @ np.float64(head["kernel"])[0, 0] + np.float64(head["bias"])
    return logits, pooled


def bottleneck(x, unit, stride):
    out = normalised(x, unit["a"]["group_norm"])
    shortcut = x
    if "proj" in unit["a"]:
        shortcut = convolution(out, kernel_of(unit["a"]["proj"]), stride, padding=0)
    out = convolution(out, kernel_of(unit["a"]), stride=1, padding=0)
    out = normalised(out, unit["b"]["group_norm"])
    out = convolution(out, kernel_of(unit["b"]), stride, padding=1)
    out = normalised(out, unit["c"]["group_norm"])
    return shortcut + convolution(out, kernel_of(unit["c"]), stride=1, padding=0)


def kernel_of(layer):
    """The layer's kernel, each output channel brought to mean 0 and variance 1."""
    kernel = np.array(layer["standardized_conv2d"]["kernel"], np.float64)
    for channel in range(kernel.shape[3]):
        one = kernel[..., channel]
        kernel[..., channel] = (one - one.mean()) / np.sqrt(one.var() + 1e-10)
    return kernel


def normalised(x, norm, groups=None):
    """ReLU of the group normalisation, one image and one group at a time."""
    channels = x.shape[3]
    groups = groups or max(g for g in (1, 2, 4, 8, 16, 32) if channels % g == 0)
    out = np.empty_like(x)
    for image in range(len(x)):
        for group in np.split(np.arange(channels), groups):
            values = x[image][..., group]
            out[image][..., group] = (values - values.mean()) / np.sqrt(values.var() + 1e-5)
    return np.maximum(out * np.float64(norm["gamma"]) + np.float64(norm["beta"]), 0)


def convolution(x, kernel, stride, padding):
    """Each output place in turn: the window it sees, times the kernel, summed."""
    x = np.pad(x, [(0, 0), (padding, padding), (padding, padding), (0, 0)])
    size = kernel.shape[0]
    height, width = ((side - size) // stride + 1 for side in x.shape[1:3])
    out = np.empty((len(x), height, width, kernel.shape[3]))
    for row in range(height):
        for column in range(width):
            window = x[:, row * stride : row * stride + size, column * stride : column * stride + size]
            out[:, row, column] = np.tensordot(window, kernel, axes=3)
    return out


def maximum(x):
    """3x3 with stride 2, after one row of zeros on every side."""
    x = np.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)])
    height, width = ((side - 3) // 2 + 1 for side in x.shape[1:3])
    out = np.empty((len(x), height, width, x.shape[3]))
    for row in range(height):
        for column in range(width):
            out[:, row, column] = x[:, row * 2 : row * 2 + 3, column * 2 : column * 2 + 3].max(axis=(1, 2))
    return out


def assert_close(got, expected, what=""):
    """Equal to within 1e-4 of the largest value: single precision through some fifty normalised layers."""
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-4 * np.abs(expected).max(), err_msg=what)
