"""Worlds judged: a few of one task in full, as declared; what a reaction is, and what is reported of many."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from medbench import claims_cli
from medbench.cli import main
from medbench.gate import reactions, sizes
from medbench.gate.claim_page import page
from medbench.gate.claim_report import ClaimReport, report, summary
from medbench.gate.matrix import Cell
from medbench.gate.reactions import FIRST, HELD, SEEDS, Outcome, Planted, bench, simulate
from medbench.judgement import Interval

SUITE = Path(__file__).parents[2] / "benchmarks"
TASK = "mammography"
VERDICTS = ("supported", "inconclusive", "refuted")


@pytest.fixture(scope="module")
def of():
    return bench(SUITE)


@pytest.fixture(scope="module")
def judged():
    """Two worlds of one task, judged in full."""
    lines = []
    return simulate(SUITE, (1, 2), workers=1, say=lines.append, tasks=[TASK]), lines


def reported(outcomes, of, worlds=2):
    return report(
        outcomes,
        of.matrix,
        medbench="0",
        commit="c" * 40,
        date="2026-11-23",
        machine="m",
        seconds=60.0,
        first=FIRST,
        worlds=worlds,
        seeds=SEEDS,
    )


def outcome(before="supported", after="refuted", *, change=-0.1, world=1, plant="shift", item="x"):
    return Outcome(world, Planted(plant, 1.0), item, before, after, change)


def canned(of, worlds=20, **changed):
    """Outcomes of all items as declared, but for some that are given as (before, after, change)."""
    found = []
    for world in range(1, worlds + 1):
        for plant, size in of.planted:
            for item in of.matrix.items:
                must = of.matrix.cell(plant, item.id).expected == "must"
                usual = ("supported", "refuted", -0.1) if must else ("supported", "supported", 0.0)
                before, after, change = changed.get(f"{plant} {item.id}", lambda _, usual=usual: usual)(world)
                effect = None
                if change is not None:
                    effect = Interval(value=change, low=change - 0.1, high=change + 0.1)
                found.append(Outcome(world, Planted(plant, size), item.id, before, after, change, effect))
    return found


def test_planted_worlds_come_out_as_declared(judged, of):
    outcomes, lines = judged
    result = reported(outcomes, of)
    failed = [(cell.plant, item.item) for cell in result.cells for item in cell.items if not item.held]
    assert not failed
    assert {plant.plant for plant in result.plants} == {"subgroup", "shift", "miscalibrated"}
    held = {(cell.plant, cell.expected) for cell in result.cells}
    assert held >= {("shift", "must")} | {(plant, "must-not") for plant, _ in of.planted}
    assert lines[-1] == "2 of 2 worlds judged, about 0 s left"


def test_a_sub_group_that_is_seen_worse_is_noticed_by_the_claims_about_it(of):
    (subgroup,) = [each for each in of.planted if each.plant == "subgroup"]
    found = of.outcomes("chest", 1, [subgroup], ("must",))
    assert sorted(one.item for one in found) == [
        "chest/fairness-gap-narrowed/id/view",
        "chest/fairness-gap/id/view",
        "chest/fairness-worst-group/id/view",
    ]
    assert all(one.reacts for one in found)


def test_logits_that_are_too_sure_are_noticed_by_the_scores_of_probabilities(of):
    (miscalibrated,) = [each for each in of.planted if each.plant == "miscalibrated"]
    found = of.outcomes("chest", 1, [miscalibrated], ("must",))
    assert {one.item.split("/")[1] for one in found} >= {
        "calibration-nll",
        "calibration-brier",
        "calibration-ece",
    }
    assert all(one.reacts for one in found)


def test_what_cannot_be_moved_is_equal_to_the_last_digit(judged, of):
    outcomes, _ = judged
    for one in outcomes:
        cell = of.matrix.cell(one.planted.plant, one.item)
        if cell.expected == "must-not" and not cell.within:
            assert one.change == 0, one


def test_items_that_look_at_nothing_planted_are_judged_as_their_twins_would_be(of, monkeypatch):
    planted = [each for each in of.planted if each.plant == "shift"]
    quick = of.outcomes(TASK, 1, planted, ("must-not",))
    monkeypatch.setattr(reactions, "_alike", lambda *_: False)
    assert of.outcomes(TASK, 1, planted, ("must-not",)) == quick


def test_only_what_is_expected_is_judged(of):
    (shift,) = [each for each in of.planted if each.plant == "shift"]
    found = of.outcomes("chest", 1, [shift], ())
    assert found == []


def test_harm_is_what_the_matrix_declares(of):
    by_plant = {each.plant: of.harm("chest", each) for each in of.planted}
    cohort = of._settings["chest"].cohort
    assert list(by_plant["subgroup"].rows) == ["id"]
    assert np.array_equal(by_plant["subgroup"].rows["id"], cohort.examples("id").attributes["view"] == "AP")
    assert list(by_plant["shift"].rows) == ["icu"]
    assert by_plant["shift"].rows["icu"].all()
    assert by_plant["miscalibrated"].rows == {}
    assert by_plant["miscalibrated"].factor == of.matrix.declared.miscalibrated.size
    assert of.harm("chest", Planted("shift", 0.3)).lost == 0.3


def test_claims_are_judged_from_their_first_seeds_the_same_for_all(of):
    for task in of.tasks:
        for planned in of._planned[task]:
            assert [list(by_seed) for by_seed in planned.runs.values()] == [[1, 2, 3, 4, 5]] * 2
    assert min(claim.seeds or 10 for claim in of.suite.claims.values()) == SEEDS


@given(before=st.sampled_from([*VERDICTS, None]), after=st.sampled_from([*VERDICTS, None]))
def test_an_item_reacts_if_its_verdict_falls(before, after):
    falls = {("supported", "inconclusive"), ("supported", "refuted"), ("inconclusive", "refuted")}
    assert outcome(before, after).reacts == ((before, after) in falls)


def test_nineteen_of_twenty_are_enough_and_eighteen_are_not(of):
    item = "chest/ood-robustness/icu"

    def but(n):
        return lambda world: ("supported", "supported" if world <= n else "refuted", -0.1)

    for missed, held in ((0, True), (1, True), (2, False)):
        result = reported(canned(of, **{f"shift {item}": but(missed)}), of, 20)
        (found,) = [
            i for cell in result.cells for i in cell.items if i.item == item and cell.plant == "shift"
        ]
        interval = binomtest(20 - missed, 20).proportion_ci()
        assert (found.reacted, found.held, result.held) == (20 - missed, held, held)
        assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
        assert found.before == {"supported": 20}


@pytest.mark.parametrize(
    ("after", "change", "held"),
    [
        (("supported", "supported"), 0.0, True),
        (("supported", "supported"), 1e-12, True),
        (("supported", "supported"), 1e-6, False),
        (("supported", "inconclusive"), 0.0, False),
        (("inconclusive", "supported"), 0.0, False),
        ((None, None), None, True),
        ((None, "supported"), None, False),
    ],
)
def test_one_world_that_moves_is_too_many_for_what_must_not_react(of, after, change, held):
    moved = {"shift chest/scale-data/id": lambda world: (*(after if world == 7 else ("refuted",) * 2), 0.0)}
    moved["shift chest/scale-data/id"] = lambda world: (
        (*after, change) if world == 7 else ("refuted", "refuted", 0.0)
    )
    assert reported(canned(of, **moved), of, 20).held is held


def test_an_effect_may_move_as_far_as_the_cell_says():
    item = next(i for i in bench(SUITE).matrix.items if i.id == "chest/calibration-ece-tempered/id")
    cell = Cell(claims=[item.claim], expected="must-not", within=0.001, reason="")
    from medbench.gate.claim_report import reaction

    for change, held in ((0.001, True), (-0.001, True), (0.0011, False)):
        assert reaction(item, [outcome("supported", "supported", change=change)], cell).held is held


@pytest.mark.parametrize("worlds", [1, 20])
def test_the_record_survives_json_and_the_page_has_every_item(of, worlds):
    result = reported(canned(of, worlds), of, worlds)
    assert result.held
    assert msgspec.json.decode(msgspec.json.encode(result), type=ClaimReport) == result
    text = page(result)
    assert "Everything came out as declared." in text
    assert f"| `chest/ood-robustness/icu` | shift | {worlds} / 0 / 0 | 0 / 0 / {worlds} | -0.100 |" in text
    for claim in of.suite.claims:
        assert f"`{claim}`" in text
    assert "| must-not, effect within 0.001 |" in text
    assert "| `transfer-gain` | judged as `scale-data` is, of other arms |" in text
    assert "must-not" in summary(result)


def test_the_page_and_the_terminal_name_what_is_not_as_declared(of):
    still = {"subgroup chest/fairness-gap/id/view": lambda world: ("inconclusive", "inconclusive", -0.01)}
    result = reported(canned(of, **still), of, 20)
    assert summary(result).startswith(
        "chest/fairness-gap/id/view, `subgroup`: must react, and did in 0 of 20"
    )
    text = page(result)
    assert "- `chest/fairness-gap/id/view`, subgroup, must react: reacted in 0 of 20 worlds [0%, 17%]" in text
    assert "**2 items: 0 to 20 of 20**" in text
    assert "Inconclusive twice in all of them: so few patients" in text
    assert "in the planted one: 1, inconclusive to inconclusive, -0.010 [-0.110, +0.090]; 2, " in text


def test_the_page_names_items_that_never_have_a_verdict(of):
    silent = "chest/fairness-gap/id/age"
    never = {f"{plant} {silent}": lambda _: ("inconclusive", "inconclusive", 0.0) for plant, _ in of.planted}
    text = page(reported(canned(of, **never), of, 20))
    assert "## Without a verdict in any world" in text
    assert f"`{silent}`." in text.split("## Without a verdict in any world")[1].split("##")[0]


@pytest.mark.parametrize(("missed", "status"), [(1, 0), (2, 1)])
def test_the_command_writes_what_it_found_and_says_whether_it_is_as_declared(
    of, monkeypatch, tmp_path, capsys, missed, status
):
    late = {
        "shift chest/ood-drop/icu": lambda w: ("supported", "refuted" if w > missed else "supported", 0.0)
    }
    monkeypatch.setattr(claims_cli, "simulate", lambda *args, **kwargs: canned(of, **late))
    files = tmp_path / "c.json", tmp_path / "c.md"
    asked = ["validate-claims", str(SUITE), "--json", str(files[0]), "--write", str(files[1])]
    assert main(asked) == status
    record = msgspec.json.decode(files[0].read_bytes(), type=ClaimReport)
    assert record.held is (status == 0)
    assert files[1].read_text() == page(record)
    assert "as declared" in capsys.readouterr().out


def test_a_file_that_could_not_be_written_is_refused_before_anything_is_simulated(tmp_path, capsys):
    assert main(["validate-claims", str(SUITE), "--json", str(tmp_path / "gone" / "c.json")]) == 2
    assert "is no folder" in capsys.readouterr().err


def test_a_suite_that_is_none_is_named(tmp_path, capsys):
    assert main(["validate-claims", str(tmp_path / "none")]) == 2
    assert str(tmp_path / "none") in capsys.readouterr().err


def test_sizes_are_told_by_plant_with_the_items_that_do_not_always_react():
    outcomes = [
        outcome(after=after, world=world, item=item)
        for item, verdicts in {"a": ("refuted", "refuted"), "b": ("refuted", "supported")}.items()
        for world, after in enumerate(verdicts)
    ]
    assert sizes.table(outcomes) == "shift 1: 1 of 2 items in all 2\n  b in 1"


def test_sizes_are_chosen_on_other_worlds_than_the_matrix_is_judged_on(of):
    assert min(sizes.WORLDS) > FIRST + 500
    assert sizes.CANDIDATES.keys() == {each.plant for each in of.planted}
    assert all(each.size in sizes.CANDIDATES[each.plant] for each in of.planted)
    assert HELD == ("must", "must-not")
