"""docs/own-trainer.md names all that a trainer is given and may leave, and its smallest example works."""

import re
from pathlib import Path

import msgspec
import pytest

from medbench.execute.handed_in import PROBE, About
from medbench.execute.job import JobFile, JobSet
from medbench.execute.local import obtain
from medbench.execute.trainers import GROUP, Script
from medbench.record import Step
from medbench.reference import References
from medbench.spec.runs import BackboneSpec, ResolvedRecipe, RunSpec
from medbench.store import Store
from medbench.training import loop
from tests import runs
from tests.execute.elsewhere import InHand, guess, rows

PAGE = (Path(__file__).parents[2] / "docs/own-trainer.md").read_text(encoding="utf-8")


def table(heading):
    """The names in the first column of the table with that heading."""
    _, _, after = PAGE.partition(f"| {heading} | meaning |\n")
    lines = after.partition("\n\n")[0].splitlines()[1:]
    return [name for line in lines for name in re.findall(r"`([^`]+)`", line.split("|")[1])]


def fields(struct):
    return {field.name for field in msgspec.structs.fields(struct)}


@pytest.mark.parametrize(
    ("heading", "expected"),
    [
        ("field", fields(JobFile)),
        ("field of a set", fields(JobSet)),
        ("field of `spec`", fields(RunSpec)),
        ("field of `trainer.json`", fields(About)),
        ("file", {"progress", "features.npz", "trainer.json"}),
    ],
)
def test_the_tables_name_all_fields_and_no_others(heading, expected):
    assert set(table(heading)) == expected


@pytest.mark.parametrize(
    ("struct", "line"), [(BackboneSpec, "| `backbone` |"), (ResolvedRecipe, "| `recipe` |")]
)
def test_the_page_names_what_the_recipe_and_the_backbone_consist_of(struct, line):
    (text,) = [each for each in PAGE.splitlines() if each.startswith(line)]
    known = fields(struct) - {"name", "weights", "weights_sha256"}
    assert known <= set(re.findall(r"`(\w+)`", text))


def test_the_page_names_the_columns_of_the_examples(tmp_path):
    columns = []

    def look(job):
        columns.extend(rows(job.file.sets["train"].examples)[0])
        guess(job)

    execute(InHand(look), tmp_path)
    generic = {re.sub("/(benign|malignant)", "/<class>", name).replace("/sex", "/<name>") for name in columns}
    assert generic == set(table("column of `examples`"))


def test_the_page_names_the_group_the_probe_and_the_fields_of_a_step():
    assert f'[project.entry-points."{GROUP}"]' in PAGE
    assert PROBE == loop.PROBE
    assert f"the first {PROBE} rows of `id`" in PAGE
    (line,) = [each for each in PAGE.splitlines() if each.startswith("| `trace` |")]
    assert fields(Step) <= set(re.findall(r"`(\w+)`", line))


def test_the_smallest_trainer_of_the_page_works(tmp_path):
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    script = tmp_path / "train.py"
    script.write_text(code, encoding="utf-8")
    script.chmod(0o755)
    found = execute(Script.at(script), tmp_path).predictions("id")
    images = runs.NoiseCohort().images("id", 32)
    assert found.logits[:, 1].tolist() == pytest.approx(images.mean(axis=(1, 2, 3)) / 255)


def execute(trainer, folder):
    return obtain(
        runs.spec(),
        cohort=runs.NoiseCohort(),
        store=Store(folder / "store"),
        references=References(folder / "references"),
        mode="auto",
        sentinel=False,
        weights=None,
        report=lambda event: None,
        trainer=trainer,
    )
