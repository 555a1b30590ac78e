"""The shape of a hint: what a code means, what to do, and changes that can be applied."""

from enum import StrEnum

from pydantic import Field

from ovfarm.failures import FailureClass
from ovfarm.patches import Patch
from ovfarm.shapes import Document


class Topic(StrEnum):
    """What a hint is about."""

    INSTALL = "install"
    CONVERSION = "conversion"
    SHAPES = "shapes"
    MEMORY = "memory"
    PERFORMANCE = "performance"
    ACCURACY = "accuracy"
    DATA = "data"
    OPERATION = "operation"


class Remedy(Patch):
    """A patch as the table has it: heads are step kinds, and numbers may depend on what the job has now.

    ``times`` multiplies (``KIND.PARAMETER`` or ``limits.NAME``); ``at_most`` lowers
    what is larger, or not set. It is shown only ``where`` each of these parameters has one of the values.
    """

    times: dict[str, float] = {}
    at_most: dict[str, int | float] = {}
    where: dict[str, tuple[bool | None, ...]] = {}

    @property
    def touched(self) -> frozenset[str]:
        """What it sets, multiplies or lowers."""
        return super().touched | frozenset({*self.times, *self.at_most})


class Hint(Document):
    """What a code means (``means``), who has to act (``classes``; none for notes) and what helps."""

    topic: Topic
    means: str = Field(max_length=300)
    words: str = Field(max_length=1000)
    classes: tuple[FailureClass, ...] = ()
    patches: tuple[Remedy, ...] = ()
