"""From what was asked to the steps that will run: the recipe resolved, the edges drawn, fanned out."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from pydantic import JsonValue, ValidationError

from ovfarm import bounds, gates, targets
from ovfarm.errors import InvalidInput
from ovfarm.hardware import Device, Need
from ovfarm.jobs import DataRef, JobSpec, Part
from ovfarm.memory import need_gib
from ovfarm.presets import PRESETS, without_labels
from ovfarm.recipes import (
    MODEL_MAKERS,
    Benchmark,
    Choose,
    Compress,
    Convert,
    Evaluate,
    Kind,
    Quantize,
    Recipe,
    StepParams,
)
from ovfarm.results import Port

FANNED_OUT = frozenset({Kind.EVALUATE, Kind.BENCHMARK, Kind.PROBE})


@dataclass(frozen=True, slots=True)
class Edge:
    """Where the files of one input role come from: an earlier step, a model or a dataset."""

    step: str | None = None
    model: UUID | None = None
    dataset: UUID | None = None
    part: Part = Part.ALL


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """One step to queue; ``lineage`` are the parameters that made the model it packages."""

    name: str
    params: StepParams
    need: Need
    edges: Mapping[str, Edge] = field(default_factory=dict)
    lineage: tuple[StepParams, ...] = ()


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


class _Planner:
    """Walks a recipe once and keeps what later steps refer to."""

    def __init__(self, spec: JobSpec, recipe: Recipe, model_bytes: int) -> None:
        self.spec = spec
        self.model_bytes = model_bytes
        self.source = Edge(model=spec.model) if spec.model else None
        self.makers: list[StepParams] = []
        self.by_name: dict[str, StepParams] = {s.name: s for s in recipe.steps}
        self.made_from: dict[str, tuple[str, ...]] = {}
        self.planned: dict[str, list[PlannedStep]] = {}

    def steps(self, params: StepParams) -> list[PlannedStep]:
        """Return the planned steps of one recipe step: one, or one for each target."""
        edges = self._edges(params)
        lineage = self._lineage(edges) if params.kind is Kind.PACKAGE else ()
        if params.kind in MODEL_MAKERS:
            self.makers.append(params)
            self.made_from[params.name] = _makers(edges)
        needs = self.spec.targets if params.kind in FANNED_OUT else (Need(device=Device.CPU),)
        self.planned[params.name] = [
            PlannedStep(
                name=f"{params.name}@{need.key}" if len(needs) > 1 else params.name,
                params=params,
                need=self._with_memory(need, params.kind),
                edges=edges,
                lineage=lineage,
            )
            for need in dict.fromkeys(needs)
        ]
        return self.planned[params.name]

    def _with_memory(self, need: Need, kind: Kind) -> Need:
        """Ask for the memory that the job names, else for what a model of this size will take."""
        wanted = self.spec.limits.memory_gib or need_gib(kind, self.model_bytes)
        if not wanted or (need.memory_gib or 0) >= wanted:
            return need
        return need.model_copy(update={"memory_gib": wanted})

    def _edges(self, params: StepParams) -> dict[str, Edge]:
        if params.kind is Kind.PROBE:
            return {}
        if isinstance(params, Choose):
            return self._candidates(params)
        edges = {"model": self._model(params)}
        if isinstance(params, Evaluate | Benchmark) and (reference := self._reference(params)):
            edges["reference"] = reference
        elif isinstance(params, Benchmark):
            edges["reference"] = edges["model"]
        elif isinstance(params, Evaluate) and params.max_drop is not None:
            raise self._without_reference(params)
        return edges | self._data(params) | self._gates(params)

    def _gates(self, params: StepParams) -> dict[str, Edge]:
        """Return the gates that a step waits for: of each one, those of all targets."""
        edges: dict[str, Edge] = {}
        for role in (gates.AFTER, gates.UNLESS):
            if name := gates.named_gate(params, role):
                judging = self.planned[name]
                numbered = zip(gates.roles(role, len(judging)), judging, strict=True)
                edges |= {numbered_role: Edge(step=step.name) for numbered_role, step in numbered}
        return edges

    def _candidates(self, params: Choose) -> dict[str, Edge]:
        edges = {"reference": self.planned[params.of[0]][0].edges["reference"]}
        for number, name in enumerate(params.of):
            edges[f"model-{number}"] = self.planned[name][0].edges["model"]
            for target, judging in enumerate(self.planned[name]):
                edges[f"{gates.AFTER}-{number}-{target}"] = Edge(step=judging.name)
        return edges

    def _without_reference(self, params: Evaluate) -> InvalidInput:
        path = f"{params.name}.max_drop"
        whole = isinstance(self.spec.recipe, Recipe) and path not in self.spec.overrides
        at = [*self.by_name].index(params.name)
        return InvalidInput(
            f"step {params.name!r} has max_drop, and there is no earlier model from which to drop",
            pointer=f"/recipe/steps/{at}/max_drop" if whole else f"/overrides/{path}",
            code="reference_missing",
            hint="put an FP32 conversion before it (kind: convert), or name a reference",
        )

    def _model(self, params: StepParams) -> Edge:
        if params.model:
            return Edge(step=params.model)
        # A conversion starts from what was uploaded; everything else from the nearest model.
        if self.makers and not isinstance(params, Convert):
            return Edge(step=self.makers[-1].name)
        if self.source is None:
            raise InvalidInput(
                f"step {params.name!r} needs a model, and the job names none",
                pointer="/model",
                code="model_missing",
                hint="register one with POST /v1/models and name its id",
            )
        return self.source

    def _reference(self, params: Evaluate | Benchmark) -> Edge | None:
        if params.reference:
            return Edge(step=params.reference)
        first = next((m for m in self.makers if isinstance(m, Convert) and m.weights == "fp32"), None)
        return Edge(step=first.name) if first else None

    def _data(self, params: StepParams) -> dict[str, Edge]:
        match params:
            case Quantize():
                hint = "register an .npz of real samples, or take the recipe int8-weights"
                edges = {"calibration": self._calibration("quantization measures activations", hint)}
                return edges | (self._labelled() if params.accuracy else {})
            case Compress() if params.needs_data:
                hint = "register an .npz of real samples, or leave these options out"
                return {"calibration": self._calibration("these options measure activations", hint)}
            case Compress() if params.awq and self.spec.data.calibration:
                return {"calibration": self._calibration("", "")}
            case Evaluate() | Benchmark() if self.spec.data.evaluation:
                return self._evaluation(self.spec.data.evaluation)
        return {}

    def _calibration(self, why: str, hint: str) -> Edge:
        data = self.spec.data.calibration
        if data is None:
            raise InvalidInput(
                f"{why}, so the job needs calibration data",
                pointer="/data/calibration",
                code="dataset_missing",
                hint=hint,
            )
        return Edge(dataset=data.dataset, part=data.part)

    def _labelled(self) -> dict[str, Edge]:
        if self.spec.data.evaluation is None:
            raise InvalidInput(
                "accuracy control asks after each change how right the model is, so it needs evaluation data",
                pointer="/data/evaluation",
                code="dataset_missing",
                hint="register an .npz with an array 'labels', or leave accuracy out",
            )
        return self._evaluation(self.spec.data.evaluation)

    def _evaluation(self, data: DataRef) -> dict[str, Edge]:
        return {"evaluation": Edge(dataset=data.dataset, part=data.part)}

    def _lineage(self, edges: Mapping[str, Edge]) -> tuple[StepParams, ...]:
        """Return the steps that made a model in the order of the recipe; of a choice, all candidates."""
        found: set[str] = set()
        ahead = {*_makers(edges)}
        while ahead:
            found |= ahead
            ahead = {maker for name in ahead for maker in self.made_from[name]} - found
        return tuple(params for name, params in self.by_name.items() if name in found)


def _makers(edges: Mapping[str, Edge]) -> tuple[str, ...]:
    """Return the steps whose models are read: one, or the candidates of a choice and its reference."""
    return tuple(edge.step for role, edge in edges.items() if edge.step and not gates.is_gate(role))


def plan(spec: JobSpec, model_bytes: int = 0, ports: Sequence[Port] = ()) -> tuple[PlannedStep, ...]:
    """Return the steps of a job in an order in which every edge points back.

    ``model_bytes`` is the size of its model, from which each step's memory is estimated; ``ports`` are
    its inputs and outputs as far as they are known. Raises InvalidInput with a pointer into the spec.
    """
    recipe = resolve(spec)
    planner = _Planner(spec, recipe, model_bytes)
    steps = tuple(step for params in recipe.steps for step in planner.steps(params))
    first = [s.params for s in steps if isinstance(s.params, Convert) and s.edges["model"].model]
    bounds.check(first, ports)
    return steps
