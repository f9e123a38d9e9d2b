import subprocess
import sys

import pytest

from medbench import cli
from medbench.errors import MedbenchError


def test_help_teaches_the_road(capsys):
    with pytest.raises(SystemExit) as exit_:
        cli.main(["--help"])
    assert exit_.value.code == 0
    text = capsys.readouterr().out
    for step in (
        "pytest benchmarks",
        "medbench plan",
        "medbench cohort check",
        "--cohort DIR",
        *cli.COMMANDS,
    ):
        assert step in text


def test_without_a_command_help_is_shown_and_the_status_is_that_of_a_mistake(capsys):
    assert cli.main([]) == 2
    assert "the road" in capsys.readouterr().out


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_every_command_has_help_and_needs_no_jax(command):
    code = (
        "import sys\n"
        "from medbench import cli\n"
        f"try: cli.main(['{command}', '--help'])\n"
        "except SystemExit as end: status = end.code\n"
        "sys.exit(status or 'jax' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"usage: medbench {command}" in done.stdout


def test_a_mistake_is_a_message_on_stderr_and_status_2(capsys, monkeypatch):
    def fail(arguments):
        raise MedbenchError("cohort.yaml: no such column.")

    monkeypatch.setattr("medbench.spec.schema.run", fail)
    assert cli.main(["schema"]) == 2
    captured = capsys.readouterr()
    assert captured.err == "cohort.yaml: no such column.\n"
    assert captured.out == ""


def test_an_interruption_ends_without_traceback(capsys, monkeypatch):
    def interrupt(arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("medbench.spec.schema.run", interrupt)
    assert cli.main(["schema"]) == 130


def test_an_unknown_command_is_refused(capsys):
    with pytest.raises(SystemExit) as exit_:
        cli.main(["trian"])
    assert exit_.value.code == 2
    assert "trian" in capsys.readouterr().err


def test_who_has_read_enough_gets_no_traceback():
    command = f"set -o pipefail; {sys.executable} -m medbench.cli weights list | head -1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert done.stdout.count("\n") == 1
    assert "Traceback" not in done.stderr
    assert done.returncode in (0, 141), "it may have written all before the reader left"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["accept", ""], "argument 2 is empty"),
        (["history", "--history", ""], "the value of --history is empty"),
        (["diff", "HEAD", "", "--suite", "benchmarks"], "argument 3 is empty"),
    ],
)
def test_a_variable_that_was_not_set_does_not_stand_for_the_current_folder(given, said, capsys):
    assert cli.main(given) == 2
    assert capsys.readouterr().err.startswith(said)
