"""A pytest command that is one of several processes: the first goes on to its session, the others follow it.

Only what `--distributed` asks for comes here, as this imports jax.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from medbench.errors import MedbenchError
from medbench.execute.processes import Company, Follower
from medbench.pytest_plugin import COMPANY
from medbench.pytest_session import Bench


def take_part(config: pytest.Config, suites: Sequence[Path]) -> int | None:
    """Meet the other processes; of all but the first, this is the whole work.

    Returns:
      The exit status of a follower: 1 where another end came than that of the first one's session. None for
      the first, whose session is to begin.

    Raises:
      pytest.UsageError: the processes do not meet.
    """
    try:
        company = Company.join()
    except MedbenchError as error:
        raise pytest.UsageError(str(error)) from error
    if company.index == 0:
        config.stash[COMPANY] = company
        config.add_cleanup(company.end)
        return None
    why = Follower(company, Bench(config, suites).study).follow()
    ending = f"ended early: {why}" if why else "did its part; the first one has the report"
    sys.stdout.write(f"medbench: {company} {ending}\n")
    return 1 if why else 0
