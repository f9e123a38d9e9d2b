import pytest

from medbench.data.public import catalogue
from tests.data.public.ward import Ward


@pytest.fixture
def wards(monkeypatch):
    """The catalogue has the ward and its annex, and nothing else."""
    modules = {"ward": "tests.data.public.ward", "annex": "tests.data.public.annex"}
    monkeypatch.setattr(catalogue, "MODULES", modules)


@pytest.fixture
def ward(tmp_path) -> Ward:
    return Ward(tmp_path / "ward")


@pytest.fixture
def into(tmp_path):
    return tmp_path / "cohorts"
