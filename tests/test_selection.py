"""The words of -k, held against pytest's own reading of them."""

from itertools import product
from pathlib import Path

import pytest

from medbench.data.cohort import ID
from medbench.errors import MedbenchError
from medbench.selection import LeftOut, holds, name_of, names_of, why_nothing
from medbench.spec.runs import Item
from medbench.spec.suite import load_suite
from tests.suites.project import HERE, Project
from tests.suites.stand_ins import SHIFTS

pytest_plugins = ["pytester"]

NAMES = ["mammography/ood-robustness/vendor-b", "bit-cifar2k-r14x0.5", "bit-cifar50k-r14x0.5"]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("", True),
        ("mammo", True),
        ("Mammography", True),
        ("r14x0.5", True),
        ("chest", False),
        ("not chest", True),
        ("ood and not chest", True),
        ("ood and not mammography", False),
        ("chest or ood", True),
        ("chest or derm", False),
        ("chest and ood or vendor", True),
        ("vendor or chest and nothing", True),
        ("chest or not ood", False),
        ("ood-robustness/vendor-b", True),
        ("vendor-c", False),
        ("not (chest or derm)", True),
        ("(chest or ood) and derm", False),
        ("not not ood", True),
    ],
)
def test_words_joined_by_and_or_not_and_brackets_select_items(expression, expected):
    assert holds(expression, NAMES) is expected


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("chest icu", "expected `and` or `or`, found `icu`"),
        ("chest and", "expected a word, found the end"),
        ("or chest", "expected a word, found `or`"),
        ("(chest", "a bracket is not closed"),
        ("chest)", "found `)`"),
        ("chest, icu", "found `,`"),
        ("NOT chest", "found `chest`"),
        ("chest\nand id", "found '\\n'"),
        ("chest\u00a0", "found '\\xa0'"),
    ],
)
def test_what_is_no_expression_is_refused_with_the_place(expression, message):
    with pytest.raises(MedbenchError) as error:
        holds(expression, NAMES)
    assert message in str(error.value)


def items_of(suite):
    """Every item of the suite `good` with the stand-ins' cohorts, made without medbench.plan."""
    arms = {"baseline": "bit-small-r14x0.5", "treatment": "bit-large-r14x0.5"}
    return [
        Item(task=task, claim=claim.claim, evaluation_set=name, metric="roc_auc", arms=arms)
        for claim in suite.claims.values()
        for task in claim.tasks
        for name in ((ID,) if claim.evaluate == "id" else SHIFTS[task])
    ]


WORDS = ("chest", "OOD", "ood.yaml", "id[", "vendor-b", "large-r14x0.5", "benchmarks", "claims", "nowhere")
EXPRESSIONS = [
    *WORDS,
    *(f"not {word}" for word in WORDS),
    *(f"{one} {joint} {other}" for one, joint, other in product(WORDS[:3], ("and", "or not"), WORDS[3:6])),
    "not (chest or vendor-b) and ood-robustness",
    "chest and (icu or id)",
    "not not mammography/scale-data/id",
    "",
    "chest icu",
    "(chest",
    "chest,icu",
    "NOT chest",
    " ",
    "\n chest",
    "\u00a0chest ",
    "chest\n",
    "chest\nand id",
    "chest\u00a0and id",
    "chest\tand id",
]


def test_the_same_expression_selects_the_same_items_in_pytest(pytester, monkeypatch):
    project = Project(pytester, monkeypatch)
    suite = load_suite(HERE / "good")
    renamed = load_suite(project.suite)
    assert suite.claims == renamed.claims
    for expression in EXPRESSIONS:
        result = project.run("benchmarks", "--collect-only", "-q", "-k", expression)
        selected = {line.rpartition("::")[2] for line in result.outlines if "::" in line}
        try:
            expected = {name_of(i) for i in items_of(suite) if holds(expression, names_of(i, renamed))}
        except MedbenchError:
            assert result.ret == pytest.ExitCode.USAGE_ERROR, expression
            continue
        assert selected == expected, expression
        assert result.ret != pytest.ExitCode.USAGE_ERROR, expression


def test_the_nearest_words_are_named_for_each_word_that_no_name_has():
    selectable = [("benchmarks", "claims", "ood.yaml", f"{NAMES[0]}[{NAMES[1]},{NAMES[2]}]")]
    for word, near in (("mamography", "mammography"), ("odd", "ood"), ("VENDORB", "vendor-b")):
        assert why_nothing(word, selectable) == f"No name has `{word}`. Did you mean `{near}`?"
    both = why_nothing("not mamography or cifar5k and ood", selectable)
    assert both == " ".join(
        f"No name has `{word}`. Did you mean `{near}`?"
        for word, near in (("mamography", "mammography"), ("cifar5k", "cifar50k"))
    )
    assert why_nothing("xyz", selectable) == "No name has `xyz`."
    assert "no name fits it as a whole" in why_nothing("mammography and not ood", selectable)


def test_what_has_no_item_is_named_with_the_reason():
    selectable = [("benchmarks", "claims", "ood.yaml", f"{NAMES[0]}[{NAMES[1]},{NAMES[2]}]")]
    none = [
        LeftOut(("benchmarks", "claims", "ood.yaml", "chest/ood-robustness"), "no cohort"),
        *(
            LeftOut(("benchmarks", "claims", "fair.yaml", f"{task}/fair"), "no attribute agee")
            for task in ("mammography", "a", "b", "c")
        ),
    ]

    def why(expression):
        return why_nothing(expression, selectable, none)

    assert why("fair and vendor-b") == "`fair` is left out: no attribute agee."
    assert why("chest") == "`chest` is left out: no cohort."
    assert why("chest and fur") == "`chest` is left out: no cohort. No name has `fur`."
    assert why("benchmarks and not vendor-b") == (
        "Left out: chest/ood-robustness (no cohort). "
        "Left out: mammography/fair, a/fair, b/fair and 1 more (no attribute agee)."
    )


def test_the_suite_of_this_project_has_the_names_that_its_folder_gives():
    suite = load_suite(Path(__file__).parents[1] / "benchmarks")
    item = Item(
        task="chest",
        claim="scale-data",
        evaluation_set="id",
        metric="roc_auc",
        arms={"baseline": "a", "treatment": "b"},
    )
    folder, claims, file, name = names_of(item, suite)
    assert (folder, claims, name) == ("benchmarks", "claims", "chest/scale-data/id[a,b]")
    assert file.endswith(".yaml")
