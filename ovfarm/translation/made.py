"""The recipe that a translated step belongs to."""

from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError

from ovfarm.errors import InvalidInput
from ovfarm.fields import mistake
from ovfarm.presets import PRESETS
from ovfarm.recipes import Compress, Kind, Quantize, Recipe
from ovfarm.shapes import Document

_LIKE = {Kind.QUANTIZE: PRESETS["int8"], Kind.COMPRESS: PRESETS["int8-weights"]}
_STEPS: Mapping[Kind, TypeAdapter[Quantize] | TypeAdapter[Compress]] = {
    Kind.QUANTIZE: TypeAdapter(Quantize),
    Kind.COMPRESS: TypeAdapter(Compress),
}


class Translation(Document):
    """A recipe of today, where there is one, and what there is to say of the rest."""

    recipe: Recipe | None
    notes: tuple[str, ...]


def recipe_of(kind: Kind, given: Mapping[str, Any], notes: list[str]) -> Recipe:
    """Return the recipe with one step as it was given, None left out; raises InvalidInput."""
    try:
        step = _STEPS[kind].validate_python(
            {name: value for name, value in given.items() if value is not None}
        )
    except ValidationError as invalid:
        raise InvalidInput(mistake(invalid, Quantize, Compress)) from None
    if isinstance(step, Quantize):
        notes.append("it needs calibration data: register an .npz of real samples, or give --data")
        if step.accuracy:
            notes.append("accuracy control needs evaluation data with an array 'labels'")
    like = _LIKE[kind]
    steps = tuple(step if one.kind is step.kind else one for one in like.steps)
    return like.model_copy(update={"name": "translated", "title": "from what was given", "steps": steps})
