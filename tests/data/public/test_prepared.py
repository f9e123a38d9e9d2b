import ast
import json
from pathlib import Path

import msgspec
import numpy as np
import pytest

import medbench
from medbench import identity
from medbench.data.cohort import Cohort
from medbench.data.decoded import DecodedImages, DecodesInPlace
from medbench.data.images import read_image, resize
from medbench.data.public import prepare
from medbench.data.public import prepared as module
from medbench.data.public.prepared import open_prepared
from medbench.data.sources import open_cohort, prepared_in
from medbench.errors import MedbenchError, NotPreparedError
from medbench.spec.runs import Target
from tests.data.public import annex
from tests.data.public.ward import SOURCE, Ward, source, write_noise

pytestmark = pytest.mark.usefixtures("wards")


def prepared(ward, into, of=SOURCE):
    return prepare.prepare(of, ward.folder, into, processes=2, report=lambda *_: None).record


@pytest.fixture
def both(ward, into, tmp_path):
    """The ward, and the annex beside it, whose patients are called the same."""
    other = Ward(tmp_path / "annex")
    for number, row in enumerate(other.rows):
        row["sex"], row["set"] = "F", ("train", "validation", "id")[number // 2 * 7 // 5 % 3]
    ward.write(height=30)
    prepared(ward, into)
    other.write()
    prepared(other, into, annex.SOURCE)
    return other


def test_a_cohort_that_is_not_prepared_says_how_to_come_by_it(into):
    with pytest.raises(NotPreparedError) as caught:
        open_cohort("public:ward", prepared=into)
    for words in (
        f"public:ward: not prepared below {into}",
        "Ask nobody for ward.zip",
        "Licence: CC0",
        "medbench cohort prepare ward --from DIR",
    ):
        assert words in str(caught.value)


def test_an_unknown_name_or_policy_is_answered_with_the_nearest(ward, into):
    with pytest.raises(MedbenchError, match="Did you mean `ward`"):
        open_cohort("public:wadr", prepared=into)
    ward.write()
    with pytest.raises(MedbenchError, match=r"public:ward@: no policy after `@`\. Expected `ignore`"):
        open_cohort("public:ward@", prepared=into)
    with pytest.raises(MedbenchError, match=r"public:ward@zeroes: no such policy\. Did you mean `zeros`"):
        open_cohort("public:ward@zeroes", prepared=into)


def test_prepared_cohorts_lie_where_the_environment_says_or_in_the_store(monkeypatch, tmp_path):
    monkeypatch.delenv("MEDBENCH_COHORTS", raising=False)
    assert prepared_in(tmp_path / "store") == tmp_path / "store" / "cohorts"
    monkeypatch.setenv("MEDBENCH_COHORTS", str(tmp_path / "shared"))
    assert prepared_in(tmp_path / "store") == tmp_path / "shared"


def test_it_is_a_cohort_that_decodes_in_place(ward, into, tmp_path):
    ward.write()
    prepared(ward, into)
    cohort: Cohort = open_cohort("public:ward", prepared=into)
    assert (cohort.name, cohort.domain, cohort.cluster) == ("public:ward", "chest", "patient")
    assert not cohort.generated
    assert cohort.image_area == 20 * 24
    assert isinstance(cohort, DecodesInPlace)
    decoded = DecodedImages(cohort, tmp_path / "cache")("id", 16)
    names = cohort.examples("id").image.tolist()
    expected = [resize(read_image(ward.folder / "images" / name), 16) for name in names]
    np.testing.assert_array_equal(decoded, np.stack(expected))
    kept = DecodedImages(cohort, tmp_path / "cache", aspect="kept")("id", 16)
    expected = [resize(read_image(ward.folder / "images" / name), 16, "kept") for name in names]
    np.testing.assert_array_equal(kept, np.stack(expected))
    with pytest.raises(MedbenchError, match="Did you mean `train`"):
        cohort.images("trian", 16)


@pytest.mark.parametrize(("policy", "meant"), [("", -1), ("ignore", -1), ("zeros", 0), ("ones", 1)])
def test_a_policy_decides_what_uncertain_labels_become(ward, into, policy, meant):
    ward.write()
    assert prepared(ward, into).uncertain == {"edema": sum(row["edema"] == "u" for row in ward.rows)}
    cohort = open_prepared(f"ward@{policy}" if policy else "ward", into)
    said = {row["file"]: row["edema"] for row in ward.rows}
    for name in ("train", "validation", "id"):
        examples = cohort.examples(name)
        for image, label in zip(examples.image.tolist(), examples.labels[:, 1].tolist(), strict=True):
            assert label == {"0": 0, "1": 1, "": -1, "u": meant}[said[image]]


def test_another_policy_is_another_cohort_and_the_usual_one_by_name_is_the_same(ward, into):
    ward.write()
    prepared(ward, into)
    usual, named, other = (open_prepared(name, into) for name in ("ward", "ward@ignore", "ward@ones"))
    assert (usual.name, usual.fingerprint) == (named.name, named.fingerprint)
    assert other.name == "public:ward@ones"
    assert other.fingerprint != usual.fingerprint


def test_the_test_set_of_another_source_is_a_shift_with_patients_of_its_own(ward, into, both):
    cohort = open_prepared("ward", into)
    assert cohort.shifts == ("annex",)
    examples = cohort.examples("annex")
    rows = [row for row in both.rows if row["set"] == "id"]
    assert examples.image.tolist() == [f"annex/{row['file']}" for row in rows]
    assert set(examples.patient.tolist()) == {f"annex/{row['patient']}" for row in rows}
    assert set(examples.attributes["sex"].tolist()) == {"F"}
    expected = [resize(read_image(both.folder / "images" / row["file"]), 8) for row in rows]
    np.testing.assert_array_equal(cohort.images("annex", 8), np.stack(expected))


def test_a_shift_that_is_not_prepared_is_absent_and_says_so(ward, into):
    ward.write()
    prepared(ward, into)
    cohort = open_prepared("ward", into)
    assert cohort.shifts == ()
    assert "medbench cohort prepare annex" in cohort.absent["annex"]
    assert "night" in cohort.absent["night"]


def test_a_borrowed_shift_enters_the_fingerprint(ward, into, both):
    with_shift = open_prepared("ward", into).fingerprint
    (into / "annex").rename(into / "hidden")
    assert open_prepared("ward", into).fingerprint != with_shift


def test_a_shift_that_predicts_something_else_is_refused(ward, into, both):
    record = json.loads((into / "annex" / "cohort.json").read_text())
    record["target"]["classes"] = ["edema", "effusion"]
    (into / "annex" / "cohort.json").write_text(json.dumps(record))
    with pytest.raises(
        MedbenchError, match="annex: predicts edema, effusion; expected effusion, edema as ward"
    ):
        open_prepared("ward", into)


def test_attributes_that_only_a_shift_has_are_not_recorded_at_home(ward, into, both, monkeypatch):
    def read(folder, findings):
        rows = SOURCE.read(folder, findings)
        return type(rows)(**{**vars(rows), "attributes": {"ward": np.full(len(rows), "east")}})

    monkeypatch.setattr(annex, "SOURCE", source("annex", read=read, attributes=("ward",)))
    prepared(both, into, annex.SOURCE)
    cohort = open_prepared("ward", into)
    assert cohort.attributes == ("sex", "ward")
    assert set(cohort.examples("id").attributes["ward"].tolist()) == {""}
    assert set(cohort.examples("annex").attributes["sex"].tolist()) == {""}


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda home: (home / "cohort.json").write_text("{"), r"cohort\.json: damaged"),
        (lambda home: (home / "rows.parquet").unlink(), r"rows\.parquet: missing or cut off"),
        (lambda home: _cut(next(home.glob("*id.array_record*"))), r"id\.array_record.*: missing or cut off"),
    ],
)
def test_what_was_damaged_since_is_named_and_how_to_make_it_anew(ward, into, spoil, message):
    ward.write()
    prepared(ward, into)
    spoil(into / "ward")
    with pytest.raises(MedbenchError, match=f"{message}.*Prepare it again: medbench cohort prepare ward"):
        open_prepared("ward", into)


def _cut(path):
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize("longer", [False, True])
def test_rows_that_were_altered_since_are_never_used(ward, into, longer):
    """Even where their size is right, or was made right in the record."""
    ward.write()
    record = prepared(ward, into)
    rows, digest = into / "ward" / "rows.parquet", record.files["rows.parquet"]
    data = bytearray(rows.read_bytes())
    data[len(data) // 4] ^= 1
    rows.write_bytes(data + b"0" * longer)
    now = msgspec.structs.replace(digest, bytes=rows.stat().st_size)
    changed = msgspec.structs.replace(record, files={**record.files, "rows.parquet": now})
    (into / "ward" / "cohort.json").write_bytes(msgspec.json.encode(changed))
    with pytest.raises(MedbenchError, match=r"rows\.parquet: altered since.*Prepare it again: medbench"):
        open_prepared("ward", into)


def test_a_cohort_in_the_folder_of_another_is_not_taken_for_it(ward, into):
    ward.write()
    prepared(ward, into)
    (into / "ward").rename(into / "annex")
    with pytest.raises(MedbenchError, match=r"annex: holds `ward`; expected `annex`.*rename it `ward`"):
        open_prepared("annex", into)


def test_a_place_that_is_no_folder_is_called_so_and_not_damaged(into):
    into.write_text("a file")
    with pytest.raises(MedbenchError, match=r"cohorts: no folder.*MEDBENCH_COHORTS") as caught:
        open_prepared("ward", into)
    assert "damaged" not in str(caught.value)


def test_what_an_earlier_scheme_prepared_is_not_prepared(ward, into):
    ward.write()
    record = prepared(ward, into)
    older = msgspec.structs.replace(record, scheme=0)
    (into / "ward" / "cohort.json").write_bytes(msgspec.json.encode(older))
    with pytest.raises(NotPreparedError, match="prepared in another way"):
        open_prepared("ward", into)


def test_the_record_says_what_the_cohort_is_and_where_it_came_from(ward, into):
    ward.write()
    record = prepared(ward, into)
    assert (record.source, record.title, record.licence) == ("ward", "Ward films", "CC0")
    assert record.citation == "Nobody, 2026"
    assert record.target == Target(kind="multi-label", classes=("effusion", "edema"))
    assert record.images == {"train": 48, "validation": 8, "id": 24}
    assert record.channels == 1
    again = msgspec.json.decode((into / "ward" / "cohort.json").read_bytes(), type=type(record))
    assert again == record


@pytest.fixture
def again(ward, into, tmp_path):
    """Prepares the ward as it is now and puts it in the place of the first, as another process does."""

    def put_in_place():
        prepared(ward, tmp_path / "later")
        (into / "ward").rename(tmp_path / "first")
        (tmp_path / "later" / "ward").rename(into / "ward")

    return put_in_place


def test_an_image_never_stands_under_the_row_of_another(ward, into, again):
    ward.write()
    prepared(ward, into)
    images = open_prepared("ward", into).set("train")
    ward.rows.reverse()
    ward.write_table()
    again()
    with pytest.raises(MedbenchError, match=r"train\[0\]: .* another image .*start again"):
        images.image(0)


def test_a_cohort_that_was_prepared_again_since_it_was_opened_is_not_decoded(ward, into, again, tmp_path):
    ward.write()
    prepared(ward, into)
    cohort = open_prepared("ward", into)
    ward.rows.reverse()
    ward.write_table()
    again()
    with pytest.raises(MedbenchError, match="ward: was prepared again meanwhile: start again"):
        DecodedImages(cohort, tmp_path / "cache")("id", 16)
    assert not list((tmp_path / "cache").glob("*.npy"))


def test_a_cohort_that_is_prepared_again_while_it_is_decoded_leaves_no_pixels(ward, into, again, tmp_path):
    ward.write()
    prepared(ward, into)
    cohort = open_prepared("ward", into)
    write_noise(ward.image(7), seed=777)  # all names stay as they are

    def report(split, done, total):
        if done == total:
            again()

    with pytest.raises(MedbenchError, match="ward: was prepared again meanwhile: start again"):
        DecodedImages(cohort, tmp_path / "cache", report)("train", 16)
    assert not list((tmp_path / "cache").glob("*.npy"))


def test_a_cohort_whose_shift_is_prepared_again_is_not_decoded(ward, into, both):
    cohort = open_prepared("ward", into)
    write_noise(both.image(0), seed=777)
    prepared(both, into, annex.SOURCE)
    with pytest.raises(MedbenchError, match="annex: was prepared again meanwhile: start again"):
        cohort.images("annex", 8)


def test_the_same_files_prepared_again_disturb_nobody(ward, into, again):
    ward.write()
    prepared(ward, into)
    cohort = open_prepared("ward", into)
    before = cohort.images("id", 8)
    again()
    np.testing.assert_array_equal(cohort.images("id", 8), before)


def test_rows_are_never_those_of_a_later_preparation(ward, into, again, monkeypatch):
    ward.write()
    prepared(ward, into)
    ward.rows.reverse()
    ward.write_table()
    sets = module._sets
    monkeypatch.setattr(module, "_sets", lambda *given: again() or sets(*given))
    with pytest.raises(MedbenchError, match="ward: was prepared again meanwhile: start again"):
        open_prepared("ward", into)


def closure(*entrances):
    """The modules that decide a run's identity, from these entrances."""
    package = Path(medbench.__file__).parent
    waiting, found = list(entrances), set()
    while waiting:
        file = waiting.pop()
        if file in found or not (package / file).is_file():
            continue
        found.add(file)
        waiting += identity._imported_files(ast.parse((package / file).read_text()), identity._ROOMS)
    return found


def test_a_runs_identity_follows_what_decodes_and_not_what_reads_sources():
    found = closure("data/sources.py")
    assert "data/public/prepared.py" in found
    assert {f for f in found if f.startswith("data/public/")} == {
        "data/public/prepared.py",
        "data/public/source.py",
    }
