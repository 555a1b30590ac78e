"""From what was asked to the steps that will run: the recipe resolved, the edges drawn, fanned out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from ovfarm import bounds, gates
from ovfarm.catalog import PROGRAMS, ModelFormat
from ovfarm.datasets import PLAIN, Reading
from ovfarm.errors import InvalidInput
from ovfarm.hardware import Device, Need
from ovfarm.jobs import DataRef, JobSpec, Part
from ovfarm.memory import need_gib
from ovfarm.needs import equipped
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
from ovfarm.resolution import resolve
from ovfarm.results import Port

STATISTICS = "statistics"
FANNED_OUT = frozenset({Kind.EVALUATE, Kind.BENCHMARK, Kind.PROBE})


@dataclass(frozen=True, slots=True)
class Edge:
    """Where the files of one input role come from: an earlier step, a model or a dataset."""

    step: str | None = None
    model: UUID | None = None
    dataset: UUID | None = None
    part: Part = Part.ALL
    reading: Reading = PLAIN


@dataclass(frozen=True, slots=True)
class SourceModel:
    """What is known of a job's model, and which datasets may hold texts for it; nothing of a lone spec."""

    size: int = 0
    format: ModelFormat | None = None
    source: str | None = None
    ports: tuple[Port, ...] = ()
    tokenizer: bool = False
    texts: frozenset[UUID] = frozenset()


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """One step to queue; ``lineage`` are the parameters that made the model it packages."""

    name: str
    params: StepParams
    need: Need
    edges: Mapping[str, Edge] = field(default_factory=dict)
    lineage: tuple[StepParams, ...] = ()


_UNKNOWN = SourceModel()


class _Planner:
    """Walks a recipe once and keeps what later steps refer to."""

    def __init__(self, spec: JobSpec, recipe: Recipe, origin: SourceModel) -> None:
        self.spec = spec
        self.origin = origin
        self.source = Edge(model=spec.model) if spec.model else None
        self.makers: list[StepParams] = []
        self.by_name: dict[str, StepParams] = {s.name: s for s in recipe.steps}
        self.made_from: dict[str, tuple[str, ...]] = {}
        self.planned: dict[str, list[PlannedStep]] = {}

    def steps(self, params: StepParams) -> list[PlannedStep]:
        """Return the planned steps of one recipe step: one, or one for each target."""
        edges = self._edges(params)
        params = self._known(self._exported(params, edges))
        loads = self._loads_program(params, edges)
        lineage = self._lineage(edges) if params.kind is Kind.PACKAGE else ()
        if params.kind in MODEL_MAKERS:
            self.makers.append(params)
            self.made_from[params.name] = _makers(edges)
        needs = self.spec.targets if params.kind in FANNED_OUT else (Need(device=Device.CPU),)
        self.planned[params.name] = [
            PlannedStep(
                name=f"{params.name}@{need.key}" if len(needs) > 1 else params.name,
                params=params,
                need=self._equipped(need, params, edges).model_copy(update={"torch_programs": loads}),
                edges=edges,
                lineage=lineage,
            )
            for need in dict.fromkeys(needs)
        ]
        return self.planned[params.name]

    def _loads_program(self, params: StepParams, edges: Mapping[str, Edge]) -> bool:
        """Tell whether a step loads the job's PyTorch program; raises InvalidInput if others would."""
        if self.origin.format not in PROGRAMS or all(edge.model is None for edge in edges.values()):
            return False
        if params.kind is not Kind.CONVERT:
            raise InvalidInput(
                f"step {params.name!r} would open a PyTorch program; only convert does that",
                pointer="/recipe",
                code="convert_missing",
                hint="begin the recipe with a convert step",
            )
        return True

    def _exported(self, params: StepParams, edges: Mapping[str, Edge]) -> StepParams:
        """Name a task where a Hugging Face model is exported, and refuse one where nothing is."""
        if not isinstance(params, Convert) or self.origin.format is None:
            return params
        exports = edges["model"].model is not None and self.origin.format is ModelFormat.HUGGINGFACE
        if exports:
            return params.model_copy(update={"task": params.task or "auto"})
        if params.task or not params.stateful:
            field = "task" if params.task else "stateful"
            raise InvalidInput(
                f"{params.name}.{field} belongs to the export of a Hugging Face model, and this step reads "
                f"{self.origin.format}",
                pointer=f"/overrides/{params.name}.{field}",
                code="invalid_value",
                hint="leave it out",
            )
        return params

    def _known(self, params: StepParams) -> StepParams:
        """Tell a compression of mode ``auto`` whose model it is, as far as its source says so."""
        source = self.origin.source or ""
        if not isinstance(params, Compress) or params.mode != "auto" or not source.startswith("hf://"):
            return params
        name = source.removeprefix("hf://").partition("@")[0]
        return params.model_copy(update={"known_as": params.known_as or name})

    def _equipped(self, need: Need, params: StepParams, edges: Mapping[str, Edge]) -> Need:
        """Ask for what a step needs; memory is what the job names, else an estimate."""
        estimate = need_gib(params, self.origin.size, self.origin.format)
        texts = self.origin.tokenizer and any(edge.dataset in self.origin.texts for edge in edges.values())
        return equipped(need, params, self.spec.limits.memory_gib or estimate, tokenizes=texts)

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
        if isinstance(params, Compress) and params.statistics:
            edges[STATISTICS] = Edge(step=params.statistics)
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
                hint = "register a dataset of real samples, or take the recipe int8-weights"
                edges = {"calibration": self._calibration("quantization measures activations", hint)}
                return edges | (self._labelled() if params.accuracy else {})
            case Compress() if params.needs_data:
                hint = "register a dataset of real samples, or leave these options out"
                return {"calibration": self._calibration("these options measure activations", hint)}
            case Compress() if (params.awq or params.mode == "auto") and self.spec.data.calibration:
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
        return _edge(data)

    def _labelled(self) -> dict[str, Edge]:
        if self.spec.data.evaluation is None:
            raise InvalidInput(
                "accuracy control asks after each change how right the model is, so it needs evaluation data",
                pointer="/data/evaluation",
                code="dataset_missing",
                hint="register labelled data (an array or a column 'labels', class folders), or leave "
                "accuracy out",
            )
        return self._evaluation(self.spec.data.evaluation)

    def _evaluation(self, data: DataRef) -> dict[str, Edge]:
        return {"evaluation": _edge(data)}

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
    beside = {role for role in edges if role == STATISTICS or gates.is_gate(role)}
    return tuple(edge.step for role, edge in edges.items() if edge.step and role not in beside)


def _edge(data: DataRef) -> Edge:
    return Edge(dataset=data.dataset, part=data.part, reading=data.reading)


def plan(spec: JobSpec, origin: SourceModel = _UNKNOWN) -> tuple[PlannedStep, ...]:
    """Return the steps of a job in an order in which every edge points back.

    ``origin`` is its model as it was registered: each step's memory is estimated from its size, its
    format says what a conversion needs, its ports what an NPU refuses. Raises InvalidInput with a
    pointer into the spec.
    """
    recipe = resolve(spec)
    planner = _Planner(spec, recipe, origin)
    steps = tuple(step for params in recipe.steps for step in planner.steps(params))
    reads = ((s.params, origin.ports if (e := s.edges.get("model")) and e.model else ()) for s in steps)
    bounds.check(reads, npu=any(need.device is Device.NPU for need in spec.targets))
    return steps
