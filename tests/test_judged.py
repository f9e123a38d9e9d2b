"""Judgements are found again by all that they follow from, and by nothing less."""

import pytest

import medbench.study
from medbench import identity, judged
from medbench.errors import MedbenchError
from medbench.judged import Judged
from tests.judging import judgement
from tests.test_study import open_study, suite

__all__ = ["suite"]

ITEM = "mammography/scale-data/id"


@pytest.fixture
def judged_anew(suite, monkeypatch):
    """How many judgements a fresh session over the stored runs has to make."""

    def count(**options):
        made = []

        def judging(planned, *args, **changes):
            made.append(planned.item.id)
            return real(planned, *args, **changes)

        real = medbench.study.judge
        with monkeypatch.context() as patch:
            patch.setattr(medbench.study, "judge", judging)
            result = open_study(suite, **options).judge(ITEM)
        return len(made), result

    return count


def test_a_judgement_comes_back_as_it_was(tmp_path):
    kept, ours = Judged(tmp_path), judgement()
    kept.put("a", ours)
    assert kept.get("a") == ours
    assert kept.get("b") is None


@pytest.mark.parametrize("content", [b"", b"{", b'{"id": 1}', b"\xff"])
def test_a_damaged_one_is_as_if_it_were_not_there(tmp_path, content):
    (tmp_path / "a.json").write_bytes(content)
    assert Judged(tmp_path).get("a") is None


def test_an_altered_one_is_not_believed(tmp_path):
    Judged(tmp_path).put("a", judgement(verdict="inconclusive"))
    file = tmp_path / "a.json"
    file.write_text(file.read_text().replace('"inconclusive"', '"supported"'))
    assert Judged(tmp_path).get("a") is None


def test_a_disk_that_takes_nothing_loses_nothing(tmp_path):
    Judged(tmp_path / "missing").put("a", judgement())


def test_a_second_session_judges_nothing_anew_and_says_the_same(judged_anew):
    open_first = judged_anew()[1]
    assert judged_anew() == (0, open_first)  # of runs that are reused now, no longer trained


def test_another_margin_or_other_code_is_judged_anew(suite, judged_anew, monkeypatch):
    judged_anew()
    file = suite / "claims" / "scale.yaml"
    file.write_text(file.read_text().replace("margin: 0.005", "margin: 0.006"))
    made, result = judged_anew()
    assert (made, result.margin) == (1, 0.006)
    monkeypatch.setattr(judged, "judging_fingerprint", lambda: "other")
    assert judged_anew()[0] == 1


def test_altered_predictions_are_noticed_although_the_judgement_is_kept(suite, judged_anew):
    judged_anew()
    file = next((suite.parent / "store" / "runs").glob("*/predictions/id.parquet"))
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(MedbenchError, match="missing or altered"):
        judged_anew()


def test_what_judging_imports_counts_and_reporting_does_not(tmp_path):
    files = {
        "judge.py": "from medbench.metrics import auc\n",
        "metrics/auc.py": "a = 1\n",
        "report.py": "b = 1\n",
    }
    for name, source in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(source)

    def digest():
        return identity._sources_digest.__wrapped__(tmp_path, entrances=("judge.py",), rooms=())

    before = digest()
    (tmp_path / "report.py").write_text("b = 2\n")
    assert digest() == before
    (tmp_path / "metrics" / "auc.py").write_text("a = 2\n")
    assert digest() != before
