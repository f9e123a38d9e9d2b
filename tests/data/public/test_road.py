"""Every public cohort's road: a miniature of its files is prepared, checked, fine-tuned on and judged.

What was prepared is held against the miniature's own truth, with labels and groups mapped by hand here;
spoilt in any one way, a miniature gives one clear error, and what was prepared before stays as it was.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from medbench.cli import main
from medbench.data.public.catalogue import source_named
from medbench.data.public.prepare import prepare
from medbench.data.public.prepared import PreparedCohort, open_prepared
from medbench.data.sources import open_cohort
from medbench.errors import MedbenchError
from tests.miniatures import (
    chexpert,
    corrupt,
    isic_2019,
    medmnist,
    nih_cxr14,
    pad_ufes_20,
    rsna_2022,
    vindr_mammo,
)
from tests.miniatures.truth import Picture, Truth

pytest.importorskip("tensorflow_datasets")
pytest.importorskip("array_record")

ROOT = Path(__file__).parents[3]
SIZE = 48


def age(cell: str | None) -> str:
    """The age band of a cell such as 61, 61.0 or 061Y."""
    years = float((cell or "0").rstrip("Y"))
    if not 0 < years <= 120:
        return ""
    return next(band for top, band in AGES.items() if years < top)


AGES = {40: "under 40", 60: "40-59", 75: "60-74", 121: "75 and over"}
SEXES = {"F": "female", "M": "male", "FEMALE": "female", "MALE": "male", "Female": "female", "Male": "male"}
SEXES |= {"female": "female", "male": "male"}
CHEXPERT = ("Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Pleural Effusion")
DIAGNOSES = {"MEL": 0, "NV": 1, "NEV": 1, "BCC": 2, "AK": 3, "ACK": 3, "SCC": 3}
SIDES = {"L": "left", "R": "right"}


def one_hot(place: int, length: int) -> tuple[int, ...]:
    return tuple(int(i == place) for i in range(length))


def diagnosis(picture: Picture) -> tuple[int, ...]:
    cells = picture.labels
    name = cells.get("diagnostic") or next(column for column, cell in cells.items() if cell == "1.0")
    return one_hot(DIAGNOSES.get(name, 4), 5)


@dataclass(frozen=True)
class Road:
    """A source with its miniature, and what medbench should make of what its publisher says.

    Attributes:
      write: the miniature.
      patients: how many it has here.
      name: of a picture, as the cohort calls it.
      sets: of a picture's split: in which sets it may be.
      labels: of a picture.
      groups: of a picture, by attribute.
      column: that holds a label; a table without it is useless.
      may_not_be_empty: set in whose table an empty label is a mistake.
      torn: puts a patient into two of the publisher's splits, where there are such.
    """

    write: Callable[..., Truth]
    patients: int
    name: Callable[[Picture], str]
    sets: Callable[[Picture], set[str]]
    labels: Callable[[Picture], tuple[int, ...]]
    groups: Callable[[Picture], Mapping[str, str]]
    column: str
    may_not_be_empty: str = ""
    torn: Callable[[Truth], Picture] | None = None


DEALT = {"train", "validation", "id"}
TRAINED = {"train", "validation"}

ROADS = {
    "chexpert": Road(
        write=chexpert.write,
        patients=80,
        name=lambda p: p.path,
        sets=lambda p: TRAINED if p.split == "train" else {"id"},
        labels=lambda p: tuple({"1.0": 1, "0.0": 0, "": 0, "-1.0": -1}[p.labels[c]] for c in CHEXPERT),
        groups=lambda p: {
            "age": age(p.attributes.get("Age")),
            "sex": SEXES.get(p.attributes.get("Sex", ""), ""),
            "view": {"AP": "AP", "PA": "PA"}.get(p.attributes.get("AP/PA", ""), ""),
        },
        column="Edema",
        may_not_be_empty="valid",
        torn=corrupt.split_patient_of_chexpert,
    ),
    "nih-cxr14": Road(
        write=nih_cxr14.write,
        patients=60,
        name=lambda p: Path(p.path).name,
        sets=lambda p: TRAINED if p.split == "train_val" else {"id"},
        labels=lambda p: tuple(
            int(finding in p.labels["Finding Labels"].split("|"))
            for finding in ("Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Effusion")
        ),
        groups=lambda p: {
            "age": age(p.attributes["Patient Age"]),
            "sex": SEXES[p.attributes["Patient Gender"]],
            "view": p.attributes["View Position"],
        },
        column="Finding Labels",
        torn=corrupt.split_patient_of_nih,
    ),
    "rsna-2022": Road(
        write=rsna_2022.write,
        patients=48,
        name=lambda p: Path(p.path).stem,
        sets=lambda p: DEALT if p.attributes["site_id"] == "1" else {"site-2"},
        labels=lambda p: one_hot(int(p.labels["cancer"]), 2),
        groups=lambda p: {
            "laterality": SIDES[p.attributes["laterality"]],
            "view": p.attributes["view"],
            "age": age(p.attributes["age"]),
            "density": p.attributes["density"].lower(),
            "machine": p.attributes["machine_id"],
            "implant": {"0": "no", "1": "yes"}[p.attributes["implant"]],
        },
        column="cancer",
    ),
    "vindr-mammo": Road(
        write=vindr_mammo.write,
        patients=40,
        name=lambda p: Path(p.path).stem,
        sets=lambda p: TRAINED if p.split == "training" else {"id"},
        labels=lambda p: one_hot(int(p.labels["breast_birads"][-1] in "45"), 2),
        groups=lambda p: {
            "laterality": SIDES[p.attributes["laterality"]],
            "view": p.attributes["view_position"],
            "age": age(p.attributes["Patient's Age"]),
            "density": p.attributes["breast_density"][-1].lower(),
            "vendor": p.attributes["Manufacturer"].split()[0].lower(),
        },
        column="breast_birads",
        torn=corrupt.split_patient_of_vindr,
    ),
    "isic-2019": Road(
        write=isic_2019.write,
        patients=120,
        name=lambda p: Path(p.path).stem,
        sets=lambda p: (
            {"challenge-test"}
            if p.split == "test"
            else {"ham10000"}
            if p.patient.startswith("HAM")
            else DEALT
        ),
        labels=diagnosis,
        groups=lambda p: {
            "age": age(p.attributes["age_approx"]),
            "sex": SEXES.get(p.attributes["sex"], ""),
            "archive": {"HAM_": "ham10000", "BCN_": "bcn20000", "MSK4": "msk"}.get(p.patient[:4], ""),
        },
        column="BCC",
    ),
    "pad-ufes-20": Road(
        write=pad_ufes_20.write,
        patients=60,
        name=lambda p: Path(p.path).name,
        sets=lambda _: DEALT,
        labels=diagnosis,
        groups=lambda p: {
            "age": age(p.attributes["age"]),
            "sex": SEXES.get(p.attributes["gender"], ""),
            "skin_type": {"": "", "1": "I-II", "2": "I-II", "3": "III-IV", "4": "III-IV"}.get(
                p.attributes["fitspatrick"][:1], "V-VI"
            ),
        },
        column="diagnostic",
    ),
}
every_road = pytest.mark.parametrize("name", ROADS)


@dataclass(frozen=True)
class Place:
    """Where all miniatures and what was prepared of them lie."""

    folder: Path
    truths: Mapping[str, Truth]

    @property
    def cohorts(self) -> Path:
        return self.folder / "cohorts"

    def open(self, name: str) -> PreparedCohort:
        return open_prepared(name, self.cohorts)

    def own_sets(self, name: str) -> dict[str, Any]:
        """The sets of a cohort that its own images are in."""
        cohort = self.open(name)
        return {key: part for key, part in cohort.sets.items() if part.folder == self.cohorts / name}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """All six miniatures, prepared by the command."""
    folder = tmp_path_factory.mktemp("road")
    truths = {}
    for name, road in ROADS.items():
        truths[name] = road.write(folder / "published" / name, patients=road.patients, size=SIZE)
        told = ["--from", str(truths[name].root), "--into", str(folder / "cohorts"), "--workers", "1"]
        assert main(["cohort", "prepare", name, *told]) == 0
    return Place(folder, truths)


@every_road
def test_what_was_prepared_is_what_the_publisher_says(name: str, place: Place) -> None:
    road, truth = ROADS[name], place.truths[name]
    pictures = {road.name(picture): picture for picture in truth.used}
    seen = []
    for set_name, part in place.own_sets(name).items():
        examples = part.examples
        for i, image in enumerate(examples.image.tolist()):
            picture = pictures[image]
            seen.append(image)
            assert set_name in road.sets(picture)
            assert tuple(examples.labels[i].tolist()) == road.labels(picture)
            for attribute, group in road.groups(picture).items():
                assert examples.attributes[attribute][i] == group
    assert sorted(seen) == sorted(pictures)


@every_road
def test_patients_are_kept_together_and_in_one_set(name: str, place: Place) -> None:
    road = ROADS[name]
    patient = {road.name(picture): picture.patient for picture in place.truths[name].used}
    called: dict[str, set[str]] = {}
    in_sets: dict[str, set[str]] = {}
    for set_name, part in place.own_sets(name).items():
        for image, cluster in zip(part.examples.image.tolist(), part.examples.patient.tolist(), strict=True):
            called.setdefault(cluster, set()).add(patient[image])
            in_sets.setdefault(patient[image], set()).add(set_name)
    assert all(len(patients) == 1 for patients in called.values())
    assert all(len(sets) == 1 for sets in in_sets.values())
    assert len(called) == len(in_sets)


@pytest.mark.parametrize("name", ["chexpert", "nih-cxr14", "isic-2019", "pad-ufes-20"])
def test_films_and_photographs_keep_their_pixels(name: str, place: Place) -> None:
    road, truth = ROADS[name], place.truths[name]
    pictures = {road.name(picture): picture for picture in truth.used}
    for part in place.own_sets(name).values():
        for i, image in enumerate(part.examples.image.tolist()):
            found = part.image(i).astype(int)
            with Image.open(truth.file(pictures[image])) as published:
                wanted = np.asarray(published.convert("RGB"), int)
            assert found.shape[:2] == wanted.shape[:2]
            assert np.abs(found - wanted).mean() < 1  # bytes as published, or kept without loss


@pytest.mark.parametrize("name", ["rsna-2022", "vindr-mammo"])
def test_mammograms_stand_at_the_left_edge_alone_on_a_dark_field(name: str, place: Place) -> None:
    for part in place.own_sets(name).values():
        for i in range(len(part.examples)):
            image = part.image(i)[..., 0].astype(float)
            height, width = image.shape
            assert width < 0.8 * SIZE, "the letter beside the breast is not cut away"
            assert image[height // 2, : width // 3].mean() > 60, "no breast at the left edge"
            assert image[: height // 10, -width // 10 :].mean() < 60, "the field beside the breast is bright"


@every_road
def test_a_prepared_cohort_passes_its_check(
    name: str,
    place: Place,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("MEDBENCH_COHORTS", str(place.cohorts))
    assert main(["cohort", "check", f"public:{name}", "--store", str(tmp_path)]) == 0
    assert "No errors." in capsys.readouterr().out


@pytest.mark.parametrize("name", medmnist.LABELS)
def test_a_medmnist_file_of_ones_own_is_read_as_its_package_does(name: str, tmp_path: Path) -> None:
    truth = medmnist.write(tmp_path, patients=300, name=name)
    file = tmp_path / f"{name}.npz"
    cohort = open_cohort(f"medmnist:{file}")
    arrays = dict(np.load(file))
    for split, set_name in (("train", "train"), ("val", "validation"), ("test", "id")):
        labels = [tuple(map(int, p.labels.values())) for p in truth.pictures if p.split == split]
        if name == "breastmnist":  # 0 is malignant there, and the last class is the one that is sought
            labels = [(1 - label,) for (label,) in labels]
        if len(labels[0]) == 1:
            labels = [one_hot(label, len(cohort.target.classes)) for (label,) in labels]
        assert [tuple(row) for row in cohort.examples(set_name).labels.tolist()] == labels
        images = arrays[f"{split}_images"]
        images = images if images.ndim == 4 else images[..., None]
        np.testing.assert_array_equal(cohort.images(set_name, 28), images)


# From a prepared cohort to a verdict

SUITE = {
    "tiers.yaml": "tiers: {road: {description: miniatures, recipe: road, seeds: [1, 2, 3], sentinels: []}}",
    "recipes.yaml": """\
recipes:
  road:
    kind: fixed
    description: a few steps
    deviations: []
    steps: 60
    batch_size: 16
    base_learning_rate: 0.01
    warmup_steps: 4
    decay_steps: [50]
    mixup_alpha: 0
    resize: 36
    crop: 32
""",
    "backbones.yaml": """\
architectures: {r14x0.25: {blocks: [1, 1, 1, 1], width: 0.25, description: small}}
upstreams:
  random: {description: random initialisation, images: 0, classes: 0}
  cifar50k:
    description: shipped
    images: 50000
    classes: 10
    weights: {r14x0.25: bit-cifar50k-r14x0.25.npz}
""",
    "claims/transfer-gain.yaml": """\
claim: transfer-gain
statement: Pre-training helps.
source: {study: C1, strength: P}
tasks: [TASKS]
arms:
  road:
    baseline: {upstream: random, architecture: r14x0.25}
    treatment: {upstream: cifar50k, architecture: r14x0.25}
evaluate: id
metric: primary
predicate: superiority
margin: 0.005
margin_reason: for the tests
relevant_effect: 0.03
family: transfer
""",
}


TASKS = [*ROADS, "pneumoniamnist"]


def write_suite(folder: Path, medmnist_file: Path) -> None:
    """A suite with one claim about every prepared cohort, and a file of MedMNIST's."""
    references = {name: (source_named(name).domain, f"public:{name}") for name in ROADS}
    references["pneumoniamnist"] = ("chest", f"medmnist:{medmnist_file}")
    for name, (domain, cohort) in references.items():
        task = (
            f"task: {name}\ndomain: {domain}\nstatement: A miniature.\n"
            f"cohorts: {{road: '{cohort}'}}\nprimary: roc_auc\nhorizontal_flip: false\n"
        )
        write(folder / "tasks" / f"{name}.yaml", task)
    for file, text in SUITE.items():
        write(folder / file, text.replace("TASKS", ", ".join(TASKS)))


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


@pytest.fixture(scope="module")
def judged(place: Place) -> dict[str, Any]:
    """What a session says of the claim about each cohort; two nets, three seeds, a few steps."""
    project = place.folder / "project"
    medmnist.write(project, patients=120, name="pneumoniamnist")
    write_suite(project / "benchmarks", project / "pneumoniamnist.npz")
    write(project / "pytest.ini", "[pytest]\nmedbench_suites = benchmarks\n")
    arguments = ["benchmarks", "--tier", "road", "--report", "out", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *arguments],
        cwd=project,
        env={
            **{key: value for key, value in os.environ.items() if not key.startswith("PYTEST")},
            "PYTHONPATH": str(ROOT),
            "JAX_PLATFORMS": "cpu",
            "MEDBENCH_COHORTS": str(place.cohorts),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    report = project / "out" / "report.json"
    assert report.exists(), done.stdout + done.stderr
    told = json.loads(report.read_text())
    assert told["errors"] == []
    assert told["runs"]["executed"] == 6 * len(TASKS)
    return {claim["task"]: claim for claim in told["claims"]}


@pytest.mark.parametrize("name", TASKS)
def test_a_claim_is_judged_on_it(name: str, judged: dict[str, Any]) -> None:
    assert judged[name]["verdict"] in {"supported", "refuted", "inconclusive"}, judged[name]
    for arm in ("baseline", "treatment"):
        values = judged[name]["samples"][arm].values()
        assert len(values) == 3
        assert min(values) > 0.7, f"{arm}: labels are not those of the images"


# Spoilt files


def contents(folder: Path) -> dict[str, str]:
    """Digest of every file below a folder."""
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in folder.rglob("*")
        if file.is_file()
    }


@dataclass(frozen=True)
class Spoilt:
    """What a message must name, and what it may not."""

    named: tuple[str, ...]
    patient: str = ""


def picture_in(truth: Truth, split: str = "") -> Picture:
    """One whose row is spoilt, not the first."""
    return next(picture for picture in truth.used[5:] if split in {"", picture.split})


def without_column(road: Road, truth: Truth) -> Spoilt:
    corrupt.drop_column(truth.table(truth.used[0]), road.column)
    return Spoilt((truth.used[0].table, road.column))


def truncated(road: Road, truth: Truth) -> Spoilt:
    picture = picture_in(truth)
    corrupt.truncate(truth.file(picture))
    return Spoilt((picture.table, f"row {picture.row}"), picture.patient)


def missing(road: Road, truth: Truth) -> Spoilt:
    picture = picture_in(truth)
    corrupt.remove(truth.file(picture))
    return Spoilt((picture.table, f"row {picture.row}"), picture.patient)


def of_wrong_depth(road: Road, truth: Truth) -> Spoilt:
    picture = picture_in(truth)
    corrupt.claim_other_depth(truth.file(picture))
    return Spoilt((picture.table, f"row {picture.row}"), picture.patient)


def given_to_another_patient(road: Road, truth: Truth) -> Spoilt:
    picture = picture_in(truth)
    other = next(other for other in truth.used if other.patient != picture.patient)
    corrupt.copy_image(truth.file(picture), truth.file(other))
    return Spoilt((picture.table, str(picture.row), str(other.row)), picture.patient)


def in_two_rows(road: Road, truth: Truth) -> Spoilt:
    picture = picture_in(truth)
    corrupt.repeat_row(truth.table(picture), picture.row)
    return Spoilt((picture.table, str(picture.row)), picture.patient)


def without_label(road: Road, truth: Truth) -> Spoilt:
    picture = picture_in(truth, road.may_not_be_empty)
    column = next((name for name, cell in picture.labels.items() if cell == "1.0"), road.column)
    column = road.column if road.may_not_be_empty else column
    corrupt.set_cell(truth.table(picture), picture.row, column, "")
    return Spoilt((picture.table, f"row {picture.row}"), picture.patient)


def with_unknown_label(road: Road, truth: Truth) -> Spoilt:
    picture = picture_in(truth)
    corrupt.set_cell(truth.table(picture), picture.row, road.column, "perhaps")
    return Spoilt((picture.table, f"row {picture.row}", "perhaps"), picture.patient)


def in_two_splits(road: Road, truth: Truth) -> Spoilt:
    assert road.torn is not None
    picture = road.torn(truth)
    return Spoilt((picture.table, "rows", str(picture.row)), picture.patient)


SPOILING = [
    without_column,
    truncated,
    missing,
    of_wrong_depth,
    given_to_another_patient,
    in_two_rows,
    without_label,
    with_unknown_label,
    in_two_splits,
]


@pytest.mark.parametrize(
    ("name", "spoil"),
    [
        pytest.param(name, spoil, id=f"{name} {spoil.__name__.replace('_', ' ')}")
        for name, road in ROADS.items()
        for spoil in SPOILING
        if spoil is not in_two_splits or road.torn
    ],
)
def test_a_spoilt_set_gives_one_clear_error_and_leaves_what_was_prepared(
    name: str, spoil: Callable[[Road, Truth], Spoilt], place: Place, tmp_path: Path
) -> None:
    published = place.folder / "published" / name
    root = tmp_path / place.truths[name].root.relative_to(published)
    shutil.copytree(published, tmp_path, dirs_exist_ok=True)
    spoilt = spoil(ROADS[name], Truth(root=root, pictures=place.truths[name].pictures))
    before = contents(place.cohorts / name)
    with pytest.raises(MedbenchError) as caught:
        prepare(source_named(name), root, place.cohorts, processes=1, report=lambda *_: None)
    message = str(caught.value)
    errors = [line for line in message.splitlines() if line.startswith("  - ")]
    assert len(errors) == 1, message
    assert all(word in errors[0] for word in spoilt.named), message
    assert len(spoilt.patient) < 5 or spoilt.patient not in errors[0], message
    assert contents(place.cohorts / name) == before
