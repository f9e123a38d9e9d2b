"""`medbench init`: the few files with which a repository of one's own has medbench's suite and adds to it."""

import argparse
import re
from dataclasses import dataclass
from pathlib import Path

from medbench.errors import MedbenchError
from medbench.spec.layers import HEAD
from medbench.spec.records import Suite
from medbench.spec.suite import load_suite

SUITE = """\
# This suite has all that medbench's has: claims, tasks, backbones, recipes, tiers, metrics, accepted values.
# Beside this file you may add claims/*.yaml, tasks/*.yaml, syntheses/*.yaml, backbones.yaml, recipes.yaml,
# tiers.yaml and metrics.yaml, under names that medbench does not use.
extends: medbench

# To declare something of medbench's anew, name it here and declare it in your files:
# replaces:
#   tiers: [private]
"""

EXAMPLE = """\
# A claim of your own. Rename this file to screening-precision.yaml, and it is judged beside medbench's:
#   pytest benchmarks -k screening-precision
# `medbench metrics` lists what a claim may be about, `medbench schema` writes JSON Schema for your editor.
claim: screening-precision
statement: A backbone pre-trained on more photographs is more often right where it suspects the most.
source: {study: our screening programme, strength: own}
tasks: [mammography]
arms:
  embedded:                       # by tier; this one has generated images and small backbones
    baseline: {upstream: cifar2k, architecture: r14x0.5}
    treatment: {upstream: cifar50k, architecture: r14x0.5}
evaluate: each-set                # id: images like those trained on; each-shift: others; each-set: both
metric: average_precision
predicate: superiority            # or non-inferiority, or equivalence
margin: 0.01                      # what the gain must exceed
margin_reason: a gain of a point is what we would change a backbone for
relevant_effect: 0.05             # power is stated for this gain
family: screening                 # claims that ask one question: their p-values are adjusted together
"""

ACCEPTED = """\
Values that you accept are kept here, by tier, task and claim: `pytest benchmarks --expect=new --reason "…"`.
Commit them. An item without an entry here is compared with what medbench accepted for it.
"""

PYTEST_INI = """\
[pytest]
medbench_suites = benchmarks
"""

IGNORED = ".medbench/\n"

STEPS = (
    "  medbench plan -k mammography           what would be trained, without training it",
    "  pytest benchmarks -k mammography       load or train that on generated images, and judge",
    "  pytest benchmarks --cohort IMAGES      on your own; first: medbench cohort check IMAGES",
    "  benchmarks/claims/*.yaml               your own claims; the .example there is one once it is renamed",
)


@dataclass(frozen=True)
class _Configuration:
    """A file that pytest takes its settings from, and how it says which suites there are."""

    file: str
    header: str
    """The section, as a regular expression; pytest passes a shared file over that has none."""
    setting: str
    own: bool = False
    """Whether the file is pytest's alone, and so counts without the section."""


_INI, _TOML = "medbench_suites = benchmarks", 'medbench_suites = ["benchmarks"]'
_CONFIGURATIONS = (
    _Configuration("pytest.toml", r"\[pytest\]", _TOML, own=True),
    _Configuration(".pytest.toml", r"\[pytest\]", _TOML, own=True),
    _Configuration("pytest.ini", r"\[pytest\]", _INI, own=True),
    _Configuration(".pytest.ini", r"\[pytest\]", _INI, own=True),
    _Configuration("pyproject.toml", r"\[tool\.pytest(\.ini_options)?\]", _TOML),
    _Configuration("tox.ini", r"\[pytest\]", _INI),
    _Configuration("setup.cfg", r"\[tool:pytest\]", _INI),
)
"""In the order in which pytest looks for them."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `medbench init`."""
    parser.description = (
        "Start a suite of your own: a folder `benchmarks` that has all of medbench's claims, tasks, "
        "backbones and accepted values, and to which you add yours as YAML. Written are "
        "benchmarks/suite.yaml, an example of a claim, a folder for values that you accept, settings for "
        "pytest and .gitignore. A file that is there already is left as it is."
    )
    parser.epilog = "Then, in that folder: pytest benchmarks -k mammography"
    parser.add_argument(
        "folder",
        type=Path,
        nargs="?",
        default=Path(),
        metavar="DIR",
        help="your repository, or a folder of it (default: here)",
    )


def run(args: argparse.Namespace) -> int:
    """Write what is missing, say what was written and what is next; returns the exit status.

    Raises:
      MedbenchError: the folder cannot be written, or holds a suite that does not extend medbench's.
    """
    folder: Path = args.folder
    benchmarks = folder / "benchmarks"
    _refuse_another_suite(benchmarks)
    configuration = _configuration(folder)
    files = {
        benchmarks / HEAD: SUITE,
        benchmarks / "claims" / "screening-precision.yaml.example": EXAMPLE,
        folder / "expectations" / "README.md": ACCEPTED,
        folder / (configuration.file if configuration else "pytest.ini"): PYTEST_INI,
        folder / ".gitignore": IGNORED,
    }
    for path, text in files.items():
        print(f"made  {path}" if _write_new(path, text) else f"left  {path}, which was there")
    for addition in _to_add(folder, configuration):
        print(f"      {addition}")
    print(f"\n{_next(folder, load_suite(benchmarks))}")
    return 0


def _refuse_another_suite(benchmarks: Path) -> None:
    """A folder with declarations that stand alone would mean something else with a suite.yaml."""
    there = sorted([*benchmarks.glob("*.y*ml"), *benchmarks.glob("claims/**/*.yaml")])
    if there and not (benchmarks / HEAD).exists():
        raise MedbenchError(
            f"{benchmarks}: has {there[0].relative_to(benchmarks)} and no {HEAD}, so it is a whole suite or "
            "something else. Name another folder: medbench init DIR. If it is to add to medbench's suite, "
            f"write `extends: medbench` into {benchmarks / HEAD}."
        )


def _configuration(folder: Path) -> _Configuration | None:
    """Where pytest's settings are in a folder, if they are there."""
    for each in _CONFIGURATIONS:
        path = folder / each.file
        if path.is_file() and (each.own or re.search(rf"(?m)^\s*{each.header}", _text(path))):
            return each
    return None


def _to_add(folder: Path, configuration: _Configuration | None) -> list[str]:
    """What files that were left lack."""
    lacking = []
    if configuration and "medbench_suites" not in _text(folder / configuration.file):
        lacking.append(f"add to {folder / configuration.file}, in pytest's section: {configuration.setting}")
    if IGNORED.strip() not in _text(folder / ".gitignore"):
        lacking.append(f"add to {folder / '.gitignore'}: {IGNORED.strip()}")
    return lacking


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise MedbenchError(f"{path}: cannot be read ({error.strerror}).") from error


def _write_new(path: Path, text: str) -> bool:
    """Write a file that is not there; returns whether it was not."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        if path.is_file():
            return False
        raise MedbenchError(f"{path}: cannot be made, as a file or folder is in its place.") from None
    except OSError as error:
        raise MedbenchError(
            f"{path}: cannot be written ({error.strerror}). Name another folder: medbench init DIR."
        ) from error
    return True


def _next(folder: Path, suite: Suite) -> str:
    """What there is now, and what to do with it."""
    domains = sorted({task.domain for task in suite.tasks.values()})
    return "\n".join(
        [
            f"{len(suite.claims)} claims on {', '.join(domains)}; medbench's are to be read in",
            f"{Path(suite.base) / 'claims'}",
            "",
            "next:",
            *([] if folder == Path() else [f"  cd {folder}"]),
            *STEPS,
        ]
    )
