import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from medbench import cli, doctor
from medbench.errors import MedbenchError
from tests.suites.project import HERE

GOOD = HERE / "good"


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A sound machine with a small suite, whose jax answers at once."""
    monkeypatch.chdir(tmp_path)
    for variable in ("MEDBENCH_WEIGHTS", "MEDBENCH_COHORTS", "MEDBENCH_DEVICE_CLASS"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    monkeypatch.setattr(doctor, "_ask_jax", lambda patience: [("cpu", "cpu", 0)])
    shutil.copytree(GOOD, tmp_path / "benchmarks")
    for name in ("small", "large"):
        (tmp_path / "benchmarks" / f"{name}.npz").write_text(name)
    return tmp_path


def asked(**changes):
    given = {
        "tier": "embedded",
        "suite": Path("benchmarks"),
        "store": ".medbench",
        "cohort": "",
        "patience": 20,
    }
    return doctor.Asked(**given | changes)


def found(subject, **changes):
    return [finding for finding in doctor.examine(asked(**changes)) if finding.subject == subject]


def only(subject, **changes):
    (finding,) = found(subject, **changes)
    return finding


def test_a_sound_machine_has_no_problem_and_nothing_is_made(machine, capsys):
    before = sorted(machine.rglob("*"))
    assert cli.main(["doctor"]) == 0
    said = capsys.readouterr().out
    assert said.splitlines()[-1].startswith("0 problems")
    assert sorted(machine.rglob("*")) == before


def test_json_has_all_that_the_text_says(machine, capsys):
    assert cli.main(["doctor", "--format=json", "--tier=nightly"]) == 1
    findings = json.loads(capsys.readouterr().out)
    assert {finding["subject"] for finding in findings} >= {"python", "devices", "memory", "disk", "store"}
    assert {finding["state"] for finding in findings} <= {"ok", "note", "problem"}
    tier = next(finding for finding in findings if "unknown tier" in finding["text"])
    assert tier["state"] == "problem"


def test_a_driver_that_hangs_is_told_as_that_and_in_time(machine, monkeypatch):
    monkeypatch.undo()
    monkeypatch.chdir(machine)
    monkeypatch.setattr(doctor, "_ASK_JAX", "import time; time.sleep(600)")
    finding = only("devices", patience=1)
    assert finding.state == "problem"
    assert "did not find its devices in 1 s: a driver hangs" in finding.text


@pytest.mark.parametrize("patience", ["nan", "inf", "1e30", "-1", "0", "soon"])
def test_a_patience_that_is_no_time_is_a_mistake(capsys, patience):
    with pytest.raises(SystemExit) as ended:
        cli.main(["doctor", f"--patience={patience}"])
    assert ended.value.code == 2
    assert f"`{patience}`: expected seconds, up to 3600" in capsys.readouterr().err


def test_jax_that_breaks_off_is_told_in_its_own_words(machine, monkeypatch):
    monkeypatch.undo()
    monkeypatch.chdir(machine)
    monkeypatch.setattr(doctor, "_ASK_JAX", "raise RuntimeError('no CUDA-capable device is detected')")
    finding = only("devices")
    assert finding.state == "problem"
    assert "no CUDA-capable device is detected" in finding.text
    assert "JAX_PLATFORMS=cpu" in finding.advice


def test_jax_is_really_asked(machine, monkeypatch):
    monkeypatch.undo()
    monkeypatch.chdir(machine)
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    assert "cpu; 1 for jax" in only("devices", patience=120).text


def test_a_gpu_that_jax_does_not_get_is_a_problem(machine, monkeypatch):
    monkeypatch.setenv("MEDBENCH_DEVICE_CLASS", "gpu-nvidia-h100")
    finding = only("devices")
    assert finding.state == "problem"
    assert finding.text == "a session would plan for `gpu-nvidia-h100`, and jax uses `cpu`"


def test_memory_of_a_device_is_told(machine, monkeypatch):
    monkeypatch.setenv("MEDBENCH_DEVICE_CLASS", "gpu-nvidia-h100")
    monkeypatch.setattr(doctor, "_ask_jax", lambda patience: [("gpu", "NVIDIA H100", 60 << 30)] * 2)
    assert only("devices").text == "gpu-nvidia-h100; 2 for jax: NVIDIA H100, 60.0 GiB"


def test_limits_of_a_container_are_told(machine, monkeypatch, tmp_path):
    (tmp_path / "memory.max").write_text("2147483648\n")
    (tmp_path / "cpu.max").write_text("50000 100000\n")
    monkeypatch.setattr(doctor, "_CGROUP", tmp_path)
    memory, cores = only("memory"), only("cores")
    assert (memory.state, cores.state) == ("note", "note")
    assert memory.text.startswith("2.0 GiB (of ")
    assert "but time of 0.5" in cores.text


def test_no_limit_is_no_limit(machine, monkeypatch, tmp_path):
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "cpu.max").write_text("max 100000\n")
    monkeypatch.setattr(doctor, "_CGROUP", tmp_path)
    assert "container" not in only("memory").text + only("cores").text


def test_a_full_disk_is_a_problem(machine, monkeypatch):
    usage = shutil.disk_usage(machine)._replace(free=1 << 20)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    assert {finding.state for finding in found("disk")} == {"problem"}


def test_a_library_out_of_its_range_is_named_with_the_range(machine, monkeypatch):
    real = doctor.version
    monkeypatch.setattr(doctor, "version", lambda name: "0.9.0" if name == "jax" else real(name))
    (finding,) = (finding for finding in found("libraries") if finding.state == "problem")
    assert finding.text == "jax 0.9.0; supported: jax<0.13,>=0.10"
    assert finding.advice == "pip install 'jax<0.13,>=0.10'"


def test_a_library_that_is_not_there_is_named_unless_only_an_extra_needs_it(machine, monkeypatch):
    real = doctor.version

    def version(name):
        if name in ("msgspec", "ray", "pytest-timeout"):
            raise doctor.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(doctor, "version", version)
    (finding,) = (finding for finding in found("libraries") if finding.state == "problem")
    assert finding.text.startswith("msgspec is missing; supported: msgspec")


@pytest.mark.parametrize(
    ("code", "state"),
    [
        ('print(\'[["cpu", "cpu", 0]]\'); raise SystemExit(3)', "problem"),
        ("", "problem"),
        ("print('a driver greets'); print('[[\"cpu\", \"cpu\", 0]]')", "ok"),
    ],
)
def test_jax_has_answered_where_it_ends_well_and_its_last_line_is_the_answer(
    machine, monkeypatch, code, state
):
    monkeypatch.undo()
    monkeypatch.chdir(machine)
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    monkeypatch.setattr(doctor, "_ASK_JAX", code)
    assert only("devices").state == state


def test_a_gpu_of_another_kind_than_planned_is_none_that_jax_misses(machine, monkeypatch):
    monkeypatch.setenv("MEDBENCH_DEVICE_CLASS", "gpu-of-ours")
    monkeypatch.setattr(doctor, "_ask_jax", lambda patience: [("gpu", "NVIDIA H100", 60 << 30)])
    assert only("devices").state == "ok"


@pytest.mark.parametrize(("platforms", "state"), [("", "note"), ("cpu", "ok")])
def test_a_gpu_that_is_left_idle_is_a_note_unless_that_was_asked_for(machine, monkeypatch, platforms, state):
    monkeypatch.setenv("MEDBENCH_DEVICE_CLASS", "cpu")
    monkeypatch.setenv("JAX_PLATFORMS", platforms)
    monkeypatch.setattr(doctor.gpus, "listing", lambda: "0, NVIDIA H100")
    monkeypatch.setattr(doctor.gpus, "parse", lambda listing: [listing])
    assert only("devices").state == state


@pytest.mark.parametrize(("free", "state"), [(doctor.PLENTY, "ok"), (doctor.PLENTY - 1, "note")])
def test_a_disk_with_little_room_is_a_note(machine, monkeypatch, free, state):
    usage = shutil.disk_usage(machine)._replace(free=free)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    assert {finding.state for finding in found("disk")} == {state}


def test_the_disk_is_that_of_the_folder_itself_where_there_is_one(machine, monkeypatch):
    looked, usage = [], shutil.disk_usage(machine)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: looked.append(path) or usage)
    (machine / ".medbench").mkdir()
    found("disk")
    assert looked[0] == machine / ".medbench"


def test_expectations_that_are_listed_and_in_no_file_are_a_problem(machine, monkeypatch):
    real = doctor.expect.load

    def load(*arguments):
        return replace(real(*arguments), lost=frozenset({"chest/a/id"}))

    monkeypatch.setattr(doctor.expect, "load", load)
    finding = only("expectations")
    assert finding.state == "problem"
    assert ", and 1 that are listed in " in finding.text
    assert finding.advice == "Restore their files from version control."


def test_a_store_without_the_right_to_write_is_a_problem(machine, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert only("store").text.endswith("runs cannot be written here")


def test_a_remote_store_that_is_not_to_be_reached_is_a_problem(machine):
    assert any(each.state == "problem" for each in found("store", store="nothing-like-that://bucket"))


def test_a_run_that_was_never_finished_is_a_note(machine):
    (machine / ".medbench/incoming" / ("a" * 20)).mkdir(parents=True)
    note = next(finding for finding in found("store") if finding.state == "note")
    assert note.text == f"a session that died left {'a' * 20}"


def test_an_extra_that_the_store_calls_for_is_named(machine, monkeypatch):
    monkeypatch.setattr(doctor, "_installed", lambda name: "")
    assert only("extras", store="s3://bucket").advice == "pip install 's3fs'"
    assert only("extras", cohort="public:pad-ufes-20").advice == "pip install 'medbench[public]'"
    assert only("extras").text.endswith("none are needed")


def test_a_broken_declaration_is_told_with_file_and_line(machine):
    claim = machine / "benchmarks/claims/scale.yaml"
    claim.write_text(claim.read_text().replace("margin:", "margn:"))
    assert "claims/scale.yaml:" in only("suite").text
    assert only("suite").state == "problem"


def test_expectations_that_cannot_be_read_are_a_problem(machine):
    (machine / "expectations/embedded/chest").mkdir(parents=True)
    (machine / "expectations/embedded/chest/scale-data.yaml").write_text("- item: [\n")
    assert any(finding.state == "problem" and "scale-data.yaml" in finding.text for finding in found("suite"))


def test_a_suite_that_is_not_there_leaves_the_other_findings(machine):
    findings = doctor.examine(asked(suite=Path("nowhere")))
    assert next(f for f in findings if f.subject == "suite").text.startswith("nowhere: no such folder")
    assert {"memory", "disk", "store"} <= {f.subject for f in findings}


def test_one_cause_is_one_finding(machine):
    found = [each for each in doctor.examine(asked(suite=machine / "nowhere")) if each.state == "problem"]
    assert len([each for each in found if "nowhere" in each.text]) == 1


def test_an_unknown_tier_is_one_problem(machine):
    found = [each for each in doctor.examine(asked(tier="embeded")) if each.state == "problem"]
    assert [(each.subject, each.advice) for each in found if each.subject != "cohorts"] == [
        ("suite", "Did you mean `embedded`?")
    ]


def test_a_weight_file_that_is_missing_is_named_with_what_to_do(machine):
    (machine / "benchmarks/small.npz").unlink()
    missing = [finding for finding in found("weights") if finding.state != "ok"]
    assert [finding.text for finding in missing] == ["small.npz: missing"]
    assert "MEDBENCH_WEIGHTS" in missing[0].advice


def test_no_weight_file_at_all_is_a_problem(machine):
    for name in ("small", "large"):
        (machine / "benchmarks" / f"{name}.npz").unlink()
    assert {finding.state for finding in found("weights")} == {"problem"}


def test_a_public_cohort_that_is_not_prepared_is_told_with_how_to_come_by_it(machine):
    finding = only("cohorts", cohort="public:pad-ufes-20")
    assert finding.state == "problem"
    assert "medbench cohort prepare pad-ufes-20 --from DIR" in finding.advice


def test_a_cohort_of_ones_own_takes_the_place_of_the_tiers(machine):
    (machine / "mine").mkdir()
    (machine / "mine/cohort.yaml").touch()
    assert only("cohorts", cohort="mine").text == "mine/cohort.yaml"
    assert only("cohorts", cohort="elsewhere").state == "problem"


def test_what_a_dead_session_left_is_a_note_and_a_living_one_is_none(machine):
    import socket

    progress = machine / ".medbench/progress"
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    for pid in (dead.pid, os.getpid()):
        (progress / f"{socket.gethostname()}-{pid}").mkdir(parents=True)
    note = next(finding for finding in found("store") if finding.state == "note")
    assert f"-{dead.pid}" in note.text
    assert f"-{os.getpid()}" not in note.text


def test_runs_that_are_not_pushed_are_told_with_the_command(machine):
    store = f"file://{machine}/shared"
    (machine / "shared").mkdir()
    from medbench.store import store_at

    unpushed = store_at(store).root / "unpushed"
    unpushed.mkdir(parents=True)
    (unpushed / ("a" * 20)).touch()
    note = next(finding for finding in found("store", store=store) if finding.state == "note")
    assert note.advice == f"medbench store push --store {store}"


def test_a_store_that_cannot_be_written_is_a_problem(machine):
    (machine / "file").touch()
    assert only("store", store="file").state == "problem"


def test_a_look_that_hangs_is_a_problem_and_the_others_go_on(machine, monkeypatch):
    monkeypatch.setitem(doctor.LOOKS, "store", lambda asked: time.sleep(600))
    findings = doctor.examine(asked(patience=-9.5))  # ten seconds are for a look to end by itself
    assert next(f for f in findings if f.subject == "store").text.startswith(
        "looking at store gave no answer"
    )
    assert findings[-1].subject == "code"


@pytest.mark.parametrize("error", [RuntimeError("boom"), OSError("gone"), MedbenchError("x: wrong.")])
def test_whatever_breaks_in_a_look_is_a_finding(machine, monkeypatch, error):
    def fail(asked):
        raise error

    monkeypatch.setitem(doctor.LOOKS, "memory", fail)
    finding = only("memory")
    assert finding.state == "problem"
    assert str(error) in finding.text


def test_without_a_library_that_medbench_itself_needs_there_is_no_traceback(machine):
    (machine / "broken").mkdir()
    (machine / "broken/numpy.py").write_text("raise ImportError('libgfortran.so is missing')")
    path = f"{machine / 'broken'}{os.pathsep}{Path(doctor.__file__).parents[1]}"
    done = subprocess.run(
        [sys.executable, "-m", "medbench.cli", "doctor"],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (1, "")
    assert "libgfortran.so is missing" in done.stdout


def test_a_checkout_with_changes_is_a_note(machine):
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "add", "benchmarks"], check=True)
    subprocess.run([*git, "commit", "-qm", "first"], check=True)
    assert found("code")[-1].state == "ok"
    (machine / "beside.txt").touch()
    assert found("code")[-1].state == "ok", "what is not below the suite makes no number"
    (machine / "benchmarks/small.npz").write_text("other")
    assert found("code")[-1].state == "note"


def test_a_problem_is_told_also_where_a_note_says_the_same(monkeypatch):
    found = {
        state: doctor.Finding(subject=state, state=state, text="the same") for state in ("note", "problem")
    }
    looks = {state: lambda asked, of=of: [of] for state, of in found.items()}
    monkeypatch.setattr(doctor, "LOOKS", looks)
    asked = doctor.Asked(tier="embedded", suite=Path(), store="", cohort="", patience=1)
    assert [each.state for each in doctor.examine(asked)] == ["note", "problem"]
