"""Files with random weights under the released names, written from what is known of those, not from ours."""

import zipfile

import numpy as np

R50, R101, R152 = (3, 4, 6, 3), (3, 4, 23, 3), (3, 8, 36, 3)
RELEASED = {
    "r50x1": (R50, 1),
    "r50x3": (R50, 3),
    "r101x1": (R101, 1),
    "r101x3": (R101, 3),
    "r152x2": (R152, 2),
    "r152x4": (R152, 4),
}


def released_arrays(blocks, width, classes, seed=0):
    """`(name, array)` of a file with random weights under the released names: gains and offsets too."""
    random = np.random.default_rng(seed)

    def kernel(size, inputs, outputs):
        return 0.05 * random.standard_normal((size, size, inputs, outputs), np.float32)

    def norm(name, channels):
        yield f"{name}/group_norm/gamma", 1 + 0.2 * random.standard_normal(channels, np.float32)
        yield f"{name}/group_norm/beta", 0.2 * random.standard_normal(channels, np.float32)

    inputs = int(64 * width)
    yield "resnet/root_block/standardized_conv2d/kernel", kernel(7, 3, inputs)
    for block, units in enumerate(blocks, start=1):
        middle = int(64 * width) * 2 ** (block - 1)
        for number in range(1, units + 1):
            unit = f"resnet/block{block}/unit{number:02d}"
            yield from norm(f"{unit}/a", inputs)
            yield from norm(f"{unit}/b", middle)
            yield from norm(f"{unit}/c", middle)
            yield f"{unit}/a/standardized_conv2d/kernel", kernel(1, inputs, middle)
            yield f"{unit}/b/standardized_conv2d/kernel", kernel(3, middle, middle)
            yield f"{unit}/c/standardized_conv2d/kernel", kernel(1, middle, 4 * middle)
            if number == 1:
                yield f"{unit}/a/proj/standardized_conv2d/kernel", kernel(1, inputs, 4 * middle)
            inputs = 4 * middle
    yield from norm("resnet", inputs)
    yield "resnet/head/conv2d/kernel", kernel(1, inputs, classes)
    yield "resnet/head/conv2d/bias", random.standard_normal(classes, np.float32)


def write(path, blocks, width, classes, seed=0):
    """Such a file, one array after another, so that it may be larger than memory."""
    with zipfile.ZipFile(path, "w", allowZip64=True) as archive:
        for name, array in released_arrays(blocks, width, classes, seed):
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, array, version=(1, 0))
