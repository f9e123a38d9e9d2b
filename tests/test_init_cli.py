"""`medbench init`: what it writes, what it leaves, what it refuses and what it says."""

from pathlib import Path

import pytest
from _pytest.config.findpaths import load_config_dict_from_file

from medbench import packaged
from medbench.cli import main
from medbench.spec.suite import load_suite
from medbench.study import Options, Study
from tests import runs

MADE = {
    "benchmarks/suite.yaml",
    "benchmarks/claims/screening-precision.yaml.example",
    "expectations/README.md",
    "pytest.ini",
    ".gitignore",
}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """An empty folder to be in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def init(capsys, *arguments):
    """Status, output and complaint."""
    status = main(["init", *arguments])
    out, err = capsys.readouterr()
    return status, out, err


def written(folder=Path()):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_an_empty_folder_becomes_a_suite_that_has_medbenchs(capsys):
    status, out, _ = init(capsys)
    assert status == 0
    assert written() == MADE
    assert all(f"made  {name}\n" in out for name in MADE)
    suite, own = load_suite(Path("benchmarks")), load_suite(packaged.suite())
    assert (suite.claims, suite.tasks, suite.tiers) == (own.claims, own.tasks, own.tiers)
    assert f"{len(own.claims)} claims on chest, dermatology, mammography" in out
    assert str(packaged.suite() / "claims") in out
    assert "\n  medbench plan -k mammography " in out
    assert "cd " not in out


def test_a_folder_that_is_not_there_is_made_and_the_way_into_it_is_told(capsys):
    status, out, _ = init(capsys, "new/bench")
    assert status == 0
    assert written(Path("new/bench")) == MADE
    assert "\n  cd new/bench\n" in out


def test_what_is_there_is_left_and_named(capsys):
    mine = {".gitignore": ".medbench/\n", "pytest.ini": "[pytest]\nmedbench_suites = benchmarks\n"}
    for name, text in mine.items():
        Path(name).write_text(text)
    status, out, _ = init(capsys)
    assert status == 0
    for name, text in mine.items():
        assert Path(name).read_text() == text
        assert f"left  {name}, which was there\n" in out
    assert "add to" not in out
    before = runs.content(Path())
    status, out, _ = init(capsys)
    assert (status, out.count("left  ")) == (0, len(MADE))
    assert runs.content(Path()) == before


def test_what_files_that_were_left_lack_is_told(capsys):
    Path(".gitignore").write_text("*.o\n")
    Path("pytest.ini").write_text("[pytest]\naddopts = -ra\n")
    _, out, _ = init(capsys)
    assert "add to pytest.ini, in pytest's section: medbench_suites = benchmarks\n" in out
    assert "add to .gitignore: .medbench/\n" in out


CONFIGURATIONS = [
    ("pytest.toml", "", True),
    (".pytest.toml", "[pytest]\naddopts = ['-ra']\n", True),
    ("pytest.ini", "", True),
    (".pytest.ini", "[pytest]\n", True),
    ("pyproject.toml", "[tool.pytest.ini_options]\naddopts = ['-ra']\n", True),
    ("pyproject.toml", "[project]\nname = 'a'\n\n[tool.pytest]\naddopts = ['-ra']\n", True),
    ("pyproject.toml", "[project]\nname = 'a'\n", False),
    ("tox.ini", "[tox]\n[pytest]\naddopts = -ra\n", True),
    ("tox.ini", "[tox]\n[pytester]\n", False),
    ("setup.cfg", "[metadata]\n[tool:pytest]\naddopts = -ra\n", True),
    ("setup.cfg", "[metadata]\n", False),
]
"""A file, its text, and whether pytest takes its settings from it."""


@pytest.mark.parametrize(("file", "text", "counts"), CONFIGURATIONS)
def test_settings_are_written_only_where_pytest_has_none(file, text, counts, capsys):
    Path(file).write_text(text)
    assert (load_config_dict_from_file(Path(file)) is not None) == counts, "as pytest itself has it"
    _, out, _ = init(capsys)
    assert (f"left  {file}, which was there\n" in out) == counts
    assert Path(file).read_text() == text
    assert Path("pytest.ini").exists() == (file == "pytest.ini" or not counts)
    setting = "medbench_suites = " + ('["benchmarks"]' if file.endswith("toml") else "benchmarks")
    assert (f"add to {file}, in pytest's section: {setting}\n" in out) == counts


def test_the_settings_that_are_written_are_ones_that_pytest_reads(capsys):
    init(capsys)
    assert load_config_dict_from_file(Path("pytest.ini")).keys() == {"medbench_suites"}


@pytest.mark.parametrize(
    "file", ["benchmarks/tiers.yaml", "benchmarks/claims/mine.yaml", "benchmarks/ours.yml"]
)
def test_declarations_that_do_not_extend_medbenchs_are_not_touched(file, capsys):
    Path(file).parent.mkdir(parents=True)
    Path(file).write_text("tiers: {}\n")
    status, out, err = init(capsys)
    assert (status, out) == (2, "")
    assert err.startswith(f"benchmarks: has {file.removeprefix('benchmarks/')} and no suite.yaml")
    assert "write `extends: medbench` into benchmarks/suite.yaml" in err
    assert written() == {file}


def test_a_suite_that_extends_medbenchs_and_is_wrong_is_said_to_be(capsys):
    Path("benchmarks").mkdir()
    Path("benchmarks/suite.yaml").write_text("extends: medbnch\n")
    status, _, err = init(capsys)
    assert status == 2
    assert err.startswith("benchmarks/suite.yaml:1: unknown value `medbnch`")


def a_file_for_a_folder(monkeypatch):
    Path("benchmarks").write_text("")


def a_folder_for_a_file(monkeypatch):
    Path("pytest.ini").mkdir()


def no_rights(monkeypatch):
    def refuse(path, *_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)


@pytest.mark.parametrize(
    ("hindrance", "message"),
    [
        (a_file_for_a_folder, "benchmarks/suite.yaml: cannot be "),
        (a_folder_for_a_file, "pytest.ini: cannot be "),
        (no_rights, "benchmarks/suite.yaml: cannot be written (Permission denied). Name another folder"),
    ],
)
def test_what_cannot_be_written_is_one_message(hindrance, message, capsys, monkeypatch):
    hindrance(monkeypatch)
    status, _, err = init(capsys)
    assert status == 2
    assert err.startswith(message)
    assert err.count("\n") == 1


def test_the_example_is_a_claim_once_it_is_renamed_and_trains_nothing_more(capsys, here):
    init(capsys)
    example = Path("benchmarks/claims/screening-precision.yaml.example")
    example.rename(example.with_suffix(""))
    suite = load_suite(Path("benchmarks"))
    assert suite.claim_files["screening-precision"] == "claims/screening-precision.yaml"
    study = Study.open(Path("benchmarks"), Options(tier="embedded", store=here / "store"))
    own = [item for item in study.items if "/screening-precision/" in item]
    assert own == [f"mammography/screening-precision/{name}" for name in ("id", "vendor-b", "dense")]
    others = study.plan(item for item in study.items if item not in own)
    assert set(study.plan(own).runs) <= set(others.runs)


def test_help_says_what_is_written_and_what_is_next(capsys):
    with pytest.raises(SystemExit):
        main(["init", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    for part in ("benchmarks/suite.yaml", "left as it is", "pytest benchmarks -k mammography"):
        assert part in text
