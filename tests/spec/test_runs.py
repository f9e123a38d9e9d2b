"""A run and an item in words."""

import pytest

from medbench.spec.runs import Item
from tests import runs


@pytest.mark.parametrize(
    ("changes", "label"),
    [
        ({}, "dermatology · bit-random-r14x0.5 · all patients · seed 1"),
        ({"fraction": 0.1, "seed": 7}, "dermatology · bit-random-r14x0.5 · 10% of patients · seed 7"),
        ({"own_recipe": True}, "dermatology · bit-random-r14x0.5 · embedded · all patients · seed 1"),
        (
            {"own_recipe": True, "recipe": {"name": "embedded-long"}, "fraction": 0.4},
            "dermatology · bit-random-r14x0.5 · embedded-long · 40% of patients · seed 1",
        ),
    ],
)
def test_a_run_in_words_names_the_recipe_where_it_is_not_the_tiers(changes, label):
    assert runs.spec(**changes).label == label


def test_an_item_is_named_by_task_claim_set_and_the_attribute_if_it_is_about_one():
    item = {"task": "chest", "claim": "fairness-gap", "evaluation_set": "icu", "metric": "gap", "arms": {}}
    assert Item(**item).id == "chest/fairness-gap/icu"
    assert Item(**item, attribute="sex").id == "chest/fairness-gap/icu/sex"
