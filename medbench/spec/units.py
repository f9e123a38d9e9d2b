"""What a task scores where that is not the image, as typed records; `medbench.units` joins predictions."""

from typing import Literal

from medbench.spec.declared import Declared

PATIENT = "patient"
"""What a unit may be by beside the names of attributes."""


class Unit(Declared, frozen=True, kw_only=True):
    """One step from images to what is scored, such as from views to a breast."""

    by: list[str]
    """What makes a unit: `patient`, and attributes such as `laterality`."""
    over: Literal["mean", "max"]
    """Of the logits of what is joined: their mean, or those of the most suspicious."""
