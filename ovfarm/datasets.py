"""How a dataset is read: which column is for which input, and what a picture or a text becomes."""

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, field_validator, model_validator

from ovfarm.shapes import Document, Text, unsaid

MAX_FILES = 10_000
Column = Annotated[Text, StringConstraints(min_length=1)]
Side = Annotated[int, Field(ge=1, le=8192)]


class Image(Document):
    """What a model's input expects of a picture; what the model does itself is left out here.

    Applied in this order: colour order, resize to ``size`` (height, width), ``mean`` subtracted, ``scale``
    divides (one number for all channels or one for each, in the order of ``color``), ``dtype``, ``layout``.
    What is left out is told from the input's shape and type. Values go from 0 to 255.
    """

    size: tuple[Side, Side] | None = None
    resize: Literal["nearest", "linear", "cubic", "lanczos"] = "linear"
    color: Literal["rgb", "bgr"] = "rgb"
    layout: Literal["NCHW", "NHWC"] | None = None
    mean: Annotated[tuple[float, ...], Field(max_length=3)] = ()
    scale: Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(max_length=3)] = ()
    dtype: Literal["u8", "i32", "f16", "f32"] | None = None

    @field_validator("mean", "scale", mode="before")
    @classmethod
    def _one_number(cls, value: object) -> object:
        """Take one number as that of all channels."""
        return (value,) if isinstance(value, int | float) else value

    @model_validator(mode="after")
    def _one_or_each(self) -> Self:
        for name, values in (("mean", self.mean), ("scale", self.scale)):
            if len(values) == 2:
                raise ValueError(f"{name} has one number for all channels, or one for each of three")
        if self.dtype in {"u8", "i32"} and (self.mean or self.scale):
            raise ValueError(
                "mean and scale make fractions, which whole numbers cannot hold: leave dtype out"
            )
        return self


_TOKENS = 128


class Reading(Document):
    """From the columns of a dataset to the inputs of a model.

    ``mapping`` names a column (an array, ``image``, ``text``, or ``FIRST..LAST`` of a table) for an input;
    inputs that it leaves out take the column of their own name, and a single input what fits it.
    ``labels`` names the column of labels (``labels``). A text has at most ``max_tokens`` tokens.
    """

    mapping: dict[Column, Column] = Field(default={}, max_length=100, exclude_if=unsaid)
    labels: Column | None = Field(default=None, exclude_if=unsaid)
    image: Image | None = Field(default=None, exclude_if=unsaid)
    max_tokens: int = Field(default=_TOKENS, ge=1, le=1 << 20, exclude_if=lambda count: count == _TOKENS)


PLAIN = Reading()
