"""A small project with a suite, in which the plugin's tests run pytest."""

import json
import shutil
from pathlib import Path

import scipy.stats  # noqa: F401
import yaml

# pytester forgets what a session inside it imports, and numpy must not be imported twice: so import first.
import medbench.plots.session
import medbench.pytest_session
import medbench.report.write  # noqa: F401
import tests.suites.stand_ins  # noqa: F401

HERE = Path(__file__).parent
SUPPORTED, EQUAL, REFUTED = 1.0, 0.03, -1.0
"""Gains of the treatment in the stand-ins' world, and what they come out as."""


class Project:
    """The suite `good` with the stand-ins, ready to be broken and run."""

    def __init__(self, pytester, monkeypatch):
        for variable in ("CI", "PYTEST_ADDOPTS", "MEDBENCH_WEIGHTS", "PYTEST_XDIST_WORKER"):
            monkeypatch.delenv(variable, raising=False)
        monkeypatch.setenv("JAX_PLATFORMS", "cpu")
        self._pytester, self._monkeypatch = pytester, monkeypatch
        self.path = pytester.path
        self.suite = self.path / "benchmarks"
        shutil.copytree(HERE / "good", self.suite)
        shutil.copy(HERE / "stand_ins.py", self.path / "conftest.py")
        (self.path / "pytest.ini").write_text("[pytest]\nmedbench_suites = benchmarks\n")
        for name in ("small", "large"):
            (self.suite / f"{name}.npz").write_text(name)
        self.world()

    def extend(self):
        """Make the suite, with all that was accepted, the one that travels; the project's own extends it."""
        package = self.path / "package"
        package.mkdir()
        self.suite.rename(package / "benchmarks")
        if (self.path / "expectations").exists():
            (self.path / "expectations").rename(package / "expectations")
        self._monkeypatch.setenv("MEDBENCH_WEIGHTS", str(package / "benchmarks"))
        self.add("suite.yaml", "extends: medbench\n")
        return package

    def add(self, file, text):
        """Write a file of the suite."""
        path = self.suite / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def world(self, gain=None, **accidents):
        """Say how good the treatment is (`default`, or by task and set), and what happens meanwhile."""
        gains = {"default": SUPPORTED} | (gain or {})
        (self.path / "world.json").write_text(json.dumps({"gain": gains} | accidents))

    def edit(self, file, old, new):
        """Replace a text that stands once in a file of the suite."""
        path = self.suite / file
        text = path.read_text()
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {file}"
        path.write_text(text.replace(old, new))

    def run(self, *arguments):
        """Run pytest in this process; the summary and the exit status are in the result."""
        return self._pytester.runpytest_inprocess("-p", "no:cacheprovider", *self._told(arguments))

    def run_interrupted(self, *arguments):
        """As `run`, where the session is interrupted."""
        told = self._told(arguments)
        return self._pytester.runpytest_inprocess("-p", "no:cacheprovider", *told, no_reraise_ctrlc=True)

    def run_with_cache(self, *arguments):
        """As `run`, with pytest's cache of failures."""
        return self._pytester.runpytest_inprocess(*self._told(arguments))

    def run_apart(self, *arguments):
        """Run pytest in a process of its own."""
        return self._pytester.runpytest_subprocess(*self._told(arguments), timeout=120)

    def accept(self):
        """Accept every item as it comes out now; the runs become reference runs."""
        result = self.run("benchmarks", "--expect=update", "--reason=first", "--claims=default")
        assert result.ret == 0, result.stdout.str()

    def forget_runs(self):
        """Remove the store, as on another machine."""
        shutil.rmtree(self.path / ".medbench")

    def expectation(self, task, claim):
        """The accepted entries of a claim, and the file they are in."""
        path = self.path / "expectations/embedded" / task / f"{claim}.yaml"
        return yaml.safe_load(path.read_text()), path

    def trained(self):
        """Labels of all runs that were trained, in order, again and again."""
        log = self.path / "trained.log"
        return log.read_text().splitlines() if log.exists() else []

    def report(self, *arguments):
        """Run with a report; returns its record and the result."""
        result = self.run("benchmarks", "--report=out", *arguments)
        return json.loads((self.path / "out/report.json").read_text()), result

    def _told(self, arguments):
        return ["-p", "no:hypothesispytest", "-p", "no:timeout", *arguments]
