import os
import subprocess
import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import PIL

from medbench.data import decoders


def test_a_decoder_is_told_with_the_version_that_it_has_itself():
    assert f"pillow {PIL.__version__}" in decoders.versions()


def test_a_decoder_that_is_not_installed_is_left_out(monkeypatch):
    def version(name):
        if name == "pydicom":
            raise PackageNotFoundError(name)
        return "1.0"

    monkeypatch.setattr(decoders, "version", version)
    assert decoders.versions() == tuple(
        f"{name} 1.0" for name in ("imagecodecs", "pillow", "pyjpegls", "pylibjpeg-openjpeg")
    )


def test_a_package_that_was_half_removed_keeps_nothing_from_being_decoded(tmp_path):
    (tmp_path / "broken-1.0.dist-info").mkdir()  # as pip leaves one: no METADATA, so no name
    root = Path(__file__).parents[2]
    path = os.pathsep.join([str(tmp_path), str(root), os.environ.get("PYTHONPATH", "")])
    subprocess.run(
        [sys.executable, "-c", "import medbench.data.decoded"],
        env=os.environ | {"PYTHONPATH": path},
        check=True,
    )
