"""The command `medbench`: what there is to do before and beside `pytest`, which runs and judges.

A command's module is imported when that command is asked for, so that none waits for another's libraries.
"""

import argparse
import io
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from medbench import __version__
from medbench.errors import MedbenchError

COMMANDS = {
    "init": ("medbench.init_cli", "start a suite of your own that has medbench's claims"),
    "plan": ("medbench.plan_cli", "list the runs that a selection of claims needs"),
    "metrics": ("medbench.metrics_cli", "list the metrics that claims may name, and what they mean"),
    "cohort": ("medbench.data.cohort_cli", "check a folder of your own images; prepare public cohorts"),
    "weights": ("medbench.weights_cli", "list, fetch and check files of pre-trained weights"),
    "diff": ("medbench.diff_cli", "compare two states: reports, expectations, git revisions, stores"),
    "accept": ("medbench.accept_cli", "take the values that a night or a session proposed, with a reason"),
    "schema": ("medbench.spec.schema", "write JSON Schema, so that editors complete and check YAML"),
    "store": ("medbench.store_cli", "bring finished runs of several machines together"),
    "history": ("medbench.history_cli", "an item through the nights; which items jumped or slid"),
    "judge": ("medbench.judge_cli", "judge results that some other code produced"),
    "validate-gate": ("medbench.gate_cli", "measure false alarms, detections and coverage by simulation"),
    "validate-claims": ("medbench.claims_cli", "plant harm in simulated runs, and see which claims react"),
    "doctor": ("medbench.doctor_cli", "look whether this machine can do what a session needs"),
    "nightly": ("medbench.nightly_cli", "run a night: doctor, pytest, diff, summary; resumed if interrupted"),
    "calibrate": ("medbench.calibrate", "measure how far unchanged seeds move on other machines"),
    "pretrain": ("medbench.training.pretrain_cli", "train a small upstream backbone of your own"),
}
"""By name: the module with `add_arguments(parser)` and `run(args) -> int`, and one line of help."""

MAY_BE_EMPTY = ("-k", "--reason", "--trainer")
"""Options whose empty value says something, or is refused in words of its own."""

ROAD = """\
the road:
  pytest benchmarks                       judge every claim on generated images, in minutes on a CPU
  pytest benchmarks -k mammography        one domain; -k takes names of domains, claims, sets, backbones
  medbench plan -k mammography            what that would train, without training it

  in a repository of your own:
  medbench init                           a suite that has all of this, and to which you add

  on pre-trained nets that were released:
  medbench weights list                   which files the backbones need, and which are missing
  medbench weights get bit-m-r50x1        fetch one

  on your own images:
  medbench cohort list                    public cohorts: which there are, and how to come by them
  medbench cohort check DIR               is the folder with cohort.yaml sound?
  pytest benchmarks --cohort DIR --report report
                                          the same claims on them; read report/report.html

`pytest --help` lists all options under "medbench". A claim, task, backbone or recipe is added as YAML.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status.

    0; 1 or 2 for what a person can put right; 130 interrupted; 141 where nobody reads on.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):  # a console that lacks a character still gets the rest
        sys.stdout.reconfigure(errors="backslashreplace")
    given = list(sys.argv[1:] if arguments is None else arguments)
    chosen = next((word for word in given if not word.startswith("-")), None)
    parser = _parser(chosen)
    try:
        args = parser.parse_args(given)
        if chosen is None:
            parser.print_help()
            return 2
        _require_words(given)
        status: int = args.run(args)
        sys.stdout.flush()
    except MedbenchError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # such as `| head`, which has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    return status


def _require_words(given: Sequence[str]) -> None:
    """Refuse an empty argument, which as a folder would be the one that a person happens to be in."""
    for number, (before, word) in enumerate(zip(["", *given], given, strict=False), start=1):
        if not word and before not in MAY_BE_EMPTY:
            what = f"the value of {before}" if before.startswith("-") else f"argument {number}"
            raise MedbenchError(f"{what} is empty. Is a variable of the shell not set?")


def _parser(chosen: str | None) -> argparse.ArgumentParser:
    """All commands by name; only the chosen one with its arguments."""
    parser = argparse.ArgumentParser(
        prog="medbench",
        description="Claims about transfer learning for medical imaging, as benchmarks that pytest runs.",
        epilog=ROAD,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"medbench {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for name, (module, summary) in COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=summary)
        if name == chosen:
            found = import_module(module)
            found.add_arguments(command)
            command.set_defaults(run=found.run)
    return parser


if __name__ == "__main__":
    sys.exit(main())
