import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from medbench.diff.sides import Side, spec_facts
from medbench.difference import Comparison
from medbench.errors import MedbenchError
from medbench.expect import Accepted, Calibration, Expectations, accepted_as, check
from medbench.multiplicity import holm
from tests.diff.sides import (
    FACTS,
    ITEM,
    NOISE,
    SEEDS,
    compared,
    definition,
    only,
    samples,
    side,
    tolerance,
    values,
)
from tests.judging import judgement

MOVED = (0.004, -0.006, 0.001, 0.006, -0.003)
"""As `NOISE`, not by the same everywhere."""


def recipe(steps=300, rate="0.01", arms=("baseline", "treatment")):
    """Facts with a recipe of arms."""
    fields = {"recipe.steps": str(steps), "recipe.base_learning_rate": rate}
    shapes = dict.fromkeys(arms, fields)
    return {**FACTS, **spec_facts({arm: arm for arm in arms}, shapes)}


def test_a_recipe_that_changed_is_a_suspect_told_once_for_all_arms():
    gain = {"samples": samples(treatment=0.78, noise=MOVED)}
    suspects = compared(values(facts=recipe()), values(facts=recipe(rate="0.004"), **gain)).suspects
    assert [(s.kind, s.name, s.before, s.after) for s in suspects] == [
        ("spec", "recipe.base_learning_rate", "0.01", "0.004")
    ]


def test_a_recipe_of_one_arm_names_the_arm():
    before = recipe()
    after = {**before, ("spec", "recipe.steps of treatment"): "600"}
    (suspect,) = compared(values(facts=before), values(facts=after)).suspects
    assert (suspect.name, suspect.before, suspect.after) == ("recipe.steps (treatment)", "300", "600")


def test_beside_another_backbone_its_fields_are_no_suspects():
    arms = [{"baseline": "bit-s-r", "treatment": treatment} for treatment in ("bit-m-r", "bit-l-r")]
    facts = [recipe(), {**recipe(), ("spec", "recipe.steps of treatment"): "600"}]
    before, after = (values(arms=of, facts=known) for of, known in zip(arms, facts, strict=True))
    found = compared(before, after)
    suspects = [*found.suspects, *found.differences[0].suspects]
    assert [(s.kind, s.name) for s in suspects] == [("arms", "treatment")]


def test_a_recipe_that_one_side_does_not_know_is_no_suspect():
    assert not compared(values(), values(facts=recipe())).suspects


def test_the_same_seeds_by_another_recipe_are_other_runs_which_chance_may_explain():
    one_far = [by - less for by, less in zip(NOISE, (0.0004, 0.02, 0.0005, 0.0004, 0.0006), strict=True)]
    now = {"samples": {**samples(), "treatment": samples(noise=one_far)["treatment"]}}
    same = only(values(facts=recipe()), values(facts=recipe(), **now))
    assert (same.state, same.terms[1].by) == ("worse", "tolerance")
    other = only(values(facts=recipe()), values(facts=recipe(steps=600), **now))
    assert (other.state, other.terms[1].by) == ("insignificant", "seeds")


# What moved


def test_values_within_the_tolerance_are_unchanged():
    found = only(values(), values(samples=samples(baseline=0.8102)))
    assert found.state == "unchanged"
    assert {term.by for term in found.terms} == {"tolerance"}
    assert {term.p for term in found.terms} == {None}


def test_an_arm_that_lost_is_worse_and_named():
    found = only(values(), values(samples=samples(treatment=0.78, noise=MOVED)))
    assert found.state == "worse"
    assert "treatment is worse by 0.0500" in found.sentence
    treatment = found.terms[1]
    assert (treatment.before, treatment.after) == pytest.approx((0.8304, 0.7804), abs=1e-3)
    assert treatment.change.low < treatment.change.value < treatment.change.high < 0


def test_an_arm_that_gained_is_better():
    assert only(values(), values(samples=samples(baseline=0.86, noise=MOVED))).state == "better"


def test_of_a_loss_less_is_better():
    of = definition(metric="nll@1")
    before = values(definition=of)
    found = only(before, values(definition=of, samples=samples(baseline=0.86, noise=MOVED)))
    assert found.state == "worse"
    assert found.terms[0].change.value == pytest.approx(-0.05, abs=1e-3)


def test_what_chance_explains_is_insignificant():
    shuffled = (0.006, -0.003, -0.004, 0.002, 0.004)
    found = only(values(), values(samples=samples(noise=shuffled)))
    assert found.state == "insignificant"
    assert "within chance" in found.sentence


def test_p_is_that_of_scipys_paired_t_test_adjusted_by_holm():
    before = {"baseline": [0.81, 0.80, 0.82, 0.805], "treatment": [0.83, 0.82, 0.84, 0.85]}
    after = {"baseline": [0.80, 0.79, 0.815, 0.80], "treatment": [0.84, 0.815, 0.85, 0.86]}
    sides = [
        values(
            arms=dict.fromkeys(side, backbone),  # of one run there is no prior
            samples={arm: dict(enumerate(of, 1)) for arm, of in side.items()},
        )
        for side, backbone in ((before, "bit-s-r"), (after, "bit-m-r"))
    ]
    found = only(*sides)
    oracle = holm([stats.ttest_rel(after[arm], before[arm]).pvalue for arm in before])
    assert [term.p for term in found.terms] == pytest.approx(list(oracle))
    assert {term.by for term in found.terms} == {"seeds"}


def test_new_seeds_are_compared_without_pairing():
    found = only(
        values(samples=samples(seeds=(1, 2, 3, 4, 5))), values(samples=samples(0.7, seeds=(6, 7, 8, 9, 10)))
    )
    assert found.state == "worse"
    assert found.terms[0].by == "seeds"


def test_a_value_that_moved_on_another_device_within_the_tolerance_is_no_loss():
    elsewhere = {"devices": {term: dict.fromkeys(SEEDS, "gpu-x") for term in samples()}}
    moved = samples(baseline=0.8101, treatment=0.8301)
    found = only(values(), values(samples=moved, environments=["gpu-x"], **elsewhere))
    assert found.state == "insignificant"


def test_loaded_seeds_do_not_hide_what_a_sentinel_shows():
    loaded = samples()
    sentinel = {arm: {**of, 1: of[1] - 0.2} for arm, of in loaded.items()}
    before = values(trained={})
    found = only(before, values(samples=sentinel, trained={"baseline": [1], "treatment": [1]}))
    assert found.state == "worse"
    assert found.terms[0].change.value == pytest.approx(-0.2)


@pytest.mark.parametrize("by", [-0.02, -0.0004, 0.0004, 0.02])
@pytest.mark.parametrize("trained", [(1,), SEEDS])
def test_one_seed_of_the_same_run_that_moved_is_loud_as_the_check_is_red(trained, by):
    """The check against accepted values (`numeric@1`) is the oracle; chance among seeds explains each."""
    before, after = samples(), samples()
    after["treatment"][1] += by
    night = {arm: list(trained) for arm in after}
    assert checked(before, after, trained=night) == "drifted"
    found = only(values(samples=before, trained={}), values(samples=after, trained=night))
    assert found.state == ("better" if by > 0 else "worse")
    assert found.sentence == f"treatment is {found.state} by {abs(by):.4f} in seed 1"
    assert found.terms[1].moved == {1: pytest.approx(by)}
    assert (found.terms[1].by, found.terms[1].p) == ("tolerance", None)


def test_a_seed_within_the_tolerance_is_quiet_as_the_check_is_green():
    before, after = samples(), samples()
    after["treatment"][1] -= 0.0002
    night = {arm: list(SEEDS) for arm in after}
    assert checked(before, after, trained=night) == "ok"
    assert only(values(samples=before), values(samples=after, trained=night)).state == "unchanged"


def test_of_a_loss_the_same_run_that_rose_is_worse():
    of, after = definition(metric="nll@1"), samples()
    after["treatment"][1] += 0.02
    found = only(values(definition=of), values(definition=of, samples=after))
    assert (found.state, found.terms[1].moved) == ("worse", {1: pytest.approx(-0.02)})


@pytest.mark.parametrize(
    "otherwise",
    [
        {"arms": {"baseline": "bit-s-r", "treatment": "bit-other-r"}},
        {"cohort_fingerprint": "other images"},
        {"devices": {arm: dict.fromkeys(SEEDS, "gpu-x") for arm in samples()}},
    ],
    ids=["backbone", "images", "device"],
)
def test_a_seed_of_another_run_is_held_against_chance(otherwise):
    after = samples()
    after["treatment"][1] -= 0.02
    found = only(values(), values(samples=after, **otherwise))
    assert (found.state, found.terms[1].moved, found.terms[1].by) == ("insignificant", {}, "seeds")


def test_same_runs_that_moved_both_ways_are_held_against_chance():
    """As if seeds were drawn anew, by another order of random numbers."""
    after = samples()
    after["treatment"][1] -= 0.02
    after["treatment"][2] += 0.01
    (_, treatment) = only(values(), values(samples=after)).terms
    assert (treatment.moved, treatment.by) == ({}, "seeds")
    assert treatment.p == 1.0 or treatment.p > 0.05


def test_only_what_chance_may_explain_counts_among_the_tests_of_holm():
    new_seeds = samples(baseline=0.80, seeds=(6, 7, 8, 9, 10))
    of = definition(metric="average_precision@1")  # with a prior of its own
    old, new = (values("chest/a/id", definition=of, samples=each) for each in (samples(), new_seeds))
    alone = compared(old, new).differences[0].terms[0].p
    both = compared(side(values(), old), side(values(samples=samples(treatment=0.80)), new))
    terms = {each.id: each.terms for each in both.differences}
    assert terms["chest/a/id"][0].p == pytest.approx(alone)
    assert terms[ITEM][1].p is None


CALIBRATION = Calibration(
    variant="", environment="cpu", jax="", metric=judgement().definition.metric, largest_difference=0.0001
)
"""From which the tolerance of `tests.diff.sides` follows."""


def checked(before, after, *, trained):
    """What `medbench.expect.check` says of values, the earlier ones being accepted."""
    devices = {arm: dict.fromkeys(of, "cpu") for arm, of in before.items()}
    old = judgement(samples=before, devices=devices)
    accepted = Expectations(
        accepted=(accepted_as(old, "cpu", Accepted(date="", commit="", reason="", jax="")),),
        calibration=(CALIBRATION,),
    )
    return check(judgement(samples=after, devices=devices, trained=trained), accepted).status


def test_an_item_of_which_nothing_was_measured_says_so():
    assert only(values(trained={}), values(trained={})).sentence == "unchanged: loaded, nothing was measured"


def test_what_items_share_is_tested_once():
    moved = samples(baseline=0.80, noise=(0.002, -0.002, 0.004, 0.004, -0.003))
    claims = [f"mammography/claim-{i}/id" for i in range(20)]
    one = compared(values(), values(samples=moved)).differences[0].terms[0].p
    before = side(*(values(each) for each in claims))
    many = compared(before, side(*(values(each, samples=moved) for each in claims)))
    assert [each.terms[0].p for each in many.differences] == pytest.approx([one] * 20)


def test_an_item_has_the_first_state_of_any_of_its_terms():
    after = samples(baseline=0.90, treatment=0.75, noise=MOVED)
    assert only(values(), values(samples=after)).state == "worse"


# What is gone, new or means something else


def test_a_sub_group_that_is_gone_is_named():
    found = only(values(groups={"sex": ["female", "male"]}), values(groups={"sex": ["male"]}))
    assert (found.state, found.sentence) == ("vanished", "sub-groups are gone: sex female")


def test_a_sub_group_that_is_new_is_named():
    found = only(values(groups={"sex": ["male"]}), values(groups={"sex": ["female", "male"]}))
    assert (found.state, found.sentence) == ("new", "sub-groups are new: sex female")


def test_seeds_without_replacement_have_vanished():
    found = only(values(), values(samples=samples(seeds=(1, 2, 3), noise=NOISE[:3])))
    assert (found.state, found.sentence) == ("vanished", "seeds are gone: 4, 5")


@pytest.mark.parametrize("arm", ["baseline", "treatment"])
def test_seeds_that_one_arm_has_lost_have_vanished(arm):
    fewer = samples()
    fewer[arm] = {seed: value for seed, value in fewer[arm].items() if seed != 2}
    found = only(values(), values(samples=fewer))
    assert (found.state, found.sentence) == ("vanished", "seeds are gone: 2")


def test_a_metric_that_is_undefined_now_has_vanished():
    found = only(values(), values(state="missing", reason="one class", samples={}))
    assert (found.state, found.sentence) == ("vanished", "undefined: one class")


def test_an_item_that_the_later_side_does_not_ask_for_has_vanished():
    found = compared(side(values(), values("chest/a/id")), side(values()))
    assert [(each.id, each.state) for each in found.differences][:1] == [("chest/a/id", "vanished")]


def test_an_item_that_was_not_looked_at_has_not_vanished():
    found = compared(side(values(), values("chest/a/id")), side(values(), asked=["chest/a/id"]))
    assert found.counts["vanished"] == 0
    assert found.not_looked_at == 1
    apart = compared(side(values(), values("chest/a/id")), side(values(), apart=frozenset({"chest"})))
    assert (apart.counts["vanished"], apart.not_looked_at) == (0, 1)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("margin", 0.01),
        ("metric", "average_precision@1"),
        ("cohort", "folder:mine"),
        ("units", "mean by patient"),
    ],
)
def test_a_changed_definition_is_not_comparable_and_says_what_changed(field, value):
    found = only(values(), values(definition=definition(**{field: value}), samples=samples(0.5, 0.5)))
    assert found.state == "not-comparable"
    assert f"{field} was" in found.sentence
    assert found.terms == []
    assert [(each.kind, each.name) for each in found.suspects] == [("definition", field)]


def test_of_a_metric_of_another_version_nobody_knows_what_is_better():
    of = definition(metric="later_metric@1")
    assert only(values(definition=of), values(definition=of)).state == "not-comparable"


def test_a_verdict_that_turned_is_told():
    found = only(values(), values(verdict="refuted"))
    assert found.state == "unchanged"
    assert found.sentence == "supported -> refuted"


def test_states_of_two_tiers_are_refused():
    other = Side(words="b", tier="public", items={})
    with pytest.raises(MedbenchError, match="of tier `embedded`, and b of `public`"):
        compared(side(values()), other)


# Suspects


def test_what_differs_for_all_is_told_once_and_what_differs_for_one_beside_it():
    facts = {("library", "jax"): "0.11.0", ("library", "numpy"): "2", ("code", "commit"): "bbb"}
    changed = values(facts=facts, arms={"baseline": "bit-s-r", "treatment": "bit-l-r"})
    found = compared(side(values("a/b/id"), values()), side(values("a/b/id", facts=facts), changed))
    assert [(each.kind, each.name) for each in found.suspects] == [("code", "commit"), ("library", "jax")]
    own = {each.id: [(s.kind, s.name, s.after) for s in each.suspects] for each in found.differences}
    assert own == {"a/b/id": [], ITEM: [("arms", "treatment", "bit-l-r")]}


def test_changed_libraries_with_the_same_numbers_are_quiet_and_listed():
    found = compared(values(), values(facts={("library", "jax"): "0.11.0"}))
    assert found.counts["unchanged"] == 1
    assert [each.name for each in found.suspects] == ["jax"]


# Properties

VALUES = st.floats(0.05, 0.95)
ARM = st.dictionaries(st.integers(1, 8), VALUES, min_size=1, max_size=6)


@st.composite
def items(draw):
    arms = {"baseline": draw(ARM)}
    arms["treatment"] = {seed: draw(VALUES) for seed in arms["baseline"]}
    groups = {"sex": sorted(draw(st.sets(st.sampled_from("fmx"), min_size=1)))}
    metric = draw(st.sampled_from(["roc_auc@1", "nll@1"]))
    verdict = draw(st.sampled_from(["supported", "refuted", "inconclusive"]))
    return values(
        f"task/{draw(st.sampled_from('abc'))}/id",
        samples=arms,
        groups=groups,
        verdict=verdict,
        definition=definition(metric=metric),
    )


SIDES = st.lists(items(), max_size=3).map(lambda of: side(*of))


@given(SIDES)
def test_a_side_against_itself_is_all_unchanged(one):
    found = compared(one, one)
    assert {each.state for each in found.differences} <= {"unchanged"}
    assert found.suspects == []
    assert len(found.differences) == len(one.items)


TURNED = {"worse": "better", "better": "worse", "new": "vanished", "vanished": "new"}


@given(SIDES, SIDES)
def test_swapping_sides_swaps_better_and_worse_new_and_vanished(one, other):
    forth, back = (compared(*of) for of in ((one, other), (other, one)))
    terms = {each.id: each.terms for each in back.differences}
    for each in forth.differences:
        for term, turned in zip(each.terms, terms[each.id], strict=True):
            assert term.change.value == pytest.approx(-turned.change.value)
            assert (term.p is None) == (turned.p is None)
            assert term.p is None or term.p == pytest.approx(turned.p, rel=1e-6, abs=1e-9)
    states = {each.id: each.state for each in back.differences}
    for each in forth.differences:
        if len({term.change.value > 0 for term in each.terms}) < 2 and not ambiguous(each, one, other):
            assert states[each.id] == TURNED.get(each.state, each.state)


def ambiguous(difference, one, other):
    """Where both sides lack something of the other, the earlier state wins, whichever side is first."""
    if difference.id not in one.items or difference.id not in other.items:
        return False
    a, b = one.items[difference.id][0], other.items[difference.id][0]
    return a.groups != b.groups or a.samples["baseline"].keys() != b.samples["baseline"].keys()


@given(SIDES, SIDES)
def test_a_comparison_survives_json(one, other):
    found = compared(one, other)
    assert msgspec.json.decode(msgspec.json.encode(found), type=Comparison) == found


def test_the_tolerance_is_asked_for_the_metric_and_the_device_class():
    asked = []

    def told(metric, device_class):
        asked.append((metric, device_class))
        return tolerance(metric, device_class)

    from medbench.diff.compare import compare

    compare(side(values()), side(values()), told)
    assert set(asked) == {("roc_auc@1", "cpu")}
