import math

import jax
import pytest

from medbench.models import bit, weights
from medbench.models.catalogue import released
from medbench.packaged import suite
from medbench.spec.suite import load_suite


def test_every_released_net_that_a_backbone_needs_is_in_the_catalogue_as_it_is_declared():
    declared = load_suite(suite())
    for upstream in ("s", "m"):
        for architecture, file in declared.upstreams[upstream].weights.items():
            entry, net = released()[file], declared.architectures[architecture]
            assert (entry.upstream, entry.architecture) == (upstream, architecture)
            assert (list(entry.blocks), entry.width) == (net.blocks, net.width)
            assert entry.classes == declared.upstreams[upstream].classes


@pytest.mark.parametrize("file", released())
def test_the_calculated_size_is_that_of_the_nets_parameters(file):
    entry = released()[file]
    shapes = bit.param_shapes(entry.blocks, entry.width, entry.classes)
    assert entry.bytes == sum(4 * math.prod(leaf.shape) for leaf in jax.tree.leaves(shapes))


def test_every_address_is_another_one_by_https_and_every_file_is_of_a_kind_that_is_read():
    files = released().values()
    assert len({file.address for file in files}) == len(files)
    assert all(file.address.startswith("https://") for file in files)
    assert all("{" not in file.address for file in files)
    assert all(file.file.endswith(weights.SUFFIXES) for file in files)
    assert released()["BiT-M-R50x1.npz"].address.endswith("/bit_models/BiT-M-R50x1.npz")
    hub = released()["resnetv2_50x1_bit.goog_in21k.safetensors"].address
    assert hub.endswith("/timm/resnetv2_50x1_bit.goog_in21k/resolve/main/model.safetensors")


def test_jft_was_never_released():
    assert not [file for file in released().values() if file.upstream == "l"]
