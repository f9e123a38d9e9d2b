"""What travels in a wheel, by way of a source distribution; and that an installation of it works anywhere."""

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest

from medbench import packaged

REPOSITORY = Path(__file__).parents[1]
OURS = ("medbench", "benchmarks", "expectations", "pyproject.toml", "setup.py", "README.md", "LICENSE")
"""All that a build reads."""
NEEDED = 77
"""Major version of setuptools from which pyproject.toml may state a licence as it does."""

builds = pytest.mark.skipif(
    int(version("setuptools").partition(".")[0]) < NEEDED,
    reason=f"building needs setuptools {NEEDED}, which the extra `test` installs",
)


def build(hook, source, target):
    """Call setuptools as installers do; returns what it made."""
    code = f"from setuptools import build_meta; build_meta.{hook}({str(target)!r})"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=source, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (made,) = target.iterdir()
    return made


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory):
    """A source distribution of this repository, unpacked."""
    folder = tmp_path_factory.mktemp("source")
    for name in OURS:
        if (REPOSITORY / name).is_dir():
            shutil.copytree(REPOSITORY / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(REPOSITORY / name, folder)
    made = build("build_sdist", folder, tmp_path_factory.mktemp("sdist"))
    target = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(made) as archive:
        archive.extractall(target, filter="data")
    return target / made.name.removesuffix(".tar.gz")


@pytest.fixture(scope="module")
def wheel(unpacked, tmp_path_factory):
    return build("build_wheel", unpacked, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """The environment in which the wheel is installed, and no checkout is near."""
    site = tmp_path_factory.mktemp("site")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-compile"]
    subprocess.run([*pip, "--target", str(site), str(wheel)], check=True)
    dropped = ("MEDBENCH_WEIGHTS", "PYTEST_ADDOPTS", "PYTHONPATH", "CI")
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    return kept | {"PYTHONPATH": str(site), "JAX_PLATFORMS": "cpu"}


def run(installed, folder, *command):
    """Run a module of the installation in a folder; returns what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=folder,
        env=installed,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def files(folder, pattern="*"):
    """Paths of files below a folder of the repository, as the repository has them."""
    return {
        path.relative_to(REPOSITORY).as_posix()
        for path in (REPOSITORY / folder).rglob(pattern)
        if path.is_file()
    }


@builds
def test_all_that_is_claimed_and_accepted_travels_and_nothing_else_does(wheel):
    print(f"{wheel.name}: {wheel.stat().st_size / 1e6:.1f} MB")
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        for name in files("expectations"):
            assert archive.read(f"medbench/_suite/{name}") == (REPOSITORY / name).read_bytes()
    suite = files("benchmarks", "*.yaml") | files("expectations")
    assert {name for name in names if "/_suite/" in name} == {f"medbench/_suite/{name}" for name in suite}
    assert {name for name in names if "/_suite/" not in name} == (
        files("medbench", "*.py")
        | files("medbench/gate", "*.yaml")
        | files("medbench/models", "*.yaml")
        | files("medbench/models/weights")
        | files("medbench/report/templates")
    )
    assert suite > {"benchmarks/tiers.yaml", "expectations/numeric.yaml"}


@builds
def test_a_file_that_was_removed_since_an_earlier_build_does_not_travel(unpacked, tmp_path):
    gone = unpacked / "expectations/gone.yaml"
    for text in ("here", None):
        gone.write_text(text) if text else gone.unlink()
        command = [
            sys.executable,
            "setup.py",
            "--quiet",
            "build_py",
            "--build-lib",
            str(tmp_path),
            "build_suite",
        ]
        subprocess.run(command, cwd=unpacked, check=True, capture_output=True)
        assert (tmp_path / "medbench/_suite/expectations/gone.yaml").exists() == bool(text)


@builds
def test_an_installation_knows_its_suite_in_any_folder(installed, tmp_path):
    code = "import medbench.packaged as p; print(p.__file__, p.suite())"
    (tmp_path / "where.py").write_text(code)
    module, suite = run(installed | {"PYTHONSAFEPATH": ""}, tmp_path, "where").split()
    site = installed["PYTHONPATH"]
    assert module.startswith(site)
    assert suite == f"{site}/medbench/_suite/benchmarks"
    assert "ece_tempered" in run(installed, tmp_path, "medbench.cli", "metrics")


@builds
def test_an_installation_starts_a_suite_in_an_empty_folder(installed, tmp_path):
    assert "next:" in run(installed, tmp_path, "medbench.cli", "init")
    listed = run(installed, tmp_path, "pytest", "benchmarks", "--collect-only", "-q", "-k", "mammography")
    items = [line for line in listed.splitlines() if "::" in line]
    assert "benchmarks/suite.yaml::mammography/scale-data/id" in {line.partition("[")[0] for line in items}
    assert all(line.startswith("benchmarks/suite.yaml::mammography/") for line in items)
    planned = run(installed, tmp_path, "medbench.cli", "plan", "-k", "mammography and scale-data")
    assert "bit-cifar50k-r14x0.5 · all patients · seed 1" in planned, "the weights are there"
    assert not (Path(installed["PYTHONPATH"]) / "medbench/_suite/.medbench").exists()


def test_in_a_checkout_the_suite_is_the_repositorys():
    assert packaged.suite() == REPOSITORY / "benchmarks"
    assert not (REPOSITORY / "medbench/_suite").exists(), "left by a build: it would hide the repository's"


def test_commands_are_about_the_suite_here_or_else_medbenchs_own(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert packaged.chosen(Path("given")) == Path("given")
    assert capsys.readouterr().err == ""
    assert packaged.chosen(None) == packaged.suite()
    assert "medbench's own suite" in capsys.readouterr().err
    Path("benchmarks").mkdir()
    assert packaged.chosen(None) == Path("benchmarks")
    assert capsys.readouterr().err == ""
