"""The miniatures are what they say: files, rows, splits, syntaxes, and a signal that can be learnt."""

import hashlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEG2000Lossless, JPEGLosslessSV1
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from tests.miniatures import (
    chexpert,
    corrupt,
    dicoms,
    isic_2019,
    medmnist,
    nih_cxr14,
    pad_ufes_20,
    rsna_2022,
    vindr_mammo,
)
from tests.miniatures.tables import read_rows
from tests.miniatures.truth import Picture, Truth

Write = Callable[..., Truth]

SETS: dict[str, Write] = {
    "chexpert": chexpert.write,
    "chexpert, full": partial(chexpert.write, layout="CheXpert-v1.0"),
    "chexpert, archives": partial(chexpert.write, layout="batches"),
    "nih": nih_cxr14.write,
    "nih, kaggle, 2020": partial(nih_cxr14.write, kaggle=True, table="Data_Entry_2017_v2020.csv"),
    "rsna": rsna_2022.write,
    "vindr": vindr_mammo.write,
    "isic": isic_2019.write,
    "pad": pad_ufes_20.write,
}
each_set = pytest.mark.parametrize("write", SETS.values(), ids=SETS)


def decoded(path: Path) -> np.ndarray:
    """Grey or colour values in [0, 1], MONOCHROME1 turned round, by pydicom or Pillow."""
    if path.suffix not in {".dcm", ".dicom"}:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB")) / 255
    file = pydicom.dcmread(path)
    if file.file_meta.TransferSyntaxUID == JPEGLosslessSV1:
        need_decoder_of_lossless_jpeg()
    grey = file.pixel_array / (2**file.BitsStored - 1)
    return 1 - grey if file.PhotometricInterpretation == "MONOCHROME1" else grey


def mode(path: Path) -> str:
    """Pillow's name for the channels."""
    with Image.open(path) as image:
        return image.mode


def need_decoder_of_lossless_jpeg() -> None:
    if not pydicom.pixels.get_decoder(JPEGLosslessSV1).is_available:
        pytest.skip("nothing here decodes lossless JPEG")


def contents(folder: Path) -> dict[str, str]:
    """Digest of every file below a folder."""
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in folder.rglob("*")
        if file.is_file()
    }


@each_set
def test_every_image_is_there_and_is_named_by_the_row_that_the_truth_says(
    write: Write, tmp_path: Path
) -> None:
    truth = write(tmp_path, patients=24)
    assert len({picture.path for picture in truth.pictures}) == len(truth.pictures) > 24
    for picture in truth.pictures:
        assert decoded(truth.file(picture)).size
        header, *rows = read_rows(truth.table(picture))
        row = rows[picture.row - 2]
        assert any(Path(picture.path).stem in cell for cell in row)
        for column, cell in {**picture.attributes, **picture.labels}.items():
            assert column not in header or row[header.index(column)] == cell
        assert set(picture.labels) <= set(header)


@each_set
def test_no_patient_is_in_two_splits(write: Write, tmp_path: Path) -> None:
    splits: dict[str, set[str]] = {}
    for picture in write(tmp_path, patients=24).pictures:
        splits.setdefault(picture.patient, set()).add(picture.split)
    assert all(len(found) == 1 for found in splits.values())


@each_set
def test_the_same_seed_gives_the_same_bytes_and_another_one_does_not(write: Write, tmp_path: Path) -> None:
    for folder, seed in (("a", 3), ("b", 3), ("c", 4)):
        write(tmp_path / folder, patients=12, seed=seed)
    assert contents(tmp_path / "a") == contents(tmp_path / "b") != contents(tmp_path / "c")


def malignant(picture: Picture) -> bool:
    """Of mammograms."""
    return picture.labels.get("cancer") == "1" or picture.labels.get("breast_birads", "")[-1:] in {"4", "5"}


SIGNALS: dict[str, Callable[[Picture], bool]] = {
    "chexpert": lambda picture: picture.labels["Pleural Effusion"] == "1.0",
    "nih": lambda picture: "Cardiomegaly" in picture.labels["Finding Labels"],
    "rsna": malignant,
    "vindr": malignant,
    "isic": lambda picture: picture.labels["MEL"] == "1.0",
    "pad": lambda picture: picture.labels["diagnostic"] == "MEL",
}


@pytest.mark.parametrize("name", SIGNALS)
def test_labels_can_be_learnt_from_the_pixels(name: str, tmp_path: Path) -> None:
    truth = SETS[name](tmp_path, patients=160)
    values = []
    for picture in truth.used:
        pixels = decoded(truth.file(picture))
        grey = Image.fromarray((255 * pixels).astype(np.uint8)).convert("RGB")
        small = np.asarray(grey.resize((16, 16), Image.Resampling.BOX), np.float32)
        right_edge = picture.facts.get("wall") == "right"
        values.append((small[:, ::-1] if right_edge else small).ravel() / 255)
    there = np.array([SIGNALS[name](picture) for picture in truth.used])
    train = np.arange(len(there)) % 2 == 0
    model = LogisticRegression(max_iter=500).fit(np.array(values)[train], there[train])
    assert roc_auc_score(there[~train], model.predict_proba(np.array(values)[~train])[:, 1]) > 0.9


def test_the_mammograms_have_the_syntaxes_and_interpretations_that_the_truth_says(tmp_path: Path) -> None:
    syntaxes = set()
    for write in (rsna_2022.write, vindr_mammo.write):
        truth = write(tmp_path / write.__module__, patients=8)
        for picture in truth.pictures:
            header = pydicom.dcmread(truth.file(picture), stop_before_pixels=True)
            assert header.file_meta.TransferSyntaxUID == picture.facts["syntax"]
            assert header.PhotometricInterpretation == picture.facts["photometric"]
            assert str(header.BitsStored) == picture.facts["bits"]
            syntaxes.add(header.file_meta.TransferSyntaxUID)
    assert syntaxes == {ImplicitVRLittleEndian, ExplicitVRLittleEndian, JPEG2000Lossless, JPEGLosslessSV1}


def test_the_breast_stands_at_the_edge_that_the_truth_says(tmp_path: Path) -> None:
    truth = rsna_2022.write(tmp_path, patients=24)
    odd = {picture.facts["wall"][0].upper() == picture.attributes["laterality"] for picture in truth.pictures}
    assert odd == {True, False}
    for picture in truth.pictures:
        columns = decoded(truth.file(picture)).mean(axis=0)
        half = len(columns) // 2
        brighter = "left" if columns[:half].sum() > columns[half:].sum() else "right"
        assert brighter == picture.facts["wall"]


@pytest.mark.filterwarnings("ignore:The number of bytes of compressed pixel data matches")  # by chance
@settings(max_examples=50)
@given(data=st.data(), bits=st.integers(9, 16))
def test_somebody_elses_decoder_gets_back_what_went_into_a_lossless_jpeg(
    data: st.DataObject, bits: int
) -> None:
    need_decoder_of_lossless_jpeg()
    shapes = arrays.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=9)
    stored = data.draw(arrays.arrays(np.uint16, shapes, elements=st.integers(0, 2**bits - 1)))
    header = dicoms.mammogram("test", {})
    dicoms.set_pixels(header, np.zeros(stored.shape, np.float32), bits=bits, photometric="MONOCHROME2")
    header.PixelData = pydicom.encaps.encapsulate([dicoms.lossless_jpeg(stored, bits)])
    header["PixelData"].VR, header["PixelData"].is_undefined_length = "OB", True
    header.file_meta.TransferSyntaxUID = JPEGLosslessSV1
    np.testing.assert_array_equal(header.pixel_array, stored)


@pytest.mark.parametrize("name", medmnist.LABELS)
@pytest.mark.parametrize("size", [28, 64])
def test_a_medmnist_file_has_the_arrays_that_its_package_reads(name: str, size: int, tmp_path: Path) -> None:
    truth = medmnist.write(tmp_path, patients=40, size=size, name=name)
    (file,) = tmp_path.iterdir()
    assert file.name == (f"{name}.npz" if size == 28 else f"{name}_64.npz")
    found = dict(np.load(file))
    assert {len(found[f"{split}_images"]) for split in ("train", "val", "test")} == {28, 4, 8}
    for picture in truth.pictures:
        array, place = picture.path.split("/")
        image = found[array][int(place)]
        assert image.dtype == np.uint8
        assert image.shape == ((size, size, 3) if name == "dermamnist" else (size, size))
        labels = found[array.replace("images", "labels")][int(place)]
        assert [str(label) for label in labels] == list(picture.labels.values())


def test_quirks_of_the_tables_are_there(tmp_path: Path) -> None:
    chest = chexpert.write(tmp_path / "chexpert", patients=60)
    cells = {
        cell for picture in chest.pictures if picture.split == "train" for cell in picture.labels.values()
    }
    assert cells == {"", "1.0", "0.0", "-1.0"}
    assert {
        cell for picture in chest.pictures if picture.split == "valid" for cell in picture.labels.values()
    } == {
        "0.0",
        "1.0",
    }
    assert {picture.attributes.get("AP/PA") for picture in chest.pictures} == {
        "AP",
        "PA",
        "LL",
        "RL",
        "",
        None,
    }
    assert {"Unknown", "Male", "Female"} <= {picture.attributes.get("Sex") for picture in chest.pictures}
    assert any(picture.left_out for picture in chest.pictures if picture.split == "test")
    nih = nih_cxr14.write(tmp_path / "nih", patients=60)
    assert {len(row) for row in read_rows(tmp_path / "nih" / "Data_Entry_2017.csv")} == {12}
    assert "411" in {picture.attributes["Patient Age"] for picture in nih.pictures}
    assert {mode(nih.file(picture)) for picture in nih.pictures} == {"L", "RGBA"}
    skin = isic_2019.write(tmp_path / "isic", patients=60)
    assert any(picture.path.endswith("_downsampled.jpg") for picture in skin.pictures)
    assert "" in {picture.attributes["sex"] for picture in skin.pictures}
    clinic = pad_ufes_20.write(tmp_path / "pad", patients=60)
    assert {
        picture.attributes["gender"] for picture in clinic.pictures if picture.labels["diagnostic"] == "NEV"
    } == {""}


def test_a_large_set_has_as_many_images_as_was_asked(tmp_path: Path) -> None:
    assert len(pad_ufes_20.write(tmp_path, patients=20, images=5, size=16).pictures) == 100


@pytest.mark.parametrize(
    ("name", "spoil"),
    [
        ("nih", lambda truth: corrupt.drop_column(truth.table(truth.used[0]), "Finding Labels")),
        ("nih", lambda truth: corrupt.set_cell(truth.table(truth.used[0]), 5, "Finding Labels", "")),
        ("rsna", lambda truth: corrupt.repeat_row(truth.table(truth.used[0]), 4)),
        ("rsna", lambda truth: corrupt.truncate(truth.file(truth.used[0]))),
        ("rsna", lambda truth: corrupt.remove(truth.file(truth.used[0]))),
        ("rsna", lambda truth: corrupt.copy_image(truth.file(truth.used[0]), truth.file(truth.used[9]))),
        ("vindr", lambda truth: corrupt.claim_other_depth(truth.file(truth.used[0]))),
        ("vindr", corrupt.split_patient_of_vindr),
    ],
)
def test_a_corruption_changes_one_file(name: str, spoil: Callable[[Truth], object], tmp_path: Path) -> None:
    truth = SETS[name](tmp_path, patients=12)
    before = contents(tmp_path)
    spoil(truth)
    after = contents(tmp_path)
    assert sum(after.get(file) != digest for file, digest in before.items()) == 1
    assert set(after) <= set(before)


@pytest.mark.parametrize("name", ["chexpert", "nih", "rsna", "vindr", "isic", "pad"])
@pytest.mark.parametrize("spoil", [corrupt.claim_other_depth, corrupt.truncate])
def test_a_spoilt_image_cannot_be_decoded(name: str, spoil: Callable[[Path], None], tmp_path: Path) -> None:
    truth = SETS[name](tmp_path, patients=12, size=128)
    decodable = []
    for picture in truth.used[::7]:
        spoil(truth.file(picture))
        try:
            decoded(truth.file(picture))
        except Exception:
            continue
        decodable.append(picture)
    assert not decodable


def test_the_patient_of_a_spoilt_split_is_in_two(tmp_path: Path) -> None:
    chest = chexpert.write(tmp_path / "chexpert", patients=12)
    patient = corrupt.split_patient_of_chexpert(chest).patient
    for table in ("train.csv", "valid.csv"):
        assert any(patient in row[0] for row in read_rows(chest.root / table))
    nih = nih_cxr14.write(tmp_path / "nih", patients=12)
    patient = corrupt.split_patient_of_nih(nih).patient
    for split in ("train_val", "test"):
        assert f"{int(patient):08d}_" in (nih.root / f"{split}_list.txt").read_text()
