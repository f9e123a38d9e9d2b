"""Settings of all tests: warnings are errors and nothing may hang, here and not in a user's night."""

import signal

import pytest
from hypothesis import HealthCheck, settings

LONGEST = 600
"""Seconds after which a test is taken to hang: the slowest needs a tenth of it on a free machine."""

# How fast an example runs says nothing on a busy machine.
settings.register_profile("medbench", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("medbench")


def pytest_configure() -> None:
    """A job in the background ignores Ctrl-C, and children that tests interrupt would inherit that."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks of the items themselves still come after these, so that a test may say otherwise."""
    for item in items:
        item.add_marker(pytest.mark.filterwarnings("error"), append=False)
        item.add_marker(pytest.mark.timeout(LONGEST))
