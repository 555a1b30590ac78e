"""A recipe is plain data: an ordered list of named steps with their parameters.

Each step kind has one parameters class here and one module of the same name in ``workers/steps``.
``model`` and ``reference`` name earlier steps; left out, they mean the nearest earlier step that
makes a model, and the first FP32 conversion (``ovfarm.plan``). ``after`` and ``unless`` name earlier
gates: ``evaluate`` steps with ``max_drop``.
"""

from enum import StrEnum
from typing import Annotated, ClassVar, Literal, Self, get_args

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    ValidationInfo,
    field_validator,
    model_validator,
)

from ovfarm import rules
from ovfarm.edges import check
from ovfarm.shapes import Document, Name, Text, unsaid
from ovfarm.tuning import (
    AccuracyControl,
    AdvancedCompression,
    AdvancedQuantization,
    Preprocess,
    Shape,
)


class Kind(StrEnum):
    """The step kinds; each is a module of ``workers.steps``."""

    CONVERT = "convert"
    QUANTIZE = "quantize"
    COMPRESS = "compress"
    EVALUATE = "evaluate"
    BENCHMARK = "benchmark"
    CHOOSE = "choose"
    PACKAGE = "package"
    PROBE = "probe"


MODEL_MAKERS = frozenset({Kind.CONVERT, Kind.QUANTIZE, Kind.COMPRESS, Kind.CHOOSE})


class _Params(Document):
    """What all steps have; ``step_version`` rises when the same parameters mean other bytes."""

    step_version: ClassVar[int] = 1
    model: Name | None = None


class _Gated(_Params):
    """What may wait for gates: done when the gate ``after`` passed, or when the gate ``unless`` failed."""

    after: Name | None = None
    unless: Name | None = None


class IgnoredScope(Document):
    """The nodes that stay in floating point: by name, by regular expression, by operation type.

    Unless ``validate`` is false each of them must be in every network that is worked on.
    """

    model_config = ConfigDict(populate_by_name=True, serialize_by_alias=True)

    names: tuple[str, ...] = ()
    patterns: tuple[Annotated[str, AfterValidator(rules.expression)], ...] = ()
    types: tuple[str, ...] = ()
    must_match: bool = Field(default=True, alias="validate", exclude_if=bool)


class Convert(_Gated):
    """Read a model and write OpenVINO IR with weights in ``fp32``, ``fp16`` or ``bf16``.

    ``shapes`` and ``preprocessing`` are by input (``network:input`` where a model has several networks): a
    dimension is a size, ``"?"`` for any or ``"1..8"``.
    ``require_static`` refuses inputs whose dimensions have no bound, which no NPU compiles.
    ``task`` and ``stateful`` are for Hugging Face models: what the model is exported for (``auto`` looks at
    its architecture), and whether a decoder keeps its cache inside.
    """

    step_version: ClassVar[int] = 5
    kind: Literal[Kind.CONVERT] = Kind.CONVERT
    name: Name = "convert"
    weights: Literal["fp32", "fp16", "bf16"] = "fp32"
    shapes: dict[Text, Shape] = {}
    preprocessing: dict[Text, Preprocess] = {}
    task: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,60}$")] | None = None
    stateful: bool = True
    require_static: bool = False


class Quantize(_Gated):
    """Quantize weights and activations with calibration data (NNCF post-training): INT8, or FP8 by ``mode``.

    ``model_type`` "auto" looks whether the model has attention, ``preset`` "auto" is NNCF's choice by that.
    With ``accuracy`` layers go back to floating point until labelled evaluation data says that enough is
    left.
    """

    step_version: ClassVar[int] = 5
    kind: Literal[Kind.QUANTIZE] = Kind.QUANTIZE
    name: Name = "quantize"
    mode: Literal["int8", "fp8_e4m3", "fp8_e5m2"] = "int8"
    preset: Literal["performance", "mixed", "auto"] = "mixed"
    subset_size: int = Field(default=300, ge=1, le=100_000)
    model_type: Literal["auto", "transformer", "other"] = "auto"
    fast_bias_correction: bool = True
    ignored_scope: IgnoredScope = IgnoredScope()
    target_device: Literal["any", "cpu", "gpu", "npu", "cpu_spr"] = "any"
    advanced: AdvancedQuantization = AdvancedQuantization()
    accuracy: AccuracyControl | None = None

    @field_validator("model_type", mode="before")
    @classmethod
    def _as_version_one(cls, value: object) -> object:
        """Read what version 1 has left in rows: no type was no transformer."""
        return "other" if value is None else value

    @model_validator(mode="wrap")
    @classmethod
    def _fitting(cls, value: object, handler: ModelWrapValidatorHandler[Self], info: ValidationInfo) -> Self:
        return rules.judged(value, handler(value), rules.QUANTIZE, info)


CompressMode = Literal[
    "int8_sym", "int8_asym", "int4_sym", "int4_asym", "int3_sym", "int2_sym", "nf4", "cb4", "mxfp4",
    "mxfp8_e4m3", "fp8_e4m3", "fp4", "nvfp4", "auto",
]  # fmt: skip


class Compress(_Gated):
    """Compress the weights alone; activations stay in floating point (NNCF).

    The mode ``auto`` takes optimum-intel's configuration for the model that is ``known_as`` org/name at
    the hub. ``awq`` uses calibration data where the job has some; ``scale_estimation``, ``gptq``,
    ``lora_correction`` and the metrics of activations need it. ``statistics`` names an earlier compression
    of the same model that has kept what it measured (``keep_statistics``): it is not measured again.
    """

    step_version: ClassVar[int] = 5
    kind: Literal[Kind.COMPRESS] = Kind.COMPRESS
    name: Name = "compress"
    mode: CompressMode = "int8_asym"
    known_as: Text | None = None
    ratio: Annotated[float, Field(gt=0, le=1)] | None = None
    group_size: Annotated[int, Field(ge=-1, lt=1 << 31)] | None = None
    group_size_fallback: Literal["error", "ignore", "adjust"] = "error"
    all_layers: bool | None = None
    backup_mode: Literal["none", "int8_sym", "int8_asym", "mxfp8_e4m3", "fp8_e4m3"] | None = None
    sensitivity_metric: (
        Literal[
            "weight_quantization_error", "hessian_input_activation", "mean_activation_variance",
            "max_activation_variance", "mean_activation_magnitude",
        ]
        | None
    ) = None  # fmt: skip
    awq: bool = False
    scale_estimation: bool = False
    gptq: bool = False
    lora_correction: bool = False
    subset_size: int = Field(default=128, ge=1, le=100_000)
    keep_statistics: bool = False
    statistics: Name | None = None
    ignored_scope: IgnoredScope = IgnoredScope()
    advanced: AdvancedCompression = AdvancedCompression()

    @property
    def needs_data(self) -> bool:
        """Whether it cannot work without calibration data."""
        by_activations = self.sensitivity_metric not in {None, "weight_quantization_error"}
        return self.scale_estimation or self.gptq or self.lora_correction or by_activations

    @model_validator(mode="wrap")
    @classmethod
    def _fitting(cls, value: object, handler: ModelWrapValidatorHandler[Self], info: ValidationInfo) -> Self:
        return rules.judged(value, handler(value), rules.COMPRESS, info)


class Evaluate(_Gated):
    """Measure accuracy on labelled data, and the distance of the outputs to the reference.

    ``max_drop`` makes it a gate: it passes when the accuracy is at most so much below the reference's
    on the same rows, or without labels when the top class differs on at most this share of the rows,
    tokens or pixels, and so little is missing from R² = 1 of outputs that are no classes.
    """

    step_version: ClassVar[int] = 4
    kind: Literal[Kind.EVALUATE] = Kind.EVALUATE
    name: Name = "evaluate"
    reference: Name | None = None
    precision: Literal["f32", "default"] = "f32"
    samples: Annotated[int, Field(ge=1)] | None = None
    max_drop: Annotated[float, Field(ge=0, le=1)] | None = None


class Benchmark(_Gated):
    """Compare speed with the reference: interleaved blocks, with intervals. Times in seconds.

    ``hint`` is OpenVINO's: under ``throughput`` several requests are in flight and inferences per
    second are compared, else the latency of one request. ``batch`` is 1, or 8 under ``throughput``,
    for a model whose batch is free. ``model_cache`` measures how fast the model loads from OpenVINO's cache.
    """

    step_version: ClassVar[int] = 2
    kind: Literal[Kind.BENCHMARK] = Kind.BENCHMARK
    name: Name = "benchmark"
    reference: Name | None = None
    hint: Literal["latency", "throughput", "default"] = "latency"
    batch: Annotated[int, Field(ge=1, le=4096)] | None = None
    time_budget_s: float = Field(default=10.0, gt=0, le=3600)
    half_width: float = Field(default=0.02, gt=0, lt=1)
    margin: float = Field(default=0.03, ge=0, lt=1)
    seed: int = 0
    model_cache: bool = Field(default=False, exclude_if=unsaid)


class Choose(_Params):
    """Take the model of the last gate in ``of`` that passed before the first that failed.

    Gates that were not needed are stepped over. When not even the first one passed, it is the model
    that they were compared with.
    """

    step_version: ClassVar[int] = 3
    kind: Literal[Kind.CHOOSE] = Kind.CHOOSE
    name: Name = "choose"
    of: tuple[Name, ...] = Field(min_length=1, max_length=32)


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
    FILL = "fill"
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
    Convert | Quantize | Compress | Evaluate | Benchmark | Choose | Package | Probe,
    Field(discriminator="kind"),
]


def known_steps() -> tuple[str, ...]:
    """Return the step kinds of this release, each with its version: ``convert/1``."""
    union = get_args(get_args(StepParams)[0])
    return tuple(sorted(f"{step.model_fields['kind'].default}/{step.step_version}" for step in union))


class Recipe(Document):
    """An ordered list of steps with unique names; every edge points to an earlier step.

    One that is sent whole need not have a name.
    """

    name: Name = "custom"
    title: Text = ""
    steps: tuple[StepParams, ...] = Field(min_length=1, max_length=64)

    @model_validator(mode="after")
    def _edges_point_back(self) -> "Recipe":
        check(self.steps, frozenset(map(str, MODEL_MAKERS)))
        return self
