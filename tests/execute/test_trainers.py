"""Another trainer in medbench's place: what it is told, what it must leave, and whose run it then is."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import roc_auc_score

from medbench.data.splits import nested_subset
from medbench.errors import MedbenchError
from medbench.execute import local
from medbench.execute.job import Job
from medbench.execute.trainers import Installed, Script, find
from medbench.failures import Failures
from medbench.identity import code_fingerprint, why_new
from medbench.metrics import Sample, evaluate, metric_named
from medbench.record import RunRecord, Trainer
from medbench.reference import References
from medbench.spec.metrics import FeatureReuse, StepsToShare
from medbench.store import Store
from medbench.training import streams
from tests import runs
from tests.execute.elsewhere import InHand, guess, learn, leave, package, rows
from tests.execute.standin import StandIn

ROOT = Path(__file__).parents[2]
SETS = ("validation", "id", "phone")
SIZES = {"train": 120, "validation": 10, "id": 70, "phone": 30}


class Bench:
    """A store in which other trainers execute runs, with the events that they caused."""

    def __init__(self, folder):
        self.store = Store(folder / "store")
        self.references = References(folder / "references")
        self.events = []

    def obtain(self, trainer, spec=None, **changes):
        if trainer is not None and not hasattr(trainer, "identity"):
            trainer = InHand(trainer)
        arguments = {
            "cohort": runs.NoiseCohort(sizes=SIZES),
            "store": self.store,
            "references": self.references,
            "mode": "auto",
            "sentinel": False,
            "weights": None,
            "report": self.events.append,
            "trainer": trainer,
        }
        return local.obtain(spec or runs.spec(), **arguments | changes)

    def failure(self, trainer, **changes):
        """The message of a run that was not made, without its first words, which are always the same."""
        with pytest.raises(MedbenchError) as caught:
            self.obtain(trainer, **changes)
        assert list(self.store.records()) == [], "nothing is stored"
        who, _, rest = str(caught.value).partition("seed 1: trainer `")
        assert who.startswith("dermatology · bit-random-r14x0.5")
        return rest

    @property
    def jobs(self):
        """Folders of jobs that are there."""
        return sorted((self.store.root / "jobs").glob("*"))


@pytest.fixture
def bench(tmp_path, monkeypatch):
    monkeypatch.setattr(local, "capture", lambda: pytest.fail("jax is nobody's business here"))
    return Bench(tmp_path)


@pytest.fixture
def script(tmp_path):
    """Writes an executable file."""

    def write(body, name="train.sh", mode=0o755, first="#!/bin/sh\n"):
        path = tmp_path / name
        path.write_text(first + body)
        path.chmod(mode)
        return path

    return write


# What a trainer is told.


def test_a_trainer_that_reads_the_files_learns_and_is_judged_like_ours(bench):
    run = bench.obtain(learn)
    found = run.predictions("id")
    expected = runs.NoiseCohort(sizes=SIZES).examples("id")
    np.testing.assert_array_equal(found.image, expected.image)
    np.testing.assert_array_equal(found.patient, expected.patient)
    np.testing.assert_array_equal(found.labels, expected.labels)
    np.testing.assert_array_equal(found.attributes["sex"], expected.attributes["sex"])
    assert roc_auc_score(found.labels[:, 1], found.logits[:, 1]) > 0.9
    assert {e.evaluation_set for e in run.record.evaluations} == set(SETS)
    assert (run.origin, run.record.train_images, run.record.train_patients) == ("trained", 120, 60)


def test_the_job_says_all_that_shapes_the_run(bench, tmp_path):
    weights = tmp_path / "other.npz"
    weights.write_bytes(b"weights")
    spec = runs.spec(
        backbone={"weights": "other.npz", "weights_sha256": local.sha256(weights)},
        recipe={"mixup_alpha": 0.1},
    )
    told = {}

    def look(job):
        told.update(json.loads((job.folder / "job.json").read_text()))
        guess(job)

    bench.obtain(look, spec, weights=weights)
    assert (told["schema_version"], told["run"], told["weights"]) == (1, spec.label, str(weights))
    assert told["spec"]["recipe"]["decay_steps"] == [2]
    assert told["spec"]["recipe"]["mixup_alpha"] == 0.1
    assert told["spec"]["target"] == {"kind": "single-label", "classes": ["benign", "malignant"]}
    assert (told["spec"]["seed"], told["spec"]["fraction"]) == (1, 1.0)
    assert list(told["sets"]) == ["train", *SETS]
    assert told["sets"]["train"]["predictions"] is None
    for each in told["sets"].values():
        assert Path(each["images"]).is_absolute()
        assert Path(each["examples"]).is_absolute()


def test_images_come_at_the_sizes_of_training_and_of_scoring(bench):
    cohort, told = runs.NoiseCohort(sizes=SIZES), {}

    def look(job):
        told.update({name: np.load(each.images) for name, each in job.file.sets.items()})
        guess(job)

    bench.obtain(look)
    np.testing.assert_array_equal(told["train"], cohort.images("train", 36))
    for name in SETS:
        np.testing.assert_array_equal(told[name], cohort.images(name, 32))


def test_a_fraction_comes_as_the_rows_that_medbench_would_train_on(bench):
    spec, told = runs.spec(fraction=0.25), []

    def look(job):
        told.extend(rows(job.file.sets["train"].examples))
        guess(job)

    run = bench.obtain(look, spec)
    patients = runs.NoiseCohort(sizes=SIZES).examples("train").patient
    subset = nested_subset(patients, 0.25, streams.sequence(1, streams.SUBSET))
    assert [int(row["row"]) for row in told] == subset.tolist()
    assert (run.record.train_images, run.record.train_patients) == (30, 15)
    by_patient = {}
    for row in told:
        by_patient.setdefault(row["patient"], set()).add(patients[int(row["row"])])
    assert len(by_patient) == 15
    assert all(len(of) == 1 for of in by_patient.values()), "one name a patient"


def test_labels_are_told_of_training_and_validation_and_never_of_what_is_judged(bench):
    told = {}

    def look(job):
        told.update({name: rows(each.examples) for name, each in job.file.sets.items()})
        guess(job)

    bench.obtain(look)
    cohort = runs.NoiseCohort(sizes=SIZES)
    for name in ("train", "validation"):
        labels = [int(row["label/malignant"]) for row in told[name]]
        assert labels == cohort.examples(name).labels[:, 1].tolist()
    for name in ("id", "phone"):
        assert list(told[name][0]) == ["row", "image", "patient", "attribute/sex"]
        assert [row["attribute/sex"] for row in told[name]] == cohort.examples(name).attributes[
            "sex"
        ].tolist()


def test_no_name_of_a_patient_or_a_file_leaves_the_store_by_a_job(bench):
    def look(job):
        for path in job.folder.rglob("*"):
            if path.is_file():
                content = path.read_bytes()
                for split in ("train", *SETS):
                    assert f"{split}-p".encode() not in content
                    assert f"{split}-1".encode() not in content
        guess(job)

    bench.obtain(look)


def test_an_odd_name_of_a_set_or_a_class_comes_through(bench):
    target = runs.Target(kind="multi-label", classes=("a, b", 'c "d" / é'))
    cohort = runs.NoiseCohort(sizes={**SIZES, "../ward 7": 12}, shifts=("../ward 7",), target=target)
    spec = runs.spec(target=target, evaluation_sets=("id", "../ward 7"))
    run = bench.obtain(guess, spec, cohort=cohort)
    assert run.predictions("../ward 7").target == target
    assert all(path.is_relative_to(bench.store.root) for path in bench.store.root.rglob("*.csv"))


def test_a_job_can_be_read_by_another_process_which_tells_of_progress_by_a_file(bench):
    def elsewhere(job):
        code = (
            "import sys; from medbench.execute.job import Job; job = Job.read(sys.argv[1]); "
            "job.report('train', 2, 3); print(job.file.spec.seed); assert 'jax' not in sys.modules"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, str(job.folder)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout == "1\n"
        assert (job.progress().stage, job.progress().done, job.progress().total) == ("train", 2, 3)
        guess(job)

    bench.obtain(elsewhere)


def test_what_is_no_job_is_one_message(tmp_path):
    for content in (None, b"", b"[]", b"{}", b'{"schema_version": 1}', b'{"\xff": 1}'):
        if content is not None:
            (tmp_path / "job.json").write_bytes(content)
        with pytest.raises(MedbenchError, match=r"job\.json: not a job that can be read"):
            Job.read(tmp_path)
    (tmp_path / "job.json").write_text('{"schema_version": 2}')
    with pytest.raises(MedbenchError, match="written by a later medbench"):
        Job.read(tmp_path)


@pytest.mark.parametrize(
    "text", ["", "\n\n", "train", "train 1", "train x 3", "sing 1 3", "train -1 3", "\xff 1 3"]
)
def test_progress_that_cannot_be_read_is_none(tmp_path, text):
    job = Job(tmp_path, None)
    assert job.progress() is None
    (tmp_path / "progress").write_text(text, encoding="latin-1")
    assert job.progress() is None


def test_progress_goes_where_that_of_our_own_runs_goes(bench):
    bench.obtain(learn)
    kinds = [event.kind for event in bench.events]
    assert (kinds[0], kinds[-1]) == ("started", "finished")
    assert [(e.done, e.total) for e in bench.events if e.stage == "evaluate"] == [(1, 3), (2, 3), (3, 3)]
    assert "decode train" in {event.stage for event in bench.events}


# What it must leave.


def images_of(job, name):
    return [row["image"] for row in rows(job.file.sets[name].examples)]


def test_rows_may_come_in_any_order_as_csv_or_as_parquet(bench):
    def turned(job):
        guess(job)
        for name in SETS:
            table = Path(job.file.sets[name].predictions)
            known = rows(table)[::-1]
            if name == "id":
                columns = {key: [row[key] for row in known] for key in known[0]}
                columns = {k: v if k == "image" else np.array(v, np.float64) for k, v in columns.items()}
                pq.write_table(pa.table(columns), table.with_suffix(".parquet"))
                table.unlink()
            else:
                logits = [[r["logit/benign"], r["logit/malignant"]] for r in known]
                leave(job, name, [r["image"] for r in known], logits)

    straight = bench.obtain(InHand(guess, version="straight"))
    other = bench.obtain(InHand(turned, version="turned"))
    for name in SETS:
        np.testing.assert_array_equal(straight.predictions(name).logits, other.predictions(name).logits)


def edited(change):
    """A trainer whose predictions on `id` a test spoils."""

    def train(job):
        guess(job)
        path = Path(job.file.sets["id"].predictions)
        change(job, path)

    return train


def text(change):
    return edited(lambda job, path: path.write_text(change(path.read_text())))


def parquet(**columns):
    def change(job, path):
        images = images_of(job, "id")
        n = len(images)
        base = {"image": images, "logit/benign": [0.0] * n, "logit/malignant": [1.0] * n}
        made = {name: value(images) if callable(value) else value for name, value in columns.items()}
        table = pa.table({k: v for k, v in (base | made).items() if v is not None})
        pq.write_table(table, path.with_suffix(".parquet"))
        path.unlink()

    return edited(change)


def without_first_row(content):
    header, _, rest = content.partition("\n")
    return header + "\n" + rest.partition("\n")[2]


def with_first_row_twice(content):
    header, first, rest = content.split("\n", 2)
    return "\n".join([header, first, first, rest])


def with_last_column_twice(content):
    return "".join(f"{line},{line.rpartition(',')[2]}\n" for line in content.splitlines())


def with_an_empty_cell(content):
    return content.rstrip().rpartition(",")[0] + ",\n"


def logits(value):
    """A trainer that leaves one value for all images of `id`."""
    return edited(lambda job, path: leave(job, "id", images_of(job, "id"), np.full((70, 2), value)))


def replaced(old, new):
    return text(lambda content: content.replace(old, new))


@pytest.mark.parametrize(
    ("train", "message"),
    [
        (edited(lambda job, path: path.unlink()), r"1 of 3 .* are missing: id\.csv \(or \.parquet\) in /"),
        (
            edited(lambda job, path: path.rename(path.with_name("ID_test.csv"))),
            r"id\.csv \(or \.parquet\) in /\S+; found there: ID_test\.csv\. Write one",
        ),
        (edited(lambda job, path: shutil.rmtree(path.parent)), "3 of 3 files of predictions are missing"),
        (edited(lambda job, path: path.with_suffix(".parquet").touch()), r"id\.csv: there is a \.parquet"),
        (
            text(without_first_row),
            r"id\.csv: there are no row for #\w{16}\. Expected one row for each of the 70",
        ),
        (text(with_first_row_twice), r"id\.csv: there are several rows for #\w{16}\. Expected one row"),
        (replaced("#", "id-"), "no row for .* and 67 more; rows for what is none of the set's images: id-"),
        (replaced("logit/malignant", "logit/x"), "no column `logit/malignant` and a column `logit/x`"),
        (replaced("logit/malignant", "malignant"), r"Did you mean `logit/malignant`\?"),
        (replaced("logit/malignant", "logit/maligna"), r"Did you mean `logit/malignant`\?"),
        (text(with_last_column_twice), r"id\.csv: column `logit/malignant` is there twice\. Leave one"),
        (text(with_an_empty_cell), r"`logit/malignant` of image #\w{16} is empty, expected a finite"),
        (logits(1e300), r"is `1e\+300`, which does not fit 32 bits: expected a finite number of at most"),
        (replaced("image", "Image"), "no column `image`"),
        (replaced("logit/benign", "image"), "columns with the same name: `image`"),
        (edited(lambda job, path: leave(job, "id", ["#1"], [[0, 1]], p=[1])), "a column `p`, which has no"),
        (logits(np.nan), r"id\.csv: `logit/benign` of image #\w{16} is `nan`, expected a finite .* diverged"),
        (logits(1e39), "is `1e\\+39`, which does not fit 32 bits"),
        (logits(-np.inf), "`-inf`, expected a finite"),
        (edited(lambda job, path: path.write_text("image,logit/benign,logit/malignant\n")), "no rows"),
        (edited(lambda job, path: path.write_text("")), "the first line is empty"),
        (edited(lambda job, path: path.write_bytes(b"\xff\xfe\x00")), "not UTF-8"),
        (text(lambda content: content.replace("\n", "\nx,y\n", 1)), "row 2 has 2 cells, the header 3"),
        (parquet(**{"logit/malignant": ["high"] * 70}), "is `high`, expected a finite"),
        (parquet(**{"logit/malignant": [True] * 70}), "is `True`, expected a finite"),
        (parquet(**{"logit/malignant": [1.0] * 69 + [float("nan")]}), "is `nan`, expected a finite"),
        (parquet(**{"logit/malignant": pa.nulls(70)}), "is empty, expected a finite"),
        (parquet(**{"logit/malignant": None}), "no column `logit/malignant`"),
        (parquet(image=lambda images: list(range(70))), "`image` of row 1 is 0, expected a name"),
        (parquet(image=lambda images: [images[0]] * 70), "several rows for"),
        (parquet(other=lambda images: images), "a column `other`"),
        (edited(lambda job, path: path.rename(path.with_suffix(".parquet"))), r"id\.parquet: not a Parquet"),
    ],
)
def test_predictions_that_are_not_as_documented_are_one_message(bench, train, message):
    said = bench.failure(train)
    assert said.startswith("fake`: ")
    assert re.search(message, said), said
    assert "Traceback" not in said
    assert len(bench.jobs) == 1, "the folder is kept, to be looked at"


def test_a_failed_run_is_not_tried_again_in_the_session_and_begins_anew_in_the_next(bench):
    train = InHand(lambda job: None)
    failures = Failures()
    first = bench.failure(train, failures=failures)
    assert bench.failure(train, failures=failures) == first
    assert len(train.jobs) == 1
    assert str(bench.jobs[0]) in first
    (bench.jobs[0] / "predictions/id.csv").write_text("from an earlier attempt")
    again = InHand(guess)
    bench.obtain(again)
    assert again.jobs[0].folder != train.jobs[0].folder
    assert bench.jobs == [], "what is stored needs no job"


def test_what_a_failed_script_left_is_removed_when_it_was_corrected_and_no_other_trainers_is(bench, script):
    bench.failure(Script.at(script("exit 1\n")))
    bench.failure(Script.at(script("exit 1\n", name="other.sh")))
    first, other = sorted(bench.jobs, key=lambda folder: folder.stat().st_mtime_ns)
    bench.failure(Script.at(script("exit 2\n")))
    assert other in bench.jobs
    assert first not in bench.jobs
    assert len(bench.jobs) == 2


def test_what_another_version_of_a_trainer_works_on_is_left_alone(bench):
    def meanwhile(job):
        with ThreadPoolExecutor() as pool:
            pool.submit(bench.failure, InHand(lambda job: None, version="2")).result()
        assert job.folder.is_dir()
        guess(job)

    bench.obtain(InHand(meanwhile))


def test_what_a_trainer_left_is_there_until_the_run_is_stored(bench, monkeypatch):
    put, seen = Store.put, []

    def watched(store, *arguments):
        stored = put(store, *arguments)
        seen.extend((bench.jobs[0] / "predictions").iterdir())
        return stored

    monkeypatch.setattr(Store, "put", watched)
    bench.obtain(guess)
    assert sorted(path.stem for path in seen) == sorted(SETS)
    assert bench.jobs == []


def test_what_a_trainer_left_is_kept_where_it_cannot_be_stored(bench, monkeypatch):
    def full(*_):
        raise MedbenchError("store: No space left on device.")

    monkeypatch.setattr(Store, "put", full)
    with pytest.raises(MedbenchError, match=r"No space left on device\. What trainer `fake` left") as caught:
        bench.obtain(guess)
    (folder,) = bench.jobs
    assert f"is kept in {folder} until the run is tried again" in str(caught.value)
    assert sorted(path.stem for path in (folder / "predictions").iterdir()) == sorted(SETS)


def boom(job):
    raise ValueError("no GPU\nat all")


@pytest.mark.parametrize(
    ("train", "message"),
    [
        (boom, r"fake`: raised ValueError: no GPU \(.*\.py:\d+\)\. The traceback is in trainer\.log\. "),
        (lambda job: sys.exit(3), r"fake`: raised SystemExit: 3"),
        (lambda job: 1 / 0, "raised ZeroDivisionError: division by zero"),
        (lambda job: None, "3 of 3 files of predictions are missing"),
    ],
)  # fmt: skip
def test_an_entry_point_that_raises_exits_or_leaves_nothing_is_one_message(
    bench, monkeypatch, train, message
):
    installed = Installed(entry=None)
    monkeypatch.setattr(Installed, "identity", Trainer(name="fake", version="1"))
    monkeypatch.setattr(Installed, "_loaded", lambda self: train)
    said = bench.failure(installed)
    assert re.search(message, said), said
    if "raised" in said:
        assert "Traceback" in (bench.jobs[0] / "trainer.log").read_text()


def test_an_entry_point_that_takes_its_folder_away_is_told_by_its_own_error(bench, monkeypatch):
    def train(job):
        shutil.rmtree(job.folder)
        raise ValueError("no GPU")

    monkeypatch.setattr(Installed, "identity", Trainer(name="fake", version="1"))
    monkeypatch.setattr(Installed, "_loaded", lambda self: train)
    said = bench.failure(Installed(entry=None))
    assert "raised ValueError: no GPU" in said
    assert "could not be written to" in said


def test_a_person_who_interrupts_is_not_taken_for_a_failure(bench, monkeypatch):
    def train(job):
        raise KeyboardInterrupt

    failures = Failures()
    monkeypatch.setattr(Installed, "identity", Trainer(name="fake", version="1"))
    monkeypatch.setattr(Installed, "_loaded", lambda self: train)
    with pytest.raises(KeyboardInterrupt):
        bench.obtain(Installed(entry=None), failures=failures)
    assert bench.events[-1].kind == "interrupted"
    bench.obtain(InHand(guess), failures=failures)


# What it may leave.


def test_the_trainer_may_say_where_it_computed_and_how_it_went(bench):
    about = {
        "platform": "gpu",
        "device": "NVIDIA H100",
        "libraries": {"torch": "2.13.0"},
        "timings": {"train": 12.5, "evaluate": 1},
        "trace": [{"step": 0, "loss": 0.7, "learning_rate": 0.003}],
    }

    def train(job):
        guess(job)
        (job.folder / "trainer.json").write_text(json.dumps(about))

    record = bench.obtain(train).record
    assert (record.environment.device_class, record.environment.device) == ("gpu-nvidia-h100", "NVIDIA H100")
    assert record.environment.libraries == {"torch": "2.13.0"}
    assert {name: seconds for name, seconds in record.timings.items() if name != "decode"} == {
        "train": 12.5,
        "evaluate": 1,
    }
    assert [step.loss for step in record.trace] == [0.7]


def test_what_the_trainer_does_not_say_is_of_this_machine_or_empty(bench, monkeypatch):
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    record = bench.obtain(guess).record
    assert record.environment.device_class == "cpu"
    assert record.environment.libraries == {}
    assert set(record.timings) == {"decode", "train"}
    assert (record.trace, record.validation, record.weight_distance, record.feature_reuse) == ([], [], {}, {})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "no JSON that can be read (Input data was truncated)."),
        ("{", "no JSON that can be read (Input data was truncated)."),
        (b"\xff", "no JSON that can be read ("),
        ('{"timings": {"train": NaN}}', " NaN is none: leave such values out."),
        ('{"timings": {"train": -Infinity}}', " Infinity is none: leave such values out."),
        ("[]", "not as documented (Expected `object`, got `array`)."),
        (
            '{"loss": 1}',
            "unknown field `loss`). Expected `device`, `libraries`, `platform`, `timings`, `trace`.",
        ),
        ('{"timing": {}}', "unknown field `timing`). Did you mean `timings`?"),
        (
            '{"platform": "my machine"}',
            "'my machine' - at `$.platform`). Expected one of `cpu`, `gpu`, `tpu`",
        ),
        ('{"timings": {"train": -1}}', "`$.timings[...]`). Correct it or leave it out."),
        (
            '{"trace": [{"step": 1}]}',
            "missing required field `loss` - at `$.trace[0]`). Correct it or leave it out.",
        ),
        ('{"libraries": {"torch": 2}}', "at `$.libraries[...]`). Correct it or leave it out."),
    ],
)
def test_a_trainer_json_that_is_not_as_documented_is_one_message(bench, content, message):
    def train(job):
        guess(job)
        (job.folder / "trainer.json").write_bytes(content if isinstance(content, bytes) else content.encode())

    said = bench.failure(train)
    assert "trainer.json: " in said
    assert message in said
    assert ("NaN" in said) == ("NaN" in str(content)), "of NaN only where there is one"


def with_features(arrays):
    def train(job):
        guess(job)
        np.savez(job.folder / "features.npz", **arrays)

    return train


FEATURES = np.random.default_rng(0).normal(size=(70, 5)).astype(np.float32)


def test_features_that_are_left_are_compared_as_ours_are(bench):
    run = bench.obtain(with_features({"start/block4": FEATURES, "end/block4": 3 * FEATURES + 1}))
    assert run.record.feature_reuse == {"block4": pytest.approx(1, abs=1e-3)}
    assert run.features()["start/block4"].shape == (70, 5)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"start/a": FEATURES}, "of the same stages"),
        ({"start/a": FEATURES, "end/b": FEATURES}, "of the same stages"),
        ({"start/a": FEATURES, "end/a": FEATURES, "c": FEATURES}, "and no others"),
        (
            {"start/a": FEATURES[:5], "end/a": FEATURES[:5]},
            "5 x 5 of float32; expected one row .* first 70 images",
        ),
        ({"start/a": FEATURES[:, 0], "end/a": FEATURES[:, 0]}, "70 of float32"),
        ({"start/a": FEATURES.astype(int), "end/a": FEATURES}, "70 x 5 of int64"),
        ({"start/a": FEATURES * np.nan, "end/a": FEATURES}, "not finite in 16 bits"),
        ({"start/a": FEATURES * 1e6, "end/a": FEATURES}, "not finite in 16 bits"),
        ({"start/a": FEATURES.astype(object), "end/a": FEATURES}, "without pickle"),
    ],
)
def test_features_that_are_not_as_documented_are_one_message(bench, arrays, message):
    assert re.search(f"features.npz: .*{message}", bench.failure(with_features(arrays)))


@pytest.mark.parametrize("content", [b"", b"PK", b"\x93NUMPY", "array"])
def test_a_damaged_file_of_features_is_one_message(bench, content):
    def train(job):
        guess(job)
        path = job.folder / "features.npz"
        if content == "array":
            with path.open("wb") as file:
                np.save(file, FEATURES)
        else:
            path.write_bytes(content)

    assert "features.npz: not an .npz file" in bench.failure(train)


def test_metrics_of_what_the_trainer_does_not_leave_are_undefined_and_say_why(bench):
    run = bench.obtain(guess)
    sample = Sample(run.predictions("id"), record=run.record)
    reuse = evaluate(metric_named("r", {"r": FeatureReuse(stage="block4")}), sample)
    steps = evaluate(metric_named("s", {"s": StepsToShare(share=0.9)}), sample)
    assert reuse == (None, "trainer `fake` leaves no features")
    assert steps == (None, "trainer `fake` leaves no validation scores along the way")


# Whose run it is.


def test_runs_of_medbench_and_of_others_never_mix(bench, monkeypatch):
    monkeypatch.setattr(local, "capture", lambda: runs.record().environment)
    ours, theirs = StandIn(), InHand(guess)
    mine = bench.obtain(None, train=ours)
    others = [bench.obtain(theirs), bench.obtain(InHand(guess, name="another"))]
    assert mine.record.trainer is None
    assert others[0].record.trainer == theirs.identity
    assert len({run.record.run_id for run in (mine, *others)}) == 3
    assert len({run.record.spec_id for run in (mine, *others)}) == 1
    assert bench.obtain(theirs).origin == "reused"
    assert bench.obtain(None, train=ours).record == mine.record
    assert (ours.calls, len(theirs.jobs)) == (1, 1)


def test_a_new_version_trains_anew_and_says_so(bench):
    bench.obtain(InHand(guess, version="stack 1.0"))
    assert bench.events[0].text == "", "nothing is known yet"
    newer = InHand(guess, version="stack 1.1")
    bench.events.clear()
    assert bench.obtain(newer).origin == "trained"
    assert bench.events[0].text == "changed: the trainer (`fake` (stack 1.0) → `fake` (stack 1.1))"


def test_another_preparation_of_images_trains_anew_and_says_so(bench):
    trainer = Trainer(name="fake", version="1")
    record = runs.record(trainer=trainer, code="0" * 12 + code_fingerprint(trainer)[12:])
    bench.store.put(record, runs.all_predictions(), {})
    assert why_new(runs.spec(), bench.store, trainer) == "changed: how images are prepared"
    assert why_new(runs.spec(), bench.store) == "", "ours are no news"
    record = runs.record(trainer=trainer, code=code_fingerprint(trainer)[:13] + "0" * 12)
    bench.store.put(record, runs.all_predictions(), {})
    assert why_new(runs.spec(), bench.store, trainer) == "changed: numpy or pillow"


def test_what_jax_would_compute_on_is_nothing_to_another_trainer(monkeypatch):
    trainer = Trainer(name="fake", version="1")
    before, ours = code_fingerprint(trainer), code_fingerprint()
    monkeypatch.setenv("XLA_FLAGS", "--xla_something=1")
    monkeypatch.setenv("JAX_PLATFORMS", "cuda")
    assert code_fingerprint(trainer) == before
    assert code_fingerprint() != ours


def test_records_of_before_there_were_trainers_are_medbenchs_own(bench):
    run = bench.store.put(runs.record(), runs.all_predictions(), {})
    file = run.path / "record.json"
    content = json.loads(file.read_text())
    del content["trainer"]
    content["schema_version"] = 2
    file.write_text(json.dumps(content))
    assert isinstance(bench.store.get(run.record.run_id).record, RunRecord)
    assert bench.store.get(run.record.run_id).record.trainer is None


# Entry points.


def test_an_installed_entry_point_is_found_by_name_and_called(bench, tmp_path, monkeypatch):
    package(tmp_path, "from tests.execute.elsewhere import guess as train\n")
    monkeypatch.syspath_prepend(tmp_path)
    trainer = find("fake", tmp_path)
    assert trainer.identity == Trainer(name="fake", version="stack 1.0")
    assert "stack" not in sys.modules, "planning loads nothing"
    assert bench.obtain(trainer).record.trainer == trainer.identity
    del sys.modules["stack"]


@pytest.mark.parametrize(
    ("body", "entry", "message"),
    [
        (
            "import nothing_of_this_name\n",
            "fake = stack:train",
            "`stack:train` cannot be loaded: ModuleNotFoundError",
        ),
        ("", "fake = stack:train", "`stack:train` cannot be loaded: AttributeError"),
        ("train = 3\n", "fake = stack:train", "`stack:train` is no function"),
        ("def train(): pass\n", "fake = stack:train", "raised TypeError: train\\(\\) takes 0 positional"),
        ("raise SystemExit(0)\n", "fake = stack:train", "cannot be loaded: SystemExit: 0"),
    ],
)
def test_an_entry_point_that_cannot_be_used_is_one_message(
    bench, tmp_path, monkeypatch, body, entry, message
):
    package(tmp_path, body, entry=entry)
    monkeypatch.syspath_prepend(tmp_path)
    said = bench.failure(find("fake", tmp_path))
    sys.modules.pop("stack", None)
    assert re.search(message, said), said


def test_a_name_that_is_not_installed_is_answered_with_what_is(tmp_path, monkeypatch):
    with pytest.raises(
        MedbenchError, match=r"unknown trainer `fake`.*`medbench\.trainers`.*--trainer \./train\.sh"
    ):
        find("fake", tmp_path)
    package(tmp_path, "", entry="fake = stack:train")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MedbenchError, match="Did you mean `fake`"):
        find("fakes", tmp_path)
    (tmp_path / "train.sh").touch()
    with pytest.raises(MedbenchError, match=r"A script is named with its folder: --trainer \./train\.sh"):
        find("train.sh", tmp_path)


def test_two_packages_with_one_name_are_refused(tmp_path, monkeypatch):
    package(tmp_path, "", name="stack")
    package(tmp_path, "", name="other", version="2")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MedbenchError, match=r"an entry point of other 2 and of stack 1\.0\. Uninstall one"):
        find("fake", tmp_path)


# Scripts.

GUESS = f"""#!{sys.executable}
import sys
sys.path.insert(0, {str(ROOT)!r})
from medbench.execute.job import Job
from tests.execute.elsewhere import guess
print("guessing")
guess(Job.read(sys.argv[1]))
"""


def test_a_script_is_given_the_folder_and_its_bytes_are_its_version(bench, script, tmp_path):
    path = script("", first=GUESS, name="train.py")
    trainer = find("./train.py", tmp_path)
    first = bench.obtain(trainer)
    assert first.record.trainer.name == "train.py"
    assert str(first.record.trainer).startswith("`train.py` (sha256 ")
    assert bench.obtain(find(str(path), Path("/"))).origin == "reused"
    script("# another version\n", first=GUESS, name="train.py")
    bench.events.clear()
    assert bench.obtain(find("./train.py", tmp_path)).origin == "trained"
    assert bench.events[0].text.startswith("changed: the trainer (`train.py` (sha256 ")


def test_a_script_that_changes_while_the_session_runs_is_refused(bench, script):
    trainer = Script.at(script("exit 0\n"))
    script("exit 1\n")
    assert "changed meanwhile. Start again." in bench.failure(trainer)


@pytest.mark.parametrize(
    ("body", "messages"),
    [
        ("echo one; echo two >&2; exit 7\n", ["(status 7). All that it printed is in trainer.log.",
                                              "\n    one\n    two"]),
        ("exit 1\n", ["(status 1). It printed nothing. Its folder is kept until the run is tried again: /"]),
        ("kill -9 $$\n", ["(was ended by SIGKILL)"]),
        ("exit 0\n", ["3 of 3 files of predictions are missing"]),
        ("printf '\\033[31mred\\n\\377'; exit 2\n", ["    \\x1b[31mred\n    \ufffd"]),
        ("seq 1000; exit 2\n", ["\n    991\n    992\n", "\n    1000"]),
        ("test -d \"$1\" && test $# = 1 && test -f \"$1/job.json\" && exit 44\n", ["(status 44)"]),
        ("cat; exit 9\n", ["(status 9)"]),
    ],
)  # fmt: skip
def test_a_script_that_fails_is_one_message_with_its_last_lines(bench, script, body, messages):
    said = bench.failure(Script.at(script(body)))
    for message in messages:
        assert message in said
    assert str(bench.jobs[0]) in said.partition("\n")[0]
    assert "\n    990" not in said, "the last lines alone"
    assert len(said.partition("\n")[2]) <= 2100


def test_the_end_of_a_log_is_told_once_however_many_items_ask_for_the_run(bench, script):
    trainer, failures = Script.at(script("echo one; exit 7\n")), Failures()
    first = bench.failure(trainer, failures=failures)
    assert first.endswith("\n    one")
    assert bench.failure(trainer, failures=failures) == first.removesuffix("\n    one")


def test_a_file_that_is_no_script_is_said_so(bench, script, tmp_path):
    script("", mode=0o644)
    with pytest.raises(MedbenchError, match=r"trian\.sh: no such script\. Did you mean `train\.sh`"):
        find("./trian.sh", tmp_path)
    with pytest.raises(MedbenchError, match=r"train\.sh: may not be executed\. Allow it: chmod \+x"):
        find("./train.sh", tmp_path)
    with pytest.raises(MedbenchError, match="no such script"):
        find("./", tmp_path)
    bad = script("", name="bad.sh", first="#!/no/such/interpreter\n")
    assert "cannot be started (No such file or directory). Does it begin with" in bench.failure(
        Script.at(bad)
    )


def test_a_script_tells_of_progress_by_a_file(bench, script, monkeypatch):
    monkeypatch.setattr("medbench.execute.trainers._LOOK_EVERY", 0.05)
    body = 'echo "train 1 2" > "$1/progress"; sleep 0.5; echo "train 2 2" >> "$1/progress"; sleep 0.5\n'
    bench.failure(Script.at(script(body)))
    assert [(e.done, e.total) for e in bench.events if e.stage == "train"] == [(1, 2), (2, 2)]


@pytest.mark.parametrize("whole_group", [True, False])
def test_interrupting_a_session_ends_the_script(tmp_path, script, whole_group):
    """Ctrl-C and `timeout` reach all that the script started; who ends this process alone, the script."""
    asked = tmp_path / "asked"
    foreground = f"sh -c 'echo $$ > {tmp_path}/pid; exec sleep 300'; true\n"
    alone = f"trap 'touch {asked}; exit' TERM; echo $$ > {tmp_path}/pid; while :; do sleep 0.1; done\n"
    path = script(foreground if whole_group else alone)
    code = f"""
from pathlib import Path
from medbench.execute.job import Job
from medbench.execute.trainers import Script
Script.at(Path({str(path)!r}))(Job(Path({str(tmp_path)!r}), None))
"""
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    pid = tmp_path / "pid"
    while not (pid.exists() and pid.read_text().strip()):
        time.sleep(0.05)
    (os.killpg if whole_group else os.kill)(process.pid, signal.SIGINT)
    assert "KeyboardInterrupt" in process.communicate(timeout=60)[1]
    child = int(pid.read_text())
    for _ in range(100):
        if not alive(child):
            break
        time.sleep(0.05)
    assert not alive(child)
    assert asked.exists() != whole_group, "it was asked to end before it was killed"


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_a_run_that_another_process_was_killed_in_is_made_anew(bench, script):
    """What the killed one left, or still writes, is in a folder of its own."""
    orphan = bench.store.new_job("0" * 20, "a")
    again = bench.store.new_job("0" * 20, "a")
    other = bench.store.new_job("1" * 20, "b")
    assert not orphan.exists()
    assert again.is_dir()
    assert other.is_dir()
    assert again.stat().st_mode & 0o077 == 0, "for its owner only"
