import math

import pytest

from medbench.errors import MedbenchError
from medbench.others.scales import Rung, load_scales
from tests.others.tables import SCALES


@pytest.fixture
def load(tmp_path):
    def load(text):
        path = tmp_path / "scales.yaml"
        path.write_text(text)
        return load_scales(path)

    return load


def test_every_pair_of_a_ladder_is_compared_and_none_across_ladders(load):
    scales = load(
        SCALES.replace("  natural images: [small, large]", "  photos: [small, large]\n  films: [x, y, z]")
    )
    assert scales.upstreams == (
        Rung("photos", "small", "large"),
        Rung("films", "x", "y"),
        Rung("films", "x", "z"),
        Rung("films", "y", "z"),
    )
    assert scales.architectures == (Rung("", "r50", "r152"),)
    assert scales.backbone("large", "r50") == "net-b"
    assert scales.backbone("x", "r50") is None


def test_amounts_are_numbers_of_one_unit_and_full_is_all_data_of_unknown_size(load):
    scales = load(SCALES + "amounts: {few: 5, some: 100, all: full}\n")
    assert [scales.amount(name) for name in ("few", "some", "all")] == [5.0, 100.0, math.inf]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[small, large]", "[]", ":2: `natural images` is empty. List names from small to large."),
        ("[small, large]", "[small, small]", ":2: `small` comes twice in `natural images`. Keep one."),
        (
            "  natural images: [small, large]\n",
            "  photos: [small, tiny, large]\n  films: [large, other, small]\n",
            ":3: `small` is larger than `large` in `films`, and smaller in `photos`. List both from small",
        ),
        ("[r50, r152]", "[]", ":3: `architectures` is empty."),
        ("[r50, r152]", "[r50, r50]", ":3: `r50` comes twice in `architectures`."),
        (
            "upstream: large, architecture: r50}",
            "upstream: larg, architecture: r50}",
            ":6: unknown upstream `larg` of backbone `net-b`. Did you mean `large`?",
        ),
        (
            "upstream: large, architecture: r50}",
            "upstream: large, architecture: r500}",
            ":6: unknown architecture `r500` of backbone `net-b`. Did you mean `r50`?",
        ),
        (
            "net-b: {upstream: large",
            "net-b: {upstream: small",
            ":6: backbones `net-a` and `net-b` have the same upstream and architecture.",
        ),
        ("net-b: {upstream: large, ", "net-b: {", ":6: "),
        ("backbones:", "backbons:", ":4: unknown key `backbons`"),
    ],
)
def test_a_contradiction_is_told_with_its_line(load, old, new, message):
    assert old in SCALES
    with pytest.raises(MedbenchError) as error:
        load(SCALES.replace(old, new, 1))
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("amounts", "message"),
    [
        ("{few: 0, all: full}", ":9: expected a positive number for `few` in `amounts`, found 0."),
        ("{few: -2}", "found -2."),
        ("{few: 5, more: 5.0}", ":9: `few` and `more` in `amounts` stand for the same."),
        ("{most: full, all: full}", ":9: `most` and `all` in `amounts` stand for the same."),
        ("{few: many}", ":9: "),
        ("{few: .nan}", ":9: "),
    ],
)
def test_an_amount_that_means_nothing_is_refused(load, amounts, message):
    with pytest.raises(MedbenchError) as error:
        load(SCALES + f"amounts: {amounts}\n")
    assert message in str(error.value)


def test_a_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(MedbenchError, match="cannot be read"):
        load_scales(tmp_path / "scales.yaml")
