"""A recipe is plain data: an ordered list of named steps with their parameters.

Each step kind has one parameters class here and one module of the same name in ``workers/steps``.
``model`` and ``reference`` name earlier steps; left out, they mean the nearest earlier step that
makes a model, and the first FP32 conversion (``ovfarm.plan``).
"""

from enum import StrEnum
from typing import Annotated, ClassVar, Literal, get_args

from pydantic import Field, model_validator

from ovfarm.shapes import Document, Name, Text


class Kind(StrEnum):
    """The step kinds; each is a module of ``workers.steps``."""

    CONVERT = "convert"
    QUANTIZE = "quantize"
    COMPRESS = "compress"
    EVALUATE = "evaluate"
    BENCHMARK = "benchmark"
    PACKAGE = "package"
    PROBE = "probe"


MODEL_MAKERS = frozenset({Kind.CONVERT, Kind.QUANTIZE, Kind.COMPRESS})


class _Params(Document):
    """What all steps have; ``step_version`` rises when the same parameters mean other bytes."""

    step_version: ClassVar[int] = 1
    model: Name | None = None


class IgnoredScope(Document):
    """The nodes that stay in floating point: by name, by regular expression, by operation type."""

    names: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    types: tuple[str, ...] = ()


class Convert(_Params):
    """Read a model and write OpenVINO IR with weights in ``fp32`` or ``fp16``."""

    kind: Literal[Kind.CONVERT] = Kind.CONVERT
    name: Name = "convert"
    weights: Literal["fp32", "fp16"] = "fp32"


class Quantize(_Params):
    """Quantize weights and activations to INT8 with calibration data (NNCF post-training)."""

    kind: Literal[Kind.QUANTIZE] = Kind.QUANTIZE
    name: Name = "quantize"
    preset: Literal["performance", "mixed"] = "mixed"
    subset_size: int = Field(default=300, ge=1, le=100_000)
    model_type: Literal["transformer"] | None = None
    fast_bias_correction: bool = True
    ignored_scope: IgnoredScope = IgnoredScope()
    target_device: Literal["any", "cpu", "gpu", "npu", "cpu_spr"] = "any"


class Compress(_Params):
    """Compress the weights alone; activations stay in floating point (NNCF)."""

    kind: Literal[Kind.COMPRESS] = Kind.COMPRESS
    name: Name = "compress"
    mode: Literal["int8_sym", "int8_asym", "int4_sym", "int4_asym"] = "int8_asym"
    ratio: Annotated[float, Field(gt=0, le=1)] | None = None
    group_size: Annotated[int, Field(ge=-1, le=4096)] | None = None
    all_layers: bool | None = None
    ignored_scope: IgnoredScope = IgnoredScope()

    @model_validator(mode="after")
    def _four_bit_only(self) -> "Compress":
        four_bit = (self.ratio, self.group_size, self.all_layers)
        if self.mode.startswith("int8") and any(option is not None for option in four_bit):
            raise ValueError(
                "ratio, group_size and all_layers belong to int4_sym and int4_asym; int8 takes every "
                "layer, one group a channel"
            )
        if self.group_size == 0:
            raise ValueError("group_size is -1 (one group a channel) or at least 1")
        return self


class Evaluate(_Params):
    """Measure accuracy on labelled data, and the distance of the outputs to the reference."""

    kind: Literal[Kind.EVALUATE] = Kind.EVALUATE
    name: Name = "evaluate"
    reference: Name | None = None
    precision: Literal["f32", "default"] = "f32"
    samples: Annotated[int, Field(ge=1)] | None = None


class Benchmark(_Params):
    """Compare latency with the reference: interleaved blocks, with intervals. Times in seconds."""

    kind: Literal[Kind.BENCHMARK] = Kind.BENCHMARK
    name: Name = "benchmark"
    reference: Name | None = None
    batch: Annotated[int, Field(ge=1, le=4096)] | None = None
    time_budget_s: float = Field(default=10.0, gt=0, le=3600)
    half_width: float = Field(default=0.02, gt=0, lt=1)
    margin: float = Field(default=0.03, ge=0, lt=1)
    seed: int = 0


class Package(_Params):
    """Bundle the model with a manifest: the sha256 of every file, the recipe, the tool versions."""

    kind: Literal[Kind.PACKAGE] = Kind.PACKAGE
    name: Name = "package"


class ProbeAction(StrEnum):
    """What a probe does to its own child."""

    OK = "ok"
    SLEEP = "sleep"
    HANG = "hang"
    SPIN = "spin"
    EXIT = "exit"
    SIGNAL = "signal"
    ALLOCATE = "allocate"
    GARBAGE = "garbage"
    FLOOD = "flood"
    FORK = "fork"
    FAIL = "fail"


class Probe(_Params):
    """Exercise a node: canaries, overhead benchmarks and chaos. The operator switches it on."""

    kind: Literal[Kind.PROBE] = Kind.PROBE
    name: Name = "probe"
    action: ProbeAction = ProbeAction.OK
    seconds: float = Field(default=0.0, ge=0, le=3600)
    amount: int = Field(default=0, ge=0)
    token: Text = ""


StepParams = Annotated[
    Convert | Quantize | Compress | Evaluate | Benchmark | Package | Probe,
    Field(discriminator="kind"),
]


def known_steps() -> tuple[str, ...]:
    """Return the step kinds of this release, each with its version: ``convert/1``."""
    union = get_args(get_args(StepParams)[0])
    return tuple(sorted(f"{step.model_fields['kind'].default}/{step.step_version}" for step in union))


class Recipe(Document):
    """An ordered list of steps with unique names; every edge points to an earlier step."""

    name: Name
    title: Text = ""
    steps: tuple[StepParams, ...] = Field(min_length=1, max_length=64)

    @model_validator(mode="after")
    def _edges_point_back(self) -> "Recipe":
        makers: set[str] = set()
        seen: set[str] = set()
        for step in self.steps:
            if step.name in seen:
                raise ValueError(f"two steps are named {step.name!r}; give each its own name")
            for edge in (step.model, getattr(step, "reference", None)):
                if edge is not None and edge not in makers:
                    allowed = ", ".join(sorted(makers)) or "none"
                    raise ValueError(
                        f"step {step.name!r} names {edge!r}; earlier steps that make a model: {allowed}"
                    )
            seen.add(step.name)
            if step.kind in MODEL_MAKERS:
                makers.add(step.name)
        return self
