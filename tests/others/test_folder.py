import re

import pytest

from medbench.errors import MedbenchError
from medbench.others.folder import open_folder
from tests.others.scored import DECLARED, examples, write_folder, write_rows


@pytest.fixture
def root(tmp_path):
    return write_folder(tmp_path / "theirs", seeds=(1, 2))


def test_everything_in_the_folder_is_read(root):
    folder = open_folder(root)
    assert set(folder.runs) == {(name, seed) for name in ("net-small", "net-large") for seed in (1, 2)}
    assert set(folder.runs["net-small", 1]) == {"id", "vendor-b"}
    assert folder.target.classes == ("benign", "malignant")
    assert folder.seeds("net-small", {"id", "vendor-b"}) == [1, 2]
    assert folder.seeds("net-small", {"id", "validation"}) == []
    assert folder.warnings == ()


def test_probabilities_of_0_or_1_are_a_warning_a_set(root):
    for seed in (1, 2):
        rows = examples(0, seed, score="probability")
        rows[0] = {**rows[0], "probability/benign": 1, "probability/malignant": 0}
        write_rows(root / "net-small" / f"seed-{seed}" / "id.csv", rows)
    (warning,) = open_folder(root).warnings
    assert warning.startswith("id: 4 of 1,280 probabilities are exactly 0 or 1")


def test_clusters_that_are_no_patients_are_a_warning(root):
    (root / "predictions.yaml").write_text(DECLARED + "cluster: lesion\n")
    assert open_folder(root).warnings == (
        "patients are not known: clustered by `lesion`, intervals may be too narrow",
    )


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[benign, malignant]", "[malignant]", ":3: expected 2 or more different names for `classes`"),
        (
            "[benign, malignant]",
            "[a, a]",
            ":3: expected 2 or more different names for `classes`, found a, a.",
        ),
        ("domain: mammography", "domain: breast", ":2: "),
        ("shifts: [vendor-b]", "shifts: [id]", ":4: `id` cannot name a shift (again)."),
        ("shifts: [vendor-b]", "shifts: [a, a]", ":4: `a` cannot name a shift (again)."),
        ("shifts: [vendor-b]", "shift: [vendor-b]", ":4: unknown key `shift`"),
        (
            "shifts:",
            "arms: {baseline: net-smal, treatment: net-large}\nshifts:",
            ":4: unknown backbone `net-smal`. Did you mean `net-small`?",
        ),
        (
            "shifts:",
            "arms: {baseline: net-large, treatment: net-large}\nshifts:",
            ":4: both arms are the same backbone.",
        ),
        (
            "backbones:\n",
            "backbones:\n  net-medium: {upstream: small, architecture: r101x1}\n",
            "net-medium: no such folder, though predictions.yaml declares it.",
        ),
        (
            "net-small:",
            "net-smal:",
            "net-small: not the folder of a backbone in predictions.yaml. Did you mean `net-smal`?",
        ),
    ],
)
def test_a_declaration_that_does_not_fit_is_told(root, old, new, message):
    assert old in DECLARED
    (root / "predictions.yaml").write_text(DECLARED.replace(old, new, 1))
    with pytest.raises(MedbenchError, match=re.escape(message)):
        open_folder(root)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("notes.txt", "notes.txt: not the folder of a backbone in predictions.yaml."),
        ("net-small/seed-01/id.csv", "seed-01: expected folders named `seed-1`, `seed-2`, …"),
        ("net-small/seed1/id.csv", "seed1: expected folders named `seed-1`, `seed-2`, …"),
        ("net-small/log.txt", "log.txt: expected folders named `seed-1`"),
        ("net-small/seed-1/vendor-c.csv", "named for evaluation sets. Did you mean `vendor-b`?"),
        ("net-small/seed-1/id.txt", "id.txt: expected .csv or .parquet files"),
        ("net-small/seed-1/id.parquet", "id.parquet: `id` is there twice. Keep one file."),
    ],
)
def test_a_file_that_would_be_left_out_unnoticed_is_refused(root, path, message):
    (root / path).parent.mkdir(exist_ok=True)
    (root / path).touch()
    with pytest.raises(MedbenchError, match=re.escape(message)):
        open_folder(root)


def test_hidden_files_are_left_alone(root):
    (root / ".DS_Store").touch()
    (root / "net-small" / ".cache").mkdir()
    assert len(open_folder(root).runs) == 4


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"image": "other"}, "images"),
        ({"patient": "other"}, "patients"),
        ({"label/benign": 1, "label/malignant": 0}, "labels"),
        ({"attribute/density": "d"}, "sub-groups"),
    ],
)
def test_runs_that_were_not_scored_on_the_same_examples_are_refused(root, change, what):
    rows = examples(0, 2)
    write_rows(root / "net-small" / "seed-2" / "id.csv", [{**rows[0], **change}, *rows[1:]])
    with pytest.raises(
        MedbenchError, match=rf"`id` was not scored on the same {what} \(160 and 160 examples\)"
    ):
        open_folder(root)


def test_a_folder_or_declaration_that_is_not_there_is_told(root, tmp_path):
    with pytest.raises(MedbenchError, match=r"nowhere: no such folder. Expected one with predictions.yaml"):
        open_folder(tmp_path / "nowhere")
    (root / "predictions.yaml").unlink()
    with pytest.raises(MedbenchError, match=r"predictions.yaml: cannot be read"):
        open_folder(root)
