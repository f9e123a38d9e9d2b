"""Teaches pytest to collect, run and judge claims declared in YAML: options, and the door to the rest.

Loaded at the start of every pytest session once medbench is installed, so it imports pytest and nothing
heavier. What a session with claims does is in `pytest_session`, registered when the first one asks for it.
"""

import argparse
import math
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from medbench.diff.sides import Side
    from medbench.execute.processes import Company
    from medbench.pytest_session import Bench
    from medbench.study import Study

SUITES = "medbench_suites"
BENCH = "medbench-session"
COMPANY: "pytest.StashKey[Company]" = pytest.StashKey()
"""Of the first of several processes that train together."""

AGAINST: "pytest.StashKey[Side]" = pytest.StashKey()
"""The earlier report that the session is to be compared with; in the controller of xdist alone."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options and the ini setting."""
    parser.addini(
        SUITES,
        "folders of benchmark suites (claims/*.yaml, tasks/*.yaml, ...), relative to the ini file. "
        "YAML anywhere else is left alone.",
        type="paths",
        default=[],
    )
    group = parser.getgroup("medbench", "medbench: claims about transfer learning, run and judged")
    group.addoption(
        "--tier",
        default="embedded",
        metavar="NAME",
        help="which tier of the suite to run: its cohorts, backbones, recipe and seeds (default: embedded, "
        "generated images on a CPU in minutes)",
    )
    group.addoption(
        "--runs",
        choices=("auto", "never", "force"),
        default="auto",
        help="auto: train what is neither in the store nor a reference run, and the sentinels; never: judge "
        "what is there, train nothing; force: train everything again (interrupt and repeat to continue)",
    )
    group.addoption(
        "--claims",
        choices=("default", "strict"),
        default="default",
        help="default: a claim without expectation passes when supported and fails when refuted; strict: "
        "whatever is not supported fails",
    )
    group.addoption(
        "--cohort",
        metavar="DIR",
        help="judge the claims on other images than the tier's: your own (a folder with cohort.yaml, or that "
        "file), a public cohort that was prepared (public:NAME, public:NAME@POLICY) or medmnist:NAME@SIZE. "
        "Only claims on tasks of its domain are run. Look first with `medbench cohort check` and `list`",
    )
    group.addoption(
        "--backbones",
        metavar="BASELINE,TREATMENT",
        help="compare these two backbones (bit-<upstream>-<architecture>) instead of the claims' own; the "
        "verdicts then speak of these two only",
    )
    group.addoption(
        "--trainer",
        metavar="NAME",
        help="who executes the runs in place of medbench: an installed entry point in the group "
        "medbench.trainers, or a script by its path, as in ./train.sh (docs/own-trainer.md)",
    )
    group.addoption(
        "--distributed",
        action="store_true",
        help="train every run on the devices of several processes together, each of which was started with "
        "this same command (by srun, mpirun, on every host of a TPU pod, ...); the first one judges and "
        "reports (docs/large-runs.md)",
    )
    group.addoption(
        "--executor",
        choices=("local", "ray"),
        default="local",
        help="local: a run is trained here when the first item needs it; ray: all are trained on a Ray "
        "cluster before the first item (the one that RAY_ADDRESS names or that runs on this machine, else "
        "one that is started here). Same runs, same ids; see docs/many-machines.md",
    )
    group.addoption(
        "--per-run",
        type=float,
        metavar="N",
        help="with --executor=ray, what a run takes of a machine: CPU cores (default: as many as this "
        "machine has, which gives the same bytes as training here), or GPUs (default: 1; 0.5 puts two runs "
        "on one), or TPU chips (default: all)",
    )
    group.addoption(
        "--shard",
        type=_shard,
        metavar="I/N",
        help="make one of N parts of the runs and judge nothing: for N machines that share a store, or whose "
        "stores are brought together afterwards. Give all N the same selection; then judge with --runs=never",
    )
    group.addoption(
        "--report",
        metavar="DIR",
        help="write report.json, a self-contained report.html, report.md and report.csv into this folder",
    )
    group.addoption(
        "--history",
        metavar="DIR",
        help="add what is judged to the history in this folder, one small file a session, and mark jumps and "
        "slides (docs/history.md; look with `medbench history`). With --expect=new or update the folder "
        "`history` beside the expectations is the default, where there is one",
    )
    group.addoption(
        "--against",
        metavar="REPORT",
        help="say what changed since an earlier report: report.json, or the folder that has it; see also "
        "`medbench diff` (docs/diff.md)",
    )
    group.addoption(
        "--candidates",
        metavar="DIR",
        help="write the expectations as they would be if this session were accepted into this folder, and "
        "what would change; nothing is accepted, so this is for continuous integration too",
    )
    group.addoption(
        "--store",
        metavar="DIR",
        help="where finished runs are kept (default: .medbench beside the ini file), or the URL of a store "
        "that machines share, such as s3://bucket/prefix (docs/store.md). It holds patients' ids: treat it "
        "as you treat the images",
    )
    group.addoption(
        "--expectations",
        metavar="DIR",
        help="accepted values to compare with (default: `expectations` beside the suite, laid over "
        "medbench's where the suite extends that; none with --cohort, --backbones or --trainer)",
    )
    group.addoption(
        "--expect",
        choices=("check", "new", "update"),
        default="check",
        help="check: compare with what was accepted; new: accept selected items that have no expectation; "
        "update: accept all selected items as measured, showing before and after",
    )
    group.addoption(
        "--reason",
        default="",
        metavar="TEXT",
        help="why values are accepted; kept beside them (required with --expect=new and update)",
    )
    group.addoption(
        "--show-ids",
        action="store_true",
        help="give tests the ids of patients and images in clear instead of as keyed hashes; for your own "
        "screen only, as failing assertions print them",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Refuse at once what would be refused after hours of training."""
    _warn_of_missing_suites(config)
    option = config.option
    if option.expect != "check":
        if os.environ.get("CI"):
            raise pytest.UsageError(
                f"--expect={option.expect} is refused where CI is set: expectations are accepted by a person."
            )
        if not option.reason.strip():
            raise pytest.UsageError(f'--expect={option.expect} needs --reason "why these values are right".')
        if (option.cohort or option.backbones or option.trainer) and not option.expectations:
            raise pytest.UsageError(
                f"--expect={option.expect} with --cohort, --backbones or --trainer needs --expectations DIR: "
                "the suite's own expectations speak of its own cohorts and backbones, trained by medbench."
            )
    elif option.reason:
        raise pytest.UsageError("--reason is for --expect=new or --expect=update, which was not given.")
    _refuse_what_excludes(config)
    _read_earlier(config)
    _refuse_folders(config)
    if option.expectations:
        _require_expectations(config)
    if option.backbones is not None:
        names = backbone_names(option.backbones)
        if len(names) != 2:
            raise pytest.UsageError("--backbones takes two names, as in --backbones BASELINE,TREATMENT.")
        if names[0] == names[1]:
            raise pytest.UsageError(f"--backbones compares two backbones, and both are `{names[0]}`.")


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> int | None:
    """Meet the other processes, if there are to be any; all but the first follow it and have no session.

    Raises:
      pytest.UsageError: they do not meet, or the options do not go together.
    """
    if not config.option.distributed:
        return None
    option = config.option
    if option.trainer or option.shard or option.executor == "ray" or config.getoption("numprocesses", None):
        raise pytest.UsageError("--distributed does not go with --trainer, --executor=ray, --shard or -n.")
    from medbench.pytest_company import take_part  # noqa: PLC0415

    return take_part(config, _suites(config))


def _require_folder(config: pytest.Config, name: str, given: str) -> None:
    """What is written at the end must be a folder that can be written, or made."""
    folder = given_path(config, given)
    if any(path.is_file() for path in (folder, *folder.parents)):
        raise pytest.UsageError(f"--{name} {given}: expected a folder (it is made), found a file.")
    there = next(path for path in (folder, *folder.parents) if path.exists())
    try:
        Path(
            tempfile.mkdtemp(prefix=".medbench-", dir=there)
        ).rmdir()  # rights say nothing of /proc, or of root
    except OSError as error:
        raise pytest.UsageError(
            f"--{name} {given}: {there} cannot be written ({error.strerror}). Name another folder."
        ) from error


def _shard(text: str) -> tuple[int, int]:
    """`2/5` as numbers."""
    number, slash, machines = text.partition("/")
    if not (slash and number.isdecimal() and machines.isdecimal() and 1 <= int(number) <= int(machines)):
        raise argparse.ArgumentTypeError(
            f"{text!r}: expected I/N with I from 1 to N, as in 2/5 for the second of five machines"
        )
    return int(number), int(machines)


def _refuse_what_excludes(config: pytest.Config) -> None:
    """Options of which one leaves nothing to the other."""
    option = config.option
    if option.executor == "ray" and (getattr(option, "numprocesses", None) or getattr(option, "tx", None)):
        raise pytest.UsageError(
            "--executor=ray and -n exclude each other: the cluster's workers train, and this process judges."
        )
    if option.store == "":
        raise pytest.UsageError("--store: expected a folder or a URL, found nothing. Is a variable not set?")
    for name in ("report", "history", "candidates", "against"):
        if getattr(option, name) == "":
            raise pytest.UsageError(f"--{name}: expected a folder, found nothing. Is a variable not set?")
    if option.per_run is not None and option.executor != "ray":
        raise pytest.UsageError("--per-run is for --executor=ray, which was not given.")
    if option.per_run is not None and not 0 < option.per_run < math.inf:
        raise pytest.UsageError(f"--per-run {option.per_run:g}: expected more than 0.")
    if option.shard is None:
        return
    if option.runs == "never":
        raise pytest.UsageError("--shard makes runs, and --runs=never makes none. Judge without --shard.")
    for name in ("report", "history", "expect", "against", "candidates"):
        if getattr(option, name) not in (None, "check"):
            raise pytest.UsageError(
                f"--shard judges nothing, so there is nothing for --{name}: judge when all parts are made."
            )


def pytest_sessionstart(session: pytest.Session) -> None:
    """Take part in sessions that ask for a suite, also where nothing will be collected from it.

    Raises:
      pytest.UsageError: something is wrong with such a suite that no file of claims will say.
    """
    for suite in _asked(session.config):
        if not suite.is_dir():
            raise pytest.UsageError(_no_such_folder(session.config, [suite]))
        _bench(session.config).take_part(suite)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Instruct workers of xdist wherever suites are declared: a test anywhere may ask for the study."""
    if _suites(node.config):
        _bench(node.config).instruct(node)


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect the claims of declared suites, inherited ones by `suite.yaml`, and no other YAML."""
    if file_path.suffix != ".yaml":
        return None
    path = file_path.resolve()
    for suite in _suites(parent.config):
        if suite / "claims" in path.parents or path == suite / "suite.yaml":
            return _bench(parent.config).claim_file(parent, file_path, suite)
    return None


@pytest.fixture(scope="session")
def study(request: pytest.FixtureRequest) -> "Study":
    """The first declared suite with its runs: for tests in Python of what YAML cannot say.

    Runs that a test asks for are trained, reused or loaded as those of claims are, under the same
    options::

        def test_larger_upstream_moves_weights_less(study):
            small, large = (
                study.run(task="chest", backbone=f"bit-{name}-r14x0.5", seed=1)
                for name in ("cifar2k", "cifar50k")
            )
            assert large.record.weight_distance["block4"] < small.record.weight_distance["block4"]

    `study.predictions(task=…, backbone=…, seed=…, evaluation_set=…)` gives logits, labels and
    attributes, and `study.judge("chest/scale-data/id")` the judgement of an item. Patients and images are
    named by keyed hashes, unless `--show-ids` is given.
    """
    suites = _suites(request.config)
    if not suites:
        raise pytest.UsageError(f"the `study` fixture needs the ini setting `{SUITES}`.")
    bench = _bench(request.config)
    bench.pytest_collection_finish(request.session)  # which a bench that is made only now has missed
    return bench.study(suites[0])


def _bench(config: pytest.Config) -> "Bench":
    """The session's state and hooks, made and registered when first needed."""
    bench = config.pluginmanager.get_plugin(BENCH)
    if bench is None:
        from medbench.pytest_session import Bench  # noqa: PLC0415

        bench = Bench(config, _suites(config))
        config.pluginmanager.register(bench, BENCH)
    return bench


def _suites(config: pytest.Config) -> list[Path]:
    return [Path(path).resolve() for path in config.getini(SUITES)]


def _warn_of_missing_suites(config: pytest.Config) -> None:
    """Else a misspelt folder would only show as claims that are not collected."""
    missing = [suite for suite in _suites(config) if not suite.is_dir()]
    if missing and not hasattr(config, "workerinput"):
        warning = pytest.PytestConfigWarning(_no_such_folder(config, missing))
        config.issue_config_time_warning(warning, stacklevel=2)


def _no_such_folder(config: pytest.Config, suites: list[Path]) -> str:
    return f"`{SUITES}` in {config.inipath} names {', '.join(map(str, suites))}: no such folder."


def given_path(config: pytest.Config, text: str) -> Path:
    """A path in an option of the command line."""
    return config.invocation_params.dir / Path(text).expanduser()


def given_paths(config: pytest.Config) -> list[Path]:
    """What the command line names, without the parts of files."""
    return [(config.invocation_params.dir / arg.partition("::")[0]).resolve() for arg in config.args]


def _asked(config: pytest.Config) -> list[Path]:
    """The suites that the command line names, in whole, in part or by a folder that holds them."""
    return [
        suite
        for suite in _suites(config)
        if any(suite.is_relative_to(path) or path.is_relative_to(suite) for path in given_paths(config))
    ]


def _refuse_folders(config: pytest.Config) -> None:
    """What is to be written at the end must go where it is to go."""
    option = config.option
    if option.candidates is not None:
        if len(_suites(config)) > 1:
            raise pytest.UsageError("--candidates is for one suite; run one at a time.")
        _require_own(given_path(config, option.candidates))
    for name in ("report", "history", "candidates"):
        if given := getattr(option, name):
            _require_folder(config, name, given)


def _require_own(folder: Path) -> None:
    """Refuse to write candidates over what is something else."""
    from medbench.candidates import require_own  # noqa: PLC0415
    from medbench.errors import MedbenchError  # noqa: PLC0415

    try:
        require_own(folder)
    except MedbenchError as error:
        raise pytest.UsageError(f"--candidates: {error}") from error


def _require_expectations(config: pytest.Config) -> None:
    """A folder that is to be compared with must be there; one that is accepted into is made."""
    folder = given_path(config, config.option.expectations)
    if folder.is_dir() or (config.option.expect != "check" and not folder.exists()):
        return
    found = "expected a folder, found a file" if folder.exists() else "no such folder"
    default = ", ".join(str(suite.parent / "expectations") for suite in _suites(config))
    raise pytest.UsageError(
        f"--expectations {config.option.expectations}: {found}. The default is `expectations` beside the "
        f"suite{f' ({default})' if default else ''}."
    )


def _read_earlier(config: pytest.Config) -> None:
    """Read the report of `--against`, if it is given; workers of xdist leave that to their controller.

    Raises:
      pytest.UsageError: it cannot be read, or is of another tier.
    """
    if config.option.against is None or hasattr(config, "workerinput"):
        return
    from medbench.diff.reading import report_side  # noqa: PLC0415
    from medbench.errors import MedbenchError  # noqa: PLC0415

    option = config.option
    try:
        side = report_side(given_path(config, option.against))
    except MedbenchError as error:
        raise pytest.UsageError(f"--against {option.against}: {error}") from error
    if side.tier != option.tier:
        raise pytest.UsageError(
            f"--against {option.against}: the report is of tier {side.tier}, this session of {option.tier}."
        )
    config.stash[AGAINST] = side


def backbone_names(text: str) -> list[str]:
    """The names in the value of `--backbones`."""
    return [name.strip() for name in text.split(",") if name.strip()]
