"""A suite that extends the one that travels: what it has then, and every mistake that layering allows."""

import re
import shutil
from pathlib import Path

import pytest

from medbench import packaged
from medbench.errors import MedbenchError
from medbench.spec.metrics import BUILT_IN, AveragePrecision
from medbench.spec.suite import load_suite
from tests.spec.test_suite import BACKBONES, CHEST, GOOD, METRICS, OOD, RECIPES, SCALE, TIERS

OWN = GOOD[SCALE].replace("claim: scale-data", "claim: own")
SYNTHESIS = """\
synthesis: both
statement: At scale and not when small.
source: {study: C3, strength: own}
tasks: [chest]
properties:
  robustness: {at_scale: own, small: ood-robustness}
"""


@pytest.fixture
def team(tmp_path, monkeypatch) -> Path:
    """A suite that extends a good one and adds nothing, named as seen from the working directory."""
    monkeypatch.chdir(tmp_path)
    for name, text in GOOD.items():
        path = tmp_path / "travels" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.setattr(packaged, "suite", lambda: tmp_path / "travels")
    add(Path("team"), {"suite.yaml": "extends: medbench\n"})
    return Path("team")


def add(root, files):
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def alone(root):
    """The extended suite, read by itself."""
    return load_suite(packaged.suite())


def test_a_suite_that_adds_nothing_has_what_it_extends(team):
    suite, base = load_suite(team), alone(team)
    assert suite.root == "team"
    assert suite.base == str(packaged.suite())
    for kind in ("claims", "tasks", "architectures", "upstreams", "recipes", "tiers", "metrics"):
        assert getattr(suite, kind) == getattr(base, kind)
    assert suite.claim_files == dict.fromkeys(base.claims, "suite.yaml")


def test_a_suite_without_that_file_stands_alone(team):
    (team / "suite.yaml").unlink()
    with pytest.raises(MedbenchError, match=r"^team/backbones.yaml: no such file\. .*or suite.yaml"):
        load_suite(team)
    assert alone(team).base == ""


ADDED = {
    "claims/own.yaml": OWN.replace("random, architecture: r50x1", "tiny, architecture: r8").replace(
        "predicate:", "metric: precise\npredicate:"
    ),
    "claims/of-two.yaml": OWN.replace("claim: own", "claim: of-two").replace("[chest]", "[films]"),
    "tasks/films.yaml": GOOD[CHEST].replace("task: chest", "task: films"),
    "syntheses/both.yaml": SYNTHESIS,
    BACKBONES: "architectures:\n  r8: {blocks: [1, 1, 1, 1], width: 0.25}\n"
    "upstreams:\n  tiny: {description: d, images: 9, classes: 2, weights: {r8: t.npz, r14x0.5: u.npz}}\n",
    RECIPES: "recipes:\n  rule-2: {kind: hyperrule, variant: paper, description: as printed}\n",
    TIERS: "tiers:\n  quick: {description: d, recipe: rule-2, seeds: [1, 2], sentinels: []}\n",
    METRICS: "metrics:\n  precise: {kind: average_precision}\n",
}


def test_what_a_suite_adds_stands_beside_what_it_extends(team):
    add(team, ADDED)
    suite, base = load_suite(team), alone(team)
    added = {
        kind: set(getattr(suite, kind)) - set(getattr(base, kind))
        for kind in (
            "claims",
            "tasks",
            "syntheses",
            "architectures",
            "upstreams",
            "recipes",
            "tiers",
            "metrics",
        )
    }
    assert added == {
        "claims": {"own", "of-two"},
        "tasks": {"films"},
        "syntheses": {"both"},
        "architectures": {"r8"},
        "upstreams": {"tiny"},
        "recipes": {"rule-2"},
        "tiers": {"quick"},
        "metrics": {"precise"},
    }
    assert suite.metrics["precise"] == AveragePrecision()
    assert suite.metrics.keys() > BUILT_IN.keys()
    assert suite.claim_files["own"] == "claims/own.yaml"
    assert suite.claim_files["scale-data"] == "suite.yaml"


def test_own_declarations_name_those_of_the_extended_suite_and_no_others(team):
    add(team, {"claims/own.yaml": OWN.replace("upstream: large", "upstream: larg")})
    with pytest.raises(MedbenchError) as caught:
        load_suite(team)
    assert str(caught.value) == (
        "team/claims/own.yaml:8: unknown upstream `larg` in claim `own`. Did you mean `large`?"
    )


TAKEN = {
    "claim": (OOD, GOOD[OOD], "claims", "ood-robustness", 1),
    "task": (CHEST, GOOD[CHEST], "tasks", "chest", 1),
    "architecture": (
        BACKBONES,
        "architectures:\n  r50x1: {blocks: [1, 1, 1, 1], width: 1}\nupstreams: {}\n",
        "architectures",
        "r50x1",
        2,
    ),
    "upstream": (
        BACKBONES,
        "architectures: {}\nupstreams:\n  random: {description: d, images: 0, classes: 0}\n",
        "upstreams",
        "random",
        3,
    ),
    "recipe": (
        RECIPES,
        "recipes:\n  rule: {kind: hyperrule, variant: paper, description: d}\n",
        "recipes",
        "rule",
        2,
    ),
    "tier": (
        TIERS,
        "tiers:\n  embedded: {description: d, recipe: rule, seeds: [1, 2], sentinels: []}\n",
        "tiers",
        "embedded",
        2,
    ),
    "metric": (METRICS, "metrics:\n  two: {kind: top_k, k: 3}\n", "metrics", "two", 2),
}
"""By what is declared: a file that declares it a second time, the kind, the name, and its line."""


@pytest.mark.parametrize("noun", TAKEN)
def test_a_name_that_stands_in_both_is_refused_unless_it_is_said_to_replace(noun, team):
    file, text, kind, name, line = TAKEN[noun]
    add(team, {file: text})
    with pytest.raises(MedbenchError) as caught:
        load_suite(team)
    assert str(caught.value) == (
        f"team/{file}:{line}: medbench declares the {noun} `{name}` already. "
        "Give yours another name; or, if it is to take the other's place, say so in suite.yaml: "
        f"`replaces: {{{kind}: [{name}]}}`."
    )
    add(team, {"suite.yaml": f"extends: medbench\nreplaces: {{{kind}: [{name}]}}\n"})
    own = alone(team)
    assert getattr(load_suite(team), kind).keys() == getattr(own, kind).keys()


def test_what_replaces_is_what_holds(team):
    add(
        team,
        {
            "suite.yaml": "extends: medbench\nreplaces: {tiers: [embedded], claims: [scale-data]}\n",
            TIERS: "tiers:\n  embedded: {description: d, recipe: rule, seeds: [4, 5], sentinels: []}\n",
            "claims/other.yaml": GOOD[SCALE].replace("margin: 0", "margin: 0.01"),
        },
    )
    suite = load_suite(team)
    assert suite.tiers["embedded"].seeds == [4, 5]
    assert suite.claims["scale-data"].margin == 0.01
    assert suite.claim_files["scale-data"] == "claims/other.yaml"
    assert suite.replaces.tiers == ["embedded"]


@pytest.mark.parametrize(
    ("head", "message"),
    [
        (
            "extends: medbnch\n",
            "1: unknown value `medbnch` for `extends` in suite file. Did you mean `medbench`?",
        ),
        ("replaces: {}\n", "1: suite file lacks the key `extends`."),
        (
            "extends: medbench\nreplace: {}\n",
            "2: unknown key `replace` in suite file. Did you mean `replaces`?",
        ),
        (
            "extends: medbench\nreplaces:\n  claim: [a]\n",
            "3: unknown key `claim` in replaces. Did you mean `claims`?",
        ),
        (
            "extends: medbench\nreplaces:\n  tiers: [embeded]\n",
            "3: medbench declares no tier `embeded` to replace. Did you mean `embedded`?",
        ),
        (
            "extends: medbench\nreplaces:\n  tiers: [embedded]\n",
            "3: nothing here declares the tier `embedded` that is to replace medbench's.",
        ),
    ],
)
def test_a_mistake_in_the_file_that_extends_is_one_message(head, message, team):
    add(team, {"suite.yaml": head})
    with pytest.raises(MedbenchError) as caught:
        load_suite(team)
    assert str(caught.value) == f"team/suite.yaml:{message}"


def test_what_is_inherited_must_still_fit_what_replaces_a_part_of_it(team):
    add(
        team,
        {
            "suite.yaml": "extends: medbench\n\nreplaces: {upstreams: [large]}\n",
            BACKBONES: "architectures: {}\n"
            "upstreams:\n  large: {description: d, images: 9, classes: 2, weights: {r50x1: l.npz}}\n",
        },
    )
    with pytest.raises(MedbenchError) as caught:
        load_suite(team)
    told = str(caught.value)
    assert told.startswith(
        "team/suite.yaml:3: what is replaced leaves something of medbench's without a meaning: "
    )
    assert told.endswith(
        "contrast.yaml:7: upstream `large` has no weights for architecture `r14x0.5` in claim `contrast`. "
        "Expected `r50x1`."
    )


def test_a_claim_that_was_replaced_need_not_fit_what_else_was(team):
    add(
        team,
        {
            "suite.yaml": "extends: medbench\n"
            "replaces: {tasks: [chest], claims: [scale-data, ood-robustness]}\n",
            CHEST: GOOD[CHEST].replace("primary: roc_auc", "primary: ood_auroc"),
            OOD: GOOD[OOD],
            SCALE: GOOD[SCALE].replace("predicate:", "metric: roc_auc\npredicate:"),
        },
    )
    assert load_suite(team).tasks["chest"].primary == "ood_auroc"


def test_own_mistakes_come_before_what_they_make_of_the_rest(team):
    add(
        team,
        {
            "suite.yaml": "extends: medbench\nreplaces: {tiers: [embedded]}\n",
            TIERS: "tiers:\n  embedded: {description: d, recipe: rule, seeds: [], sentinels: []}\n",
        },
    )
    with pytest.raises(MedbenchError, match=r"^team/tiers.yaml:2: expected at least one seed for `seeds`"):
        load_suite(team)


@pytest.mark.parametrize("name", ["suite.yml", "tier.yaml"])
def test_a_file_that_would_not_be_read_is_refused(name, team):
    add(team, {name: "extends: medbench\n"})
    with pytest.raises(MedbenchError, match=rf"^team/{name}: no file of a suite\. A suite has"):
        load_suite(team)


def test_a_name_that_comes_twice_in_ones_own_files_is_refused(team):
    add(team, {"claims/a.yaml": OWN, "claims/b.yaml": OWN})
    with pytest.raises(
        MedbenchError, match=r"^team/claims/b.yaml:1: claim `own` is already declared in team"
    ):
        load_suite(team)


def test_an_installation_that_lacks_its_suite_is_named(team):
    shutil.rmtree(packaged.suite())
    with pytest.raises(MedbenchError, match=r"travels: no such folder"):
        load_suite(team)


def test_the_examples_of_the_docs_are_a_suite(tmp_path):
    text = (Path(__file__).parents[2] / "docs/own-suite.md").read_text()
    examples = dict(re.findall(r"```yaml\n# benchmarks/(\S+)\n(.*?)```", text, flags=re.DOTALL))
    assert len(examples) == 5
    add(tmp_path, examples)
    suite = load_suite(tmp_path)
    assert suite.claims["own-films"].arms["private"]["treatment"].backbone == "bit-films-r50x1"
    assert suite.tiers["private"].recipe == "ours"


def test_the_private_tier_of_the_docs_is_a_suite_with_arms_for_inherited_claims(tmp_path):
    text = (Path(__file__).parents[2] / "docs/tiers.md").read_text()
    examples = dict(re.findall(r"```yaml\n# benchmarks/(\S+)\n(.*?)```", text, flags=re.DOTALL))
    assert set(examples) == {"suite.yaml", "tasks/chest.yaml", "tiers.yaml"}
    add(tmp_path, examples)
    suite = load_suite(tmp_path)
    assert suite.tasks["chest"].cohorts["private"] == "../cohorts/wards"
    arms = suite.arms(suite.claims["scale-data"], "private")
    assert [arm.backbone for arm in arms.values()] == ["bit-s-r50x1", "bit-m-r50x1"]


def test_a_claim_with_the_name_of_an_inherited_synthesis_is_refused_in_its_own_file(team):
    small = SYNTHESIS.replace("own, small", "scale-data, small")
    add(packaged.suite(), {"syntheses/both.yaml": small})
    add(team, {"claims/both.yaml": OWN.replace("claim: own", "claim: both")})
    with pytest.raises(
        MedbenchError, match=r"^team/claims/both\.yaml:1: `both` names a claim and a synthesis"
    ):
        load_suite(team)
