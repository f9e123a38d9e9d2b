"""A cohort that is known and not here: what can be asked of it, so that nothing is silently left out."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn

from medbench.errors import NotPreparedError
from medbench.spec.runs import Target


@dataclass(kw_only=True, eq=False)
class AbsentCohort:
    """A `medbench.data.cohort.Cohort` that was not prepared on this machine.

    Attributes:
      absent: every shift that it would have, with the reason why none is here.
      reason: what is missing and how to come by it.
    """

    name: str
    domain: str
    target: Target
    attributes: tuple[str, ...]
    absent: Mapping[str, str]
    reason: str
    cluster: str = "patient"
    generated: bool = False
    fingerprint: str = ""
    shifts: tuple[str, ...] = ()
    image_area: int = 0
    warnings: tuple[str, ...] = ()

    def examples(self, split: str) -> NoReturn:  # noqa: ARG002
        """Say how to come by them.

        Raises:
          NotPreparedError: always.
        """
        raise NotPreparedError(self.reason)

    def images(self, split: str, size: int) -> NoReturn:  # noqa: ARG002
        """As `examples`."""
        self.examples(split)
