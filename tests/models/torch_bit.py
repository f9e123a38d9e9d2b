"""BiT once more, in torch, its modules named as timm names them; written from facts and not from ours.

Facts: names and shapes of the released files, and timm's names (tests/models/timm_names, timm's resnetv2.py).
"""

import numpy as np
import torch
from torch import nn
from torch.nn import functional


class StandardConv(nn.Conv2d):
    """Without bias; each filter brought to mean 0 and variance 1, with the released code's epsilon."""

    def __init__(self, inputs, outputs, size, stride=1):
        super().__init__(inputs, outputs, size, stride, padding=size // 2, bias=False)

    def forward(self, x):
        variance, mean = torch.var_mean(self.weight, dim=(1, 2, 3), keepdim=True, correction=0)
        weight = (self.weight - mean) / torch.sqrt(variance + 1e-10)
        return functional.conv2d(x, weight, None, self.stride, self.padding)


class NormAct(nn.GroupNorm):
    """32 groups, or as many as a small net's channels allow."""

    def __init__(self, channels):
        super().__init__(int(np.gcd(32, channels)), channels, eps=1e-5)

    def forward(self, x):
        return functional.relu(super().forward(x))


class Bottleneck(nn.Module):
    def __init__(self, inputs, middle, stride, first):
        super().__init__()
        if first:
            self.downsample = nn.ModuleDict({"conv": StandardConv(inputs, 4 * middle, 1, stride)})
        self.norm1, self.conv1 = NormAct(inputs), StandardConv(inputs, middle, 1)
        self.norm2, self.conv2 = NormAct(middle), StandardConv(middle, middle, 3, stride)
        self.norm3, self.conv3 = NormAct(middle), StandardConv(middle, 4 * middle, 1)

    def forward(self, x):
        active = self.norm1(x)
        shortcut = self.downsample["conv"](active) if hasattr(self, "downsample") else x
        return shortcut + self.conv3(self.norm3(self.conv2(self.norm2(self.conv1(active)))))


class Net(nn.Module):
    """With timm's state dict."""

    def __init__(self, blocks, width, classes):
        super().__init__()
        inputs = int(64 * width)
        self.stem = nn.ModuleDict({"conv": StandardConv(3, inputs, 7, 2)})
        self.stages = nn.ModuleList()
        for index, units in enumerate(blocks):
            middle = int(64 * width) * 2**index
            stage = nn.ModuleDict({"blocks": nn.Sequential()})
            for unit in range(units):
                stride = 2 if index and not unit else 1
                stage["blocks"].append(Bottleneck(inputs, middle, stride, first=not unit))
                inputs = 4 * middle
            self.stages.append(stage)
        self.norm = NormAct(inputs)
        self.head = nn.ModuleDict({"fc": nn.Conv2d(inputs, classes, 1)})

    def forward(self, images):
        """Logits of numpy images (n, h, w, 3)."""
        x = torch.from_numpy(images).to(self.norm.weight.dtype).permute(0, 3, 1, 2)
        x = functional.pad(self.stem["conv"](x), (1, 1, 1, 1))  # zeros, which the maximum may be
        x = functional.max_pool2d(x, 3, 2)
        for stage in self.stages:
            x = stage["blocks"](x)
        x = self.norm(x).mean(dim=(2, 3), keepdim=True)
        return self.head["fc"](x)[:, :, 0, 0]


def empty(blocks, width, classes, dtype=torch.float32):
    """The net without weights, which take no time to draw."""
    with torch.device("meta"):
        net = Net(blocks, width, classes)
    return net.to_empty(device="cpu").to(dtype)


@torch.no_grad()
def of_released(blocks, width, classes, arrays, dtype=torch.float32):
    """The net with the arrays of a file in the released naming, one after another."""
    net = empty(blocks, width, classes, dtype)
    modules = dict(net.named_parameters())
    for name, array in arrays:
        place = _place(name.split("/")[1:])
        turned = array.transpose(3, 2, 0, 1) if array.ndim == 4 else array
        modules.pop(place).copy_(torch.from_numpy(np.ascontiguousarray(turned)))
    assert not modules
    return net


def _place(names):
    kind = "weight" if names[-1] in ("kernel", "gamma") else "bias"
    if names[0].startswith("block"):
        block, unit, layer = int(names[0][5:]) - 1, int(names[1][4:]) - 1, "abc".index(names[2]) + 1
        module = f"norm{layer}" if names[3] == "group_norm" else f"conv{layer}"
        module = "downsample.conv" if names[3] == "proj" else module
        return f"stages.{block}.blocks.{unit}.{module}.{kind}"
    return {"root_block": "stem.conv", "group_norm": "norm", "head": "head.fc"}[names[0]] + f".{kind}"


@torch.no_grad()
def logits(net, images):
    return net(images).numpy()
