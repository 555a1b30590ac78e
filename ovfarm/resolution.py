"""From a spec to the recipe that it runs: the preset looked up and fitted, the overrides set."""

from collections.abc import Collection

from pydantic import JsonValue, ValidationError

from ovfarm import targets
from ovfarm.errors import InvalidInput
from ovfarm.hardware import Device
from ovfarm.jobs import JobSpec
from ovfarm.presets import PRESETS, without_labels
from ovfarm.recipes import Recipe


def resolve(spec: JobSpec) -> Recipe:
    """Return the recipe that a job runs: the preset fitted to targets and data, the overrides set.

    A recipe that was sent whole stays as it is. Raises InvalidInput with a pointer into the spec.
    """
    if isinstance(spec.recipe, Recipe):
        recipe = spec.recipe
    else:
        devices = {need.device for need in spec.targets}
        recipe = preset(spec.recipe, devices, judged=spec.data.evaluation is not None)
    for path, value in spec.overrides.items():
        recipe = _overridden(recipe, path, value)
    return recipe


def preset(name: str, devices: Collection[Device], *, judged: bool = True) -> Recipe:
    """Return what a preset is for these devices, and without evaluation data if nothing is ``judged``.

    Raises InvalidInput.
    """
    recipe = PRESETS.get(name)
    if recipe is None:
        raise InvalidInput(
            f"there is no recipe {name!r}; there are: {', '.join(PRESETS)}",
            pointer="/recipe",
            code="unknown_recipe",
            hint="see GET /v1/recipes, or send a whole recipe",
        )
    return targets.for_devices(recipe if judged else without_labels(recipe), devices)


def _overridden(recipe: Recipe, path: str, value: JsonValue) -> Recipe:
    pointer = f"/overrides/{path.replace('~', '~0').replace('/', '~1')}"
    step_name, *parameters = path.split(".")
    raw = recipe.model_dump(mode="json")
    step = next((s for s in raw["steps"] if s["name"] == step_name), None)
    if step is None or not parameters:
        names = ", ".join(s.name for s in recipe.steps)
        raise InvalidInput(
            f"{path!r} is not STEP.PARAMETER of recipe {recipe.name!r}; its steps: {names}",
            pointer=pointer,
            code="unknown_step",
        )
    target = step
    if parameters[0] == "shapes" and len(parameters) > 1:
        # An input is its own name, dots and all, and need not be there yet.
        parameters = ["shapes", ".".join(parameters[1:])]
        target.setdefault("shapes", {}).setdefault(parameters[-1], None)
    for parameter in parameters[:-1]:
        target = target.get(parameter) or {}
    if parameters[-1] not in target or parameters[-1] in {"kind", "name"}:
        allowed = ", ".join(sorted(set(target) - {"kind", "name"}))
        raise InvalidInput(
            f"{path!r} is not a parameter of step {step_name!r}; it has: {allowed}",
            pointer=pointer,
            code="unknown_parameter",
        )
    target[parameters[-1]] = value
    try:
        return Recipe.model_validate(raw)
    except ValidationError as invalid:
        problem = invalid.errors(include_url=False)[0]["msg"]
        raise InvalidInput(f"{path}: {problem}", pointer=pointer, code="invalid_value") from invalid
