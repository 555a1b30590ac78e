"""Changes of a job that can be applied at once: parameters, another recipe, limits."""

from typing import Annotated, Literal, Self

from pydantic import Field, JsonValue, StringConstraints, model_validator

from ovfarm.shapes import Document, Name, Shown

LimitName = Literal["step_timeout_s", "memory_gib", "max_attempts"]
Path = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_.-]{0,199}$")]


class Patch(Document):
    """A change that may help, and why.

    ``overrides`` are what ``JobSpec.overrides`` takes. As a job is shown they begin with the name of one
    of its steps; as steps and ``ovfarm.hints`` write them they begin with a step kind, because neither
    knows the names (``ovfarm.advice`` binds them). ``recipe`` is the name of another recipe, and takes
    the job's own overrides away; ``limits`` are the job's, in the units of ``ovfarm.jobs.Limits``.
    """

    why: Annotated[Shown, Field(max_length=300)]
    overrides: dict[Path, JsonValue] = Field(default={}, max_length=16)
    recipe: Name | None = None
    limits: dict[LimitName, int | float] = {}

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        if not self.touched:
            raise ValueError("a patch sets a parameter, a recipe or a limit")
        return self

    @property
    def touched(self) -> frozenset[str]:
        """What it sets, by name: two patches that set the same are one too many."""
        return frozenset({*self.overrides, *self.limits, *(("recipe",) if self.recipe else ())})
