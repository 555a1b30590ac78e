"""The tools' finer parameters as documents: their own names and defaults, and nothing that they ignore.

The meaning of each is NNCF's (its API reference, ``nncf.quantize`` and ``nncf.compress_weights``) and
OpenVINO's (``openvino.preprocess``).
"""

from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ModelWrapValidatorHandler,
    StringConstraints,
    ValidationInfo,
    model_validator,
)

from ovfarm import rules
from ovfarm.shapes import Document, is_read_back

Share = Annotated[float, Field(gt=0, le=1)]


def _sizes(low_high: str) -> str:
    """Refuse a range that runs backwards."""
    low, dots, high = low_high.partition("..")
    if dots and int(low) > int(high):
        raise ValueError("a range goes from the smaller to the larger size, like 1..8")
    return low_high


Dimension = (
    Annotated[int, Field(ge=1, le=1 << 31)]
    | Annotated[str, StringConstraints(pattern=r"^(\?|\d{1,9}\.\.\d{1,9})$"), AfterValidator(_sizes)]
)
Shape = Annotated[tuple[Dimension, ...], Field(max_length=16)]


def _once(layout: str) -> str:
    """Refuse a dimension that is named twice."""
    if any(layout.count(letter) > 1 for letter in layout if letter != "?"):
        raise ValueError("a layout names each dimension once, like NHWC")
    return layout


def _listed(value: object) -> object:
    """Take one number for a list of one."""
    return (value,) if isinstance(value, int | float) and not isinstance(value, bool) else value


Layout = Annotated[str, StringConstraints(pattern=r"^[NCHWD?]{1,8}$"), AfterValidator(_once)]
_Offset = Annotated[float, Field(ge=-1e9, le=1e9)]
_Divisor = Annotated[float, Field(ge=1e-9, le=1e9)]
_Offsets = Annotated[
    tuple[_Offset, ...],
    Field(max_length=64),
    BeforeValidator(_listed, json_schema_input_type=_Offset | tuple[_Offset, ...]),
]
_Divisors = Annotated[
    tuple[_Divisor, ...],
    Field(max_length=64),
    BeforeValidator(_listed, json_schema_input_type=_Divisor | tuple[_Divisor, ...]),
]


class Preprocess(Document):
    """What happens to one input before the model sees it, inside the model; applied in this order.

    ``layout`` is that of the data, ``model_layout`` that of the model, and each needs the other: no file
    says which it is. ``mean`` is subtracted, then ``scale`` divides, one number for all or one for each
    channel.
    """

    element_type: Literal["u8", "i32", "i64", "f16", "f32"] | None = None
    layout: Layout | None = None
    model_layout: Layout | None = None
    color: Literal["rgb_to_bgr", "bgr_to_rgb"] | None = None
    resize: Literal["linear", "cubic", "nearest"] | None = None
    mean: _Offsets = ()
    scale: _Divisors = ()

    @model_validator(mode="after")
    def _layouts_together(self, info: ValidationInfo) -> Self:
        if (self.layout is None) == (self.model_layout is None) or is_read_back(info):
            return self._same_dimensions(info)
        missing, present = ("model_layout", "layout") if self.layout else ("layout", "model_layout")
        raise ValueError(
            f"{present} needs {missing}: the order that {'the model' if self.layout else 'the data'} has, "
            "NCHW for most models of PyTorch and ONNX; the same twice leaves the order alone"
        )

    def _same_dimensions(self, info: ValidationInfo) -> Self:
        if sorted(self.layout or "") != sorted(self.model_layout or "") and not is_read_back(info):
            raise ValueError("layout and model_layout name the same dimensions, in the order of each")
        return self

    @model_validator(mode="after")
    def _with_channels(self) -> Self:
        if (len(self.mean) > 1 or len(self.scale) > 1 or self.color) and "C" not in (self.layout or ""):
            raise ValueError(
                "a value for each channel, or a change of colours, needs a layout with C, like NHWC"
            )
        if self.resize and not {"H", "W"} <= set(self.layout or ""):
            raise ValueError("resize needs a layout with H and W, like NHWC")
        return self


class RangeSide(Document):
    """How one end of a quantizer's range is found from what was measured; None is NNCF's own choice."""

    statistics_type: Literal["max", "min", "abs_max", "quantile", "abs_quantile", "mean", "raw"] | None = None
    aggregator_type: (
        Literal["mean", "max", "min", "median", "mean_no_outliers", "median_no_outliers", "histogram"] | None
    ) = None
    clipping_value: float | None = None
    quantile_outlier_prob: float = Field(default=1e-4, ge=0, lt=0.5)


class RangeEstimator(Document):
    """Both ends of a range."""

    min: RangeSide = RangeSide()
    max: RangeSide = RangeSide()

    @model_validator(mode="wrap")
    @classmethod
    def _of_a_piece(
        cls, value: object, handler: ModelWrapValidatorHandler[Self], info: ValidationInfo
    ) -> Self:
        return rules.judged(value, handler(value), rules.RANGE, info)


class Quantizer(Document):
    """How values become integers; None is NNCF's own choice for the preset and the device.

    Below 8 bits there are NPUs alone, by NNCF's tables of what devices compute with.
    """

    num_bits: Annotated[int, Field(ge=2, le=16)] | None = None
    mode: Literal["symmetric", "asymmetric"] | None = None
    signedness_to_force: bool | None = None
    per_channel: bool | None = None
    narrow_range: bool | None = None


class SmoothQuant(Document):
    """How much of the activations' outliers moves into the weights (SmoothQuant); -1 switches it off."""

    convolution: float = Field(default=-1.0, ge=-1, le=1)
    matmul: float = Field(default=0.95, ge=-1, le=1)


class BiasCorrection(Document):
    """Where biases are corrected for what quantization shifts."""

    apply_for_all_nodes: bool = False
    threshold: float | None = Field(default=None, gt=0)


class AdvancedQuantization(Document):
    """``nncf.AdvancedQuantizationParameters``."""

    overflow_fix: Literal["enable", "first_layer_only", "disable"] | None = None
    quantize_outputs: bool = False
    inplace_statistics: bool = True
    disable_channel_alignment: bool = True
    disable_bias_correction: bool = False
    batchwise_statistics: bool | None = None
    activations_quantization_params: Quantizer | None = None
    weights_quantization_params: Quantizer | None = None
    quantizer_propagation_rule: Literal[
        "do_not_merge_branches", "merge_if_all_branches_same", "merge_with_potential_requantization",
        "merge_all_in_one",
    ] = "merge_all_in_one"  # fmt: skip
    activations_range_estimator_params: RangeEstimator = RangeEstimator()
    weights_range_estimator_params: RangeEstimator = RangeEstimator()
    bias_correction_params: BiasCorrection = BiasCorrection()
    smooth_quant_alphas: SmoothQuant = SmoothQuant()


class AccuracyControl(Document):
    """Give layers back to floating point until accuracy drops by no more than ``max_drop``.

    ``drop_type`` says whether that is a difference of accuracies or a share of the reference's. Unless
    it is ``strict``, a drop that cannot be kept is a note and not a failure, and where the data has no
    labels the original model's own answers stand for them.
    """

    max_drop: float = Field(default=0.01, ge=0, lt=1)
    drop_type: Literal["absolute", "relative"] = "absolute"
    max_num_iterations: Annotated[int, Field(ge=1)] | None = None
    ranking_subset_size: Annotated[int, Field(ge=1)] | None = None
    tune_hyperparams: bool = False
    restore_mode: Literal["activations_and_weights", "only_activations"] = "activations_and_weights"
    strict: bool = True


class Awq(Document):
    """Activation-aware weight quantization (AWQ)."""

    subset_size: int = Field(default=32, ge=1)
    percent_to_apply: Share = 0.002
    alpha_min: float = Field(default=0.0, ge=0, le=1)
    alpha_max: float = Field(default=1.0, ge=0, le=1)
    steps: int = Field(default=100, ge=1)
    prefer_data_aware_scaling: bool = True


class ScaleEstimation(Document):
    """Scales that minimise the error of each layer's output."""

    subset_size: int = Field(default=64, ge=1)
    initial_steps: int = Field(default=5, ge=0)
    scale_steps: int = Field(default=5, ge=0)
    weight_penalty: float = -1.0


class Gptq(Document):
    """Layer-wise error compensation (GPTQ)."""

    damp_percent: float = Field(default=0.1, gt=0, lt=1)
    block_size: int = Field(default=128, ge=1)
    subset_size: int = Field(default=128, ge=1)


class LoraCorrection(Document):
    """Low-rank adapters that make up for what compression lost."""

    adapter_rank: int = Field(default=8, ge=1)
    num_iterations: int = Field(default=3, ge=1)
    apply_regularization: bool = True
    subset_size: int = Field(default=128, ge=1)
    use_int8_adapters: bool = True


class AdvancedCompression(Document):
    """``nncf.AdvancedCompressionParameters``, as far as they concern OpenVINO models."""

    min_adjusted_group_size: int = Field(default=32, ge=1)
    awq_params: Awq = Awq()
    scale_estimation_params: ScaleEstimation = ScaleEstimation()
    gptq_params: Gptq = Gptq()
    lora_correction_params: LoraCorrection = LoraCorrection()
