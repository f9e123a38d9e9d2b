"""Puts the suite, which stands at the top of the repository, into the package; all else: pyproject.toml."""

import shutil
from pathlib import Path

from setuptools import Command, setup
from setuptools.command.build import build

TRAVELS = {"benchmarks": "*.yaml", "expectations": "*"}
"""By folder, the files that travel: declarations, but no weights that somebody put beside them."""
INSIDE = Path("medbench", "_suite")


class BuildSuite(Command):
    """Copies what is claimed and what was accepted to where `medbench.packaged` looks for it.

    A sub-command of `build` by setuptools' own protocol, so that a source distribution has the files too.
    """

    editable_mode = False
    """Set by setuptools for an editable install, which finds the folders where they stand."""

    def initialize_options(self):
        """Say nothing of where to build."""
        self.build_lib = None

    def finalize_options(self):
        """Build where the package is built."""
        self.set_undefined_options("build_py", ("build_lib", "build_lib"))

    def run(self):
        """Copy all files, and leave none of an earlier build."""
        if self.editable_mode:
            return
        shutil.rmtree(Path(self.build_lib, INSIDE), ignore_errors=True)
        for built, source in self.get_output_mapping().items():
            Path(built).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, built)

    def get_source_files(self):
        """Every file that travels, relative to the repository; hidden ones do not."""
        files = [path for folder, pattern in TRAVELS.items() for path in Path(folder).rglob(pattern)]
        hidden = [path for path in files if any(part.startswith(".") for part in path.parts)]
        return sorted(str(path) for path in files if path.is_file() and path not in hidden)

    def get_output_mapping(self):
        """The source of each built file."""
        return {str(Path(self.build_lib, INSIDE, source)): source for source in self.get_source_files()}

    def get_outputs(self):
        """Every built file."""
        return list(self.get_output_mapping())


build.sub_commands.append(("build_suite", None))
setup(cmdclass={"build_suite": BuildSuite})
