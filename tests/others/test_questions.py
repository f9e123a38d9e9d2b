import pytest
from scipy import stats

from medbench.others.questions import judge_results
from medbench.others.results import read_results
from medbench.others.scales import load_scales
from tests.others.tables import COLUMNS, SCALES, published, write


@pytest.fixture
def judge(tmp_path):
    def judge(rows, *, scales=SCALES, higher_is_better=True, margin=0.005, share=0.6):
        table, declared = write(tmp_path, rows, scales)
        loaded = load_scales(declared)
        return judge_results(
            read_results(table, COLUMNS, loaded),
            loaded,
            higher_is_better=higher_is_better,
            margin=margin,
            share=share,
        )

    return judge


def asked(claims, claim, amount="1.0"):
    return {found.comparison: found for found in claims if (found.claim, found.amount) == (claim, amount)}


def test_every_pair_on_one_axis_is_judged_at_every_amount(judge):
    claims = judge(published())
    assert list(asked(claims, "scale-data")) == ["r50: small → large", "r152: small → large"]
    assert list(asked(claims, "scale-architecture")) == ["small: r50 → r152", "large: r50 → r152"]
    assert list(asked(claims, "interaction")) == ["small → large: gain of r152 over that of r50"]
    assert list(asked(claims, "data-efficiency")) == [
        "net-a → net-b",
        "net-c → net-d",
        "net-a → net-c",
        "net-b → net-d",
        "net-a → net-d",
    ]
    assert len(claims) == 3 * (2 + 2 + 1) + 5


@pytest.mark.parametrize(
    ("claim", "comparison", "effect"),
    [
        ("scale-data", "r50: small → large", 0.02),
        ("scale-data", "r152: small → large", 0.05),
        ("scale-architecture", "small: r50 → r152", 0.03),
        ("scale-architecture", "large: r50 → r152", 0.06),
        ("interaction", "small → large: gain of r152 over that of r50", 0.03),
    ],
)
def test_effects_are_the_gains_that_the_table_was_made_with(judge, claim, comparison, effect):
    found = asked(judge(published()), claim)[comparison]
    assert found.state == "judged"
    assert found.verdict == "supported"
    assert found.effect.value == pytest.approx(effect, abs=0.001)
    assert found.pairing == "paired"
    assert found.margin == 0.005
    total = sum(t.sign * sum(t.values.values()) / len(t.values) for t in found.terms)
    assert total == pytest.approx(found.effect.value)


def test_where_lower_is_better_signs_are_turned_and_verdicts_too(judge):
    found = asked(judge(published(), higher_is_better=False), "scale-data")["r50: small → large"]
    assert found.effect.value == pytest.approx(-0.02, abs=0.001)
    assert found.verdict == "refuted"
    rows = [{**row, "auc": 1 - row["auc"]} for row in published()]
    assert asked(judge(rows, higher_is_better=False), "interaction").popitem()[1].verdict == "supported"


def test_p_values_say_what_the_verdict_says_and_are_adjusted_over_the_claim_and_over_all(judge):
    claims = judge(published())
    tested = [found for found in claims if found.p is not None]
    assert {found.claim for found in tested} == {"scale-data", "scale-architecture", "interaction"}
    for found in tested:
        assert (found.p < 0.05) == (found.verdict == "supported")
    expected = stats.false_discovery_control([found.p for found in tested])
    assert [found.p_bh for found in tested] == pytest.approx(list(expected))
    for claim, number in (("scale-data", 6), ("scale-architecture", 6), ("interaction", 3)):
        smallest = min((found for found in tested if found.claim == claim), key=lambda found: found.p)
        assert smallest.p_holm == pytest.approx(number * smallest.p)


def test_the_verdict_at_half_and_twice_the_margin_stands_beside_it(judge):
    found = asked(judge(published(), margin=0.0195), "scale-data")["r50: small → large"]
    words = (found.verdict_at_half_margin, found.verdict, found.verdict_at_twice_margin)
    assert words == ("supported", "inconclusive", "refuted")


def test_a_missing_seed_makes_the_comparison_unpaired_and_wider(judge):
    rows = published()
    whole = asked(judge(rows), "scale-data")["r50: small → large"]
    rows = [row for row in rows if (row["model"], row["part"], row["run"]) != ("net-b", "1.0", 2)]
    found = asked(judge(rows), "scale-data")["r50: small → large"]
    assert found.pairing == "unpaired"
    assert found.effect.high - found.effect.low > whole.effect.high - whole.effect.low
    assert asked(judge(rows), "interaction").popitem()[1].pairing == "partly paired"


def test_one_seed_is_no_ground_for_a_verdict(judge):
    claims = judge([row for row in published() if row["run"] == 1])
    assert {found.state for found in claims} == {"missing"}
    assert {found.verdict for found in claims} == {None}
    assert asked(claims, "scale-data")["r50: small → large"].reason == (
        "net-a at 1.0 has one seed, so the noise of training is unknown; "
        "net-b at 1.0 has one seed, so the noise of training is unknown"
    )


def test_an_amount_that_one_backbone_lacks_is_missing_there(judge):
    rows = [row for row in published() if (row["model"], row["part"]) != ("net-b", "0.5")]
    found = asked(judge(rows), "scale-data", "0.5")
    assert found["r50: small → large"].reason == "net-b at 0.5 has no value"
    assert found["r152: small → large"].verdict == "supported"


def test_seeds_that_all_agree_carry_no_verdict(judge):
    rows = [{**row, "auc": 0.9 if row["model"] == "net-d" else 0.5} for row in published()]
    found = asked(judge(rows), "scale-data")["r152: small → large"]
    assert found.verdict == "inconclusive"
    assert found.effect.value == pytest.approx(0.4)
    assert "the same for all seeds" in found.note
    assert found.verdict_at_half_margin is None


def test_backbones_of_different_ladders_are_not_compared(judge):
    scales = SCALES.replace("natural images: [small, large]", "photos: [small]\n  films: [large]")
    assert {found.claim for found in judge(published(), scales=scales)} == {
        "scale-architecture",
        "data-efficiency",
    }


def test_a_backbone_without_rows_leaves_its_questions_out(judge):
    claims = judge([row for row in published() if row["model"] != "net-d"])
    assert not asked(claims, "interaction")
    assert list(asked(claims, "scale-data")) == ["r50: small → large"]


def test_the_larger_backbone_reaches_the_smaller_ones_score_on_less_data(judge):
    found = asked(judge(published()), "data-efficiency")
    # net-d gains .08 and loses .02 from all data to half of it, .06 to a tenth.
    assert found["net-a → net-d"].verdict == "supported"
    assert found["net-a → net-d"].matched.estimate.by == "0.1"
    # net-b gains .02, as much as the second half of the data brings.
    assert found["net-a → net-b"].matched.estimate.share == pytest.approx(0.5, abs=0.05)


def test_one_amount_says_nothing_of_data_efficiency(judge):
    claims = judge([row for row in published() if row["part"] == "1.0"])
    assert not asked(claims, "data-efficiency")
