"""From a spec to the recipe that it runs: the preset looked up and fitted, the overrides set."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, JsonValue, ValidationError

from ovfarm import targets
from ovfarm.errors import InvalidInput
from ovfarm.fields import among, fields, words
from ovfarm.hardware import Device
from ovfarm.jobs import JobSpec
from ovfarm.presets import PRESETS, without_labels
from ovfarm.recipes import Kind, Recipe, StepParams

# What is said to a conversion of the model that it reads; how it writes is each one's own.
_READING = frozenset({"task", "stateful", "shapes", "preprocessing"})


def resolve(spec: JobSpec) -> Recipe:
    """Return the recipe that a job runs: the preset fitted to targets and data, the overrides set.

    A recipe that was sent whole stays as it is, but for the bounds that an NPU needs. Raises InvalidInput
    with a pointer into the spec.
    """
    devices = {need.device for need in spec.targets}
    if isinstance(spec.recipe, Recipe):
        recipe = targets.bounded(spec.recipe, devices)
    else:
        judged = spec.data.evaluation is not None
        recipe = preset(spec.recipe, devices, judged=judged, overrides=spec.overrides)
    return _overridden(recipe, spec.overrides)


def preset(
    name: str,
    devices: Collection[Device],
    *,
    judged: bool = True,
    overrides: Mapping[str, JsonValue] | None = None,
) -> Recipe:
    """Return what a preset is for these devices, and without evaluation data if nothing is ``judged``.

    ``overrides`` are not set yet, only what the devices' defaults have to fit. Raises InvalidInput.
    """
    recipe = PRESETS.get(name)
    if recipe is None:
        raise InvalidInput(
            f"there is no recipe {name!r}; there are: {', '.join(PRESETS)}",
            pointer="/recipe",
            code="unknown_recipe",
            hint="see GET /v1/recipes, or send a whole recipe",
        )
    return targets.for_devices(recipe if judged else without_labels(recipe), devices, overrides)


def _overridden(recipe: Recipe, overrides: Mapping[str, JsonValue]) -> Recipe:
    """Set all overrides; what they are together is judged, and not what they are on the way there."""
    raw = recipe.model_dump(mode="json")
    open_paths: list[str] = []
    refused: ValidationError | None = None
    for path, value in overrides.items():
        _set(raw, recipe, path, value)
        open_paths.append(path)
        try:
            recipe = Recipe.model_validate(raw)
        except ValidationError as invalid:
            refused = invalid
        else:
            raw, open_paths, refused = recipe.model_dump(mode="json"), [], None
    if refused is not None:
        problem = refused.errors(include_url=False)[0]
        path = _culprit(open_paths, recipe, problem["loc"])
        raise InvalidInput(f"{path}: {words(problem, Recipe)}", pointer=_pointer(path), code="invalid_value")
    return recipe


def _culprit(paths: list[str], recipe: Recipe, place: tuple[int | str, ...]) -> str:
    """Return which of the overrides since the last valid recipe a problem is about: the first, in doubt."""
    if len(place) < 2:
        return paths[0]
    step = recipe.steps[int(place[1])]
    below = ".".join(map(str, place[3:]))
    mine = {path: path.partition(".")[2] for path in paths if _meant(recipe, path) is step}
    exact = [path for path, rest in mine.items() if below.startswith(rest) or rest.startswith(below)]
    return (exact or [*mine] or paths)[0]


def _meant(recipe: Recipe, path: str) -> StepParams | None:
    """Return the step that an override is for: the one of that name, else the only one of that kind.

    Of several conversions the first one reads the job's model, so it has the parameters of reading.
    """
    head, *parameters = path.split(".")
    named = next((step for step in recipe.steps if step.name == head), None)
    alike = [step for step in recipe.steps if step.kind == head]
    reads = head == Kind.CONVERT and parameters[:1] and parameters[0] in _READING
    return named or (alike[0] if len(alike) == 1 or (alike and reads) else None)


def _pointer(path: str) -> str:
    return f"/overrides/{path.replace('~', '~0').replace('/', '~1')}"


def _set(raw: dict[str, Any], recipe: Recipe, path: str, value: JsonValue) -> None:
    """Set one parameter in a recipe's JSON form; raises InvalidInput when there is no such parameter."""
    _, *parameters = path.split(".")
    step = _meant(recipe, path)
    if step is None or not parameters:
        names = ", ".join(s.name for s in recipe.steps)
        raise InvalidInput(
            f"{path!r} is not STEP.PARAMETER of recipe {recipe.name!r}; its steps: {names}",
            pointer=_pointer(path),
            code="unknown_step",
        )
    if parameters[0] == "shapes" and len(parameters) > 1:
        # An input is its own name, dots and all, and need not be there yet.
        parameters = ["shapes", ".".join(parameters[1:])]
    _check(path, parameters, type(step))
    target = next(each for each in raw["steps"] if each["name"] == step.name)
    for parameter in parameters[:-1]:
        # A part that is not there by default begins empty: what it is then is judged with the rest.
        if target.get(parameter) is None:
            target[parameter] = {}
        if not isinstance(target[parameter], dict):
            raise _unknown(path, f": {parameter!r} is set to something else")
        target = target[parameter]
    target[parameters[-1]] = value


def _check(path: str, parameters: Sequence[str], step: type[BaseModel]) -> None:
    """Raise InvalidInput for a parameter that a step has not, with those that it has there."""
    for depth, parameter in enumerate(parameters):
        known = fields(step, parameters[:depth])
        if known is not None and parameter not in known - {"kind", "name"}:
            there = among(parameter, known - {"kind", "name"})
            raise _unknown(path, there or f": {parameters[depth - 1]!r} has no parts")


def _unknown(path: str, words: str) -> InvalidInput:
    message = f"{path!r} is not a parameter of step {path.partition('.')[0]!r}{words}"
    return InvalidInput(message, pointer=_pointer(path), code="unknown_parameter")
