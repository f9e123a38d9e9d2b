"""The heap of a process that trains: memory that was given back is there again without the system's doing."""

import subprocess
import sys

import pytest

FAULTS = """
import resource, sys, threading
from medbench.training import heap
if sys.argv[1] == "kept":
    heap.keep()
def touch():
    b"x" * 2**26  # as a thread of XLA does; given back at once
def in_a_thread():
    thread = threading.Thread(target=touch)
    thread.start()
    thread.join()
in_a_thread()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
in_a_thread()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
PAGES = 2**26 // 4096


def faults(how: str) -> int:
    return int(subprocess.run([sys.executable, "-c", FAULTS, how], check=True, capture_output=True).stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's heap")
def test_memory_that_was_given_back_is_not_cleared_page_by_page_again():
    if faults("as it is") < PAGES / 2:
        pytest.skip("this system hands out large pages by itself, or keeps what is given back")
    assert faults("kept") < PAGES / 20
