"""What the README shows is what one gets."""

import re
import shutil
from pathlib import Path

import pytest

from medbench import expect
from medbench.cli import main
from medbench.errors import MedbenchError
from medbench.spec.suite import load_suite
from medbench.study import Options, Study

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def block(beginning):
    """The YAML block that begins so."""
    return re.search(rf"```yaml\n({re.escape(beginning)}.*?)```", README, re.DOTALL)[1]


@pytest.fixture
def suite(tmp_path):
    """The project's suite with the README's claim, and nothing else, added."""
    shutil.copytree(ROOT / "benchmarks", tmp_path / "benchmarks")
    (tmp_path / "benchmarks/claims/screening.yaml").write_text(block("# benchmarks/claims/screening.yaml"))
    return tmp_path / "benchmarks"


def study(suite):
    return Study.open(
        suite, Options(tier="embedded", store=suite.parent / "store", expectations=ROOT / "expectations")
    )


def test_a_claim_about_another_metric_takes_one_file_and_no_new_run(suite):
    opened = study(suite)
    ours = [item for item in opened.items.values() if item.claim == "screening-sensitivity"]
    assert [item.id.rpartition("/")[2] for item in ours] == ["id", "vendor-b", "dense"]
    plan = opened.plan(item.id for item in ours)
    assert all(opened.references.get(spec) is not None for spec in plan.runs), "accepted runs serve it"


def test_the_metric_of_ones_own_takes_a_line_more(suite):
    own = block("metrics:\n  sensitivity_at_90")
    metrics = suite / "metrics.yaml"
    metrics.write_text(metrics.read_text() + own.partition("metrics:\n")[2])
    claim = suite / "claims/screening.yaml"
    claim.write_text(re.sub(r"metric: \S+", "metric: sensitivity_at_90", claim.read_text()))
    assert load_suite(suite).claims["screening-sensitivity"].metric == "sensitivity_at_90"


def test_a_slip_in_that_file_is_one_message_with_its_line(suite):
    claim = suite / "claims/screening.yaml"
    claim.write_text(claim.read_text().replace("metric: balanced_accuracy", "metric: balanced_acuracy"))
    line = next(i for i, text in enumerate(claim.read_text().splitlines(), 1) if text.startswith("metric:"))
    with pytest.raises(MedbenchError, match=rf"screening\.yaml:{line}: unknown metric `balanced_acuracy`"):
        load_suite(suite)


def test_every_claim_of_the_suite_stands_in_the_readme_and_no_other():
    table = README[README.index("## What is claimed") : README.index("## Your own images")]
    named = {
        name
        for line in table.splitlines()
        if "|" in line
        for name in re.findall(r"`(\S+)`", line.split("|")[1])
    }
    assert named == set(load_suite(ROOT / "benchmarks").claims)


def test_the_table_shows_what_was_accepted():
    found = re.findall(
        r"^    (\w+) +([\w-]+) +([\w-]+) +(\S+)  \[(\S+), (\S+)\] +\S+ +(\w+) +(\w+) +unchanged",
        README,
        re.MULTILINE,
    )
    assert len(found) == 3
    accepted = {each.item: each for each in expect.load(ROOT / "expectations", "embedded").accepted}
    for task, claim, evaluation_set, value, low, high, verdict, as_accepted in found:
        known = accepted[f"{task}/{claim}/{evaluation_set}"]
        assert (verdict, as_accepted) == (known.verdict, known.verdict)
        effect = known.effect
        assert [f"{of:+.3f}" for of in (effect.value, effect.low, effect.high)] == [value, low, high]


def test_the_commands_of_the_readme_are_known(capsys):
    commands = set(re.findall(r"^    medbench ([a-z-]+)", README, re.MULTILINE))
    for command in commands:
        with pytest.raises(SystemExit) as ended:
            main([command, "--help"])
        assert ended.value.code == 0, command
    assert commands
