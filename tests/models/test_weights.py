import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from medbench.errors import MedbenchError
from medbench.models import weights


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """Empty folders: two of the variable, one beside the YAML, one's own, one shipped."""
    made = {name: tmp_path / name for name in ("first", "second", "near", "own", "shipped")}
    for folder in made.values():
        folder.mkdir()
    monkeypatch.setenv(weights.VARIABLE, os.pathsep.join([str(made["first"]), "", str(made["second"])]))
    monkeypatch.setattr(weights, "OWN", made["own"])
    monkeypatch.setattr(weights, "SHIPPED", made["shipped"])
    return made


def test_the_variable_goes_before_the_suite_and_the_suite_before_what_is_shipped(folders):
    for name in ("shipped", "own", "near", "second", "first"):
        (folders[name] / "a.npz").write_bytes(b"")
        assert weights.find("a.npz", folders["near"]) == folders[name] / "a.npz"


def test_only_the_given_folders_are_searched(folders):
    (folders["near"] / "a.npz").write_bytes(b"")
    with pytest.raises(MedbenchError, match=r"`a.npz` not found in "):
        weights.find("a.npz")


def test_a_missing_file_says_where_to_put_it_and_what_is_there(folders):
    (folders["shipped"] / "BiT-M-R50x1.npz").write_bytes(b"")
    (folders["near"] / "other.npz").write_bytes(b"")
    with pytest.raises(MedbenchError) as caught:
        weights.find("BiT-L-R50x1.npz", folders["near"])
    message = str(caught.value)
    assert all(str(folder) in message for folder in folders.values())
    assert "Did you mean `BiT-M-R50x1.npz`?" in message
    assert f"${weights.VARIABLE}" in message
    assert "Weight files found: BiT-M-R50x1.npz, other.npz." in message


def test_a_missing_released_file_says_how_to_fetch_it_and_is_likened_to_no_other_net(folders):
    (folders["shipped"] / "BiT-M-R50x1.npz").write_bytes(b"")
    with pytest.raises(MedbenchError) as caught:
        weights.find("BiT-M-R50x3.npz", folders["near"])
    assert "`medbench weights get BiT-M-R50x3.npz` fetches it (about 1,382 MB)" in str(caught.value)
    assert "Did you mean" not in str(caught.value)


def test_what_was_never_released_cannot_be_fetched(folders):
    with pytest.raises(MedbenchError, match=r"BiT-L-R50x1.npz` not found in ") as caught:
        weights.find("BiT-L-R50x1.npz")
    assert "weights get" not in str(caught.value)


def test_files_are_put_into_the_first_folder_of_the_variable_or_ones_own(folders, monkeypatch):
    assert weights.usual_folder() == folders["first"]
    monkeypatch.delenv(weights.VARIABLE)
    assert weights.usual_folder() == folders["own"]


def test_a_folder_that_does_not_exist_is_passed_over(folders, monkeypatch, tmp_path):
    monkeypatch.setenv(weights.VARIABLE, str(tmp_path / "gone"))
    with pytest.raises(MedbenchError, match="Weight files found: none"):
        weights.find("a.npz")


def test_the_digest_is_of_the_bytes(tmp_path):
    (tmp_path / "a.npz").write_bytes(b"abc" * 100_000)
    assert weights.sha256(tmp_path / "a.npz") == hashlib.sha256(b"abc" * 100_000).hexdigest()


def test_looking_for_weights_imports_no_jax():
    code = "import sys, medbench.models.weights; sys.exit('jax' in sys.modules or 'flax' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_file_that_travels_is_known_however_its_path_is_written(folders, monkeypatch):
    shipped = folders["shipped"]
    monkeypatch.chdir(shipped.parent)
    assert weights.is_shipped(Path(shipped.name, "a.npz"))
    assert not weights.is_shipped(folders["near"] / "a.npz")
