"""The page of metrics against the registry: every kind has its entry, and says what the code says."""

import re
from pathlib import Path

import pytest

from medbench.metrics import metric_named
from medbench.metrics.registry import Metric
from medbench.spec.loader import load_yaml
from medbench.spec.metrics import (
    BIT_STAGES,
    BUILT_IN,
    KINDS,
    OF_ANOTHER,
    FeatureReuse,
    GroupGap,
    Metrics,
    MetricSpec,
    WorstGroup,
    resolved,
)

PAGE = (Path(__file__).parents[2] / "docs/metrics.md").read_text(encoding="utf-8")
ENTRIES = dict(re.findall(r"^### `(\w+)`\n(.*?)(?=^##)", PAGE, re.DOTALL | re.MULTILINE))
BY_NAME = {kind.__struct_config__.tag: kind for kind in KINDS}


def entry(kind: type[MetricSpec]) -> str:
    return ENTRIES[kind.__struct_config__.tag]


def line(kind: type[MetricSpec], start: str) -> str:
    (found,) = [row for row in entry(kind).splitlines() if row.startswith(f"- {start}:")]
    return found


def better_and_range(metric: Metric) -> tuple[str, str]:
    return "higher" if metric.higher_is_better else "lower", f"{metric.low:g} to {metric.high:g}"


def test_every_kind_has_its_entry_and_no_other():
    assert list(ENTRIES) == list(BY_NAME)


@pytest.mark.parametrize("kind", KINDS, ids=BY_NAME)
def test_an_entry_names_all_parameters_and_says_what_undefined_means(kind):
    named = set(re.findall(r"`(\w+)`", line(kind, "parameters")))
    assert named >= set(kind.__struct_fields__), set(kind.__struct_fields__) - named
    assert ("none" in line(kind, "parameters")) == (not kind.__struct_fields__)
    assert len(line(kind, "undefined")) > len("- undefined: where")


@pytest.mark.parametrize("kind", KINDS, ids=BY_NAME)
def test_an_entry_gives_direction_and_range(kind):
    said = line(kind, "better")
    if kind is WorstGroup:
        assert said == "- better: as the other metric; range: as the other metric"
    elif kind is GroupGap:
        assert said == "- better: lower; range: 0 to the width of the other metric's range"
    else:
        parameters = {"stage": "block4"} if kind is FeatureReuse else {}
        better, span = better_and_range(metric_named("it", {"it": kind(**parameters)}))
        assert said.startswith(f"- better: {better}; range: {span}")


def test_the_table_of_what_is_built_in_is_that_of_the_registry():
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (.*?) \| `(.*?)` \|$", PAGE, re.MULTILINE)
    metrics = [metric_named(name) for name in BUILT_IN]
    assert rows == [(metric.name, *better_and_range(metric), metric.identity) for metric in metrics]


def test_the_example_is_a_valid_file(tmp_path):
    (example,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    path = tmp_path / "metrics.yaml"
    path.write_text(example, encoding="utf-8")
    declared = load_yaml(path, Metrics).metrics
    assert len(declared) == 9
    medbenchs = load_yaml(Path(__file__).parents[2] / "benchmarks/metrics.yaml", Metrics).metrics
    assert not declared.keys() & medbenchs.keys(), "a suite that extends medbench's may have them all"
    assert sum(isinstance(spec, OF_ANOTHER) for spec in declared.values()) == 3
    meant = {
        name: metric_named(name, resolved(name, BUILT_IN | declared, primary="nll", attribute="age"))
        for name in declared
    }
    assert meant["any-gap"].identity == "group_gap/max-min-of-nll@1-by-age-from-20@1"
    assert {name for name, spec in declared.items() if meant[name].spec != spec} == {"any-gap"}


def test_the_stages_are_those_that_the_page_lists():
    (stages,) = re.findall(r"`stage`, one of (.*) \(", line(FeatureReuse, "parameters"))
    assert tuple(re.findall(r"`(\w+)`", stages)) == BIT_STAGES
