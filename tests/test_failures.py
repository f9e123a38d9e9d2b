from medbench.failures import Failures


def test_what_failed_is_known_to_all_processes_of_a_session(tmp_path):
    one, other = Failures(tmp_path / "failed"), Failures(tmp_path / "failed")
    assert other.get("0" * 20) is None
    one.add("0" * 20, "diverged · at step 7 of \udcff")
    assert other.get("0" * 20) == "diverged · at step 7 of \\udcff"
    assert other.get("1" * 20) is None
    assert Failures().get("0" * 20) is None


def test_a_failure_that_cannot_be_written_is_known_to_its_own_process(tmp_path):
    (tmp_path / "file").touch()
    failures = Failures(tmp_path / "file" / "failed")
    failures.add("0" * 20, "diverged")
    assert failures.get("0" * 20) == "diverged"
