"""What is in ci/ and .github/: found sound by linters, and saying what it would do."""

import os
import re
import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))


def linter(name):
    found = shutil.which(name, path=sysconfig.get_path("scripts")) or shutil.which(name)
    return found or pytest.skip(f"{name} is not installed: it comes with the extra `dev`")


@pytest.mark.parametrize(
    "command",
    [
        ["shellcheck", *sorted((ROOT / "ci").glob("*.sh"))],
        ["hadolint", ROOT / "ci/Containerfile"],
        ["check-jsonschema", "--builtin-schema", "vendor.github-workflows", *WORKFLOWS],
    ],
    ids=lambda command: command[0],
)
def test_linters_find_nothing(command):
    done = subprocess.run([linter(command[0]), *command[1:]], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def dry_run(**variables):
    environment = os.environ | variables
    command = [ROOT / "ci/tpu_vm.sh", "--dry-run"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout.splitlines()


def test_a_tpu_vm_is_made_used_and_deleted_and_a_dry_run_only_says_so():
    said = dry_run(PATH="/usr/bin:/bin", TPU_NAME="mine", TPU_ZONE="europe-west4-b", TPU_SPOT="yes")
    tpu = "+ gcloud compute tpus tpu-vm"
    assert said[0].startswith(f"{tpu} create mine ")
    assert "--spot" in said[0]
    assert any("ci/nightly.sh" in line for line in said)
    assert said[-1] == f"{tpu} delete mine --quiet --zone europe-west4-b"


def test_settings_reach_the_tpu_vm_quoted():
    (night,) = [line for line in dry_run(MEDBENCH_SELECT="chest and $(id)") if "ci/nightly.sh" in line]
    assert r"MEDBENCH_SELECT=chest\ and\ \$\(id\)" in night


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_has_no_more_rights_than_it_needs(path):
    workflow = yaml.safe_load(path.read_text())
    triggers = workflow[True]  # YAML 1.1 reads `on` so
    assert "pull_request_target" not in triggers
    rights = workflow["permissions"]
    expected = (
        {"actions": "read", "pull-requests": "write"} if path.stem == "comment" else {"contents": "read"}
    )
    assert rights == expected
    for job in workflow["jobs"].values():
        assert "timeout-minutes" in job


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_nothing_that_a_stranger_writes_is_pasted_into_a_script(path):
    scripts = [
        step["run"]
        for job in yaml.safe_load(path.read_text())["jobs"].values()
        for step in job["steps"]
        if "run" in step
    ]
    pasted = {found for script in scripts for found in re.findall(r"\$\{\{\s*(.*?)\s*\}\}", script)}
    assert pasted <= {"github.event.pull_request.number"}


def test_what_writes_the_comment_checks_out_no_code():
    text = (ROOT / ".github/workflows/comment.yml").read_text()
    assert "checkout" not in text
    assert "run:" not in text.replace("workflow_run:", "")
