"""Recipes with a name, and the schema of every parameter."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import JsonValue

from api import problems
from ovfarm.errors import NotFound
from ovfarm.hardware import DeviceName
from ovfarm.presets import PRESETS
from ovfarm.recipes import Recipe
from ovfarm.resolution import preset
from ovfarm.shapes import Document

router = APIRouter(prefix="/recipes", tags=["recipes"])


class RecipeView(Document):
    """A recipe with a name; ``parameters`` is the JSON Schema of each step, by its name."""

    recipe: Recipe
    parameters: dict[str, JsonValue]


@router.get("", name="list")
def list_recipes() -> tuple[Recipe, ...]:
    """List the recipes that have a name."""
    return tuple(PRESETS.values())


@router.get("/{name}", name="get", responses=problems.document(404))
def get(
    name: str,
    target: Annotated[
        tuple[DeviceName, ...],
        Query(
            description="show it as it is for jobs with these targets; repeat it for several", max_length=8
        ),
    ] = (),
) -> RecipeView:
    """Show a recipe with the JSON Schema of its steps' parameters."""
    if name not in PRESETS:
        raise NotFound(f"there is no recipe {name!r}", hint=f"there are: {', '.join(PRESETS)}")
    recipe = preset(name, set(target))
    schemas = {step.name: type(step).model_json_schema() for step in recipe.steps}
    return RecipeView(recipe=recipe, parameters=schemas)
