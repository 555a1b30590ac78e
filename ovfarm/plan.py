"""From what was asked to the steps that will run: the recipe resolved, the edges drawn, fanned out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from pydantic import JsonValue, ValidationError

from ovfarm.errors import InvalidInput
from ovfarm.hardware import Device, Need
from ovfarm.jobs import DataRef, JobSpec, Part
from ovfarm.memory import need_gib
from ovfarm.presets import PRESETS
from ovfarm.recipes import (
    MODEL_MAKERS,
    Benchmark,
    Compress,
    Convert,
    Evaluate,
    Kind,
    Quantize,
    Recipe,
    StepParams,
)

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
    """Return the recipe that a job runs: the preset looked up, the overrides set.

    Raises InvalidInput with a pointer into the spec.
    """
    recipe = _named(spec.recipe) if isinstance(spec.recipe, str) else spec.recipe
    for path, value in spec.overrides.items():
        recipe = _overridden(recipe, path, value)
    return recipe


def _named(name: str) -> Recipe:
    try:
        return PRESETS[name]
    except KeyError:
        raise InvalidInput(
            f"there is no recipe {name!r}; there are: {', '.join(PRESETS)}",
            pointer="/recipe",
            code="unknown_recipe",
            hint="see GET /v1/recipes, or send a whole recipe",
        ) from None


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

    def __init__(self, spec: JobSpec, recipe: Recipe, model_bytes: int, *, program: bool) -> None:
        self.spec = spec
        self.model_bytes = model_bytes
        self.program = program
        self.source = Edge(model=spec.model) if spec.model else None
        self.makers: list[StepParams] = []
        self.by_name: dict[str, StepParams] = {s.name: s for s in recipe.steps}
        self.made_from: dict[str, str | None] = {}

    def steps(self, params: StepParams) -> list[PlannedStep]:
        """Return the planned steps of one recipe step: one, or one for each target."""
        edges = self._edges(params)
        loads = self._loads_program(params, edges)
        lineage = self._lineage(edges) if params.kind is Kind.PACKAGE else ()
        if params.kind in MODEL_MAKERS:
            self.makers.append(params)
            self.made_from[params.name] = edges["model"].step
        needs = self.spec.targets if params.kind in FANNED_OUT else (Need(device=Device.CPU),)
        return [
            PlannedStep(
                name=f"{params.name}@{need.key}" if len(needs) > 1 else params.name,
                params=params,
                need=self._with_memory(need, params.kind).model_copy(update={"torch_programs": loads}),
                edges=edges,
                lineage=lineage,
            )
            for need in dict.fromkeys(needs)
        ]

    def _loads_program(self, params: StepParams, edges: Mapping[str, Edge]) -> bool:
        """Tell whether a step loads the job's PyTorch program; raises InvalidInput if others would."""
        if not self.program or all(edge.model is None for edge in edges.values()):
            return False
        if params.kind is not Kind.CONVERT:
            raise InvalidInput(
                f"step {params.name!r} would open a PyTorch program; only convert does that",
                pointer="/recipe",
                code="convert_missing",
                hint="begin the recipe with a convert step",
            )
        return True

    def _with_memory(self, need: Need, kind: Kind) -> Need:
        """Ask for the memory that the job names, else for what a model of this size will take."""
        wanted = self.spec.limits.memory_gib or need_gib(kind, self.model_bytes)
        if not wanted or (need.memory_gib or 0) >= wanted:
            return need
        return need.model_copy(update={"memory_gib": wanted})

    def _edges(self, params: StepParams) -> dict[str, Edge]:
        if params.kind is Kind.PROBE:
            return {}
        edges = {"model": self._model(params)}
        if isinstance(params, Evaluate | Benchmark) and (reference := self._reference(params)):
            edges["reference"] = reference
        elif isinstance(params, Benchmark):
            edges["reference"] = edges["model"]
        return edges | self._data(params)

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
        names: list[str] = []
        name = edges["model"].step
        while name is not None:
            names.append(name)
            name = self.made_from.get(name)
        return tuple(self.by_name[n] for n in reversed(names))


def plan(spec: JobSpec, model_bytes: int = 0, *, program: bool = False) -> tuple[PlannedStep, ...]:
    """Return the steps of a job in an order in which every edge points back.

    ``model_bytes`` is the size of its model, from which each step's memory is estimated; ``program`` says
    that it is a PyTorch program, for which not every node will do. Raises InvalidInput with a pointer into
    the spec.
    """
    recipe = resolve(spec)
    planner = _Planner(spec, recipe, model_bytes, program=program)
    return tuple(step for params in recipe.steps for step in planner.steps(params))
