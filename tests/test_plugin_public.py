"""The tier of public cohorts and released nets where they are not here: named, never a crash, never green."""

import re

import pytest

from medbench.data.public import catalogue
from tests.suites.project import Project

pytest_plugins = ["pytester"]


@pytest.fixture
def project(pytester, monkeypatch):
    return Project(pytester, monkeypatch)


@pytest.fixture
def own(pytester, monkeypatch):
    """A suite that has all of medbench's, in a repository where nothing was prepared."""
    for variable in ("MEDBENCH_COHORTS", "MEDBENCH_WEIGHTS", "CI"):
        monkeypatch.delenv(variable, raising=False)
    (pytester.path / "benchmarks").mkdir()
    (pytester.path / "benchmarks/suite.yaml").write_text("extends: medbench\n")
    (pytester.path / "pytest.ini").write_text("[pytest]\nmedbench_suites = benchmarks\n")
    return pytester


def test_without_cohorts_and_weights_nothing_is_run_and_all_that_is_missing_is_named_once(own):
    result = own.runpytest("benchmarks", "--tier=public")
    assert result.ret == 1
    assert "Traceback" not in result.stdout.str()
    result.stdout.fnmatch_lines(["*nothing was judged*"])
    for start in ("plan: without", "not run, "):
        lines = [line for line in result.outlines if line.startswith(start)]
        assert lines
        for name in catalogue.MODULES:
            (line,) = (line for line in lines if f"public:{name}: not prepared" in line)
            assert "Licence: " in line
            assert line.endswith(f"medbench cohort prepare {name} --from DIR")
        for name in ("BiT-S-R50x1", "BiT-M-R50x1", "BiT-S-R101x3", "BiT-M-R101x3"):
            (line,) = (line for line in lines if f"weights `{name}.npz`" in line)
            assert f"medbench weights get {name}.npz" in line
        assert len(lines) == len(catalogue.MODULES) + 4
    (not_run,) = re.findall(r"=+ (\d+) not-run in ", result.outlines[-1])
    assert int(not_run) > 100


def test_every_public_task_is_asked_of_its_shifts_though_none_is_here(own):
    result = own.runpytest("benchmarks", "--tier=public", "--collect-only", "-q", "-k", "ood-robustness")
    found = set(re.findall(r"::(\S+)\[", result.stdout.str()))
    assert found == {
        "chest/ood-robustness/nih-cxr14",
        "chest-nih/ood-robustness/chexpert",
        "mammography/ood-robustness/site-2",
        "mammography/ood-robustness/vindr-mammo",
        "mammography-vindr/ood-robustness/rsna-2022",
        "dermatology/ood-robustness/ham10000",
        "dermatology/ood-robustness/challenge-test",
        "dermatology/ood-robustness/pad-ufes-20",
        "dermatology-pad-ufes/ood-robustness/isic-2019",
    }


def test_a_shift_that_is_not_here_is_not_run_beside_those_that_are_judged(project):
    project.world(absent={"mammography": {"dense": "the shift dense was not prepared: get it at the clinic"}})
    report, result = project.report("-k", "mammography")
    states = {claim["id"].rpartition("/")[2]: claim["state"] for claim in report["claims"]}
    assert states == {"id": "judged", "vendor-b": "judged", "dense": "not-run"}
    result.stdout.fnmatch_lines(
        [
            "plan: without 1 item: the shift dense was not prepared: get it at the clinic",
            "not run, 1 item (mammography/ood-robustness/dense): the shift dense was not prepared: get it *",
        ]
    )
    assert result.ret == 0


def test_a_shift_that_was_accepted_and_is_not_here_any_more_fails(project):
    project.accept()
    project.world(absent={"mammography": {"dense": "the shift dense was not prepared: get it at the clinic"}})
    report, result = project.report("-k", "mammography")
    assert [error["id"] for error in report["errors"]] == ["mammography/ood-robustness/dense"]
    assert result.ret == 1
