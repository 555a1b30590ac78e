"""What does not go together in a step: tables of rules on what NNCF refuses, or takes and does not use.

The rules are those of NNCF 3.4 (``nncf/quantization`` and ``nncf/common/hardware/setups``), which finds most
of them only in the middle of a job.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationInfo

from ovfarm.shapes import is_read_back

T = TypeVar("T", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Rule:
    """``offending`` names the parameters of a step that break it; ``words`` say why, and what to do."""

    offending: Callable[[Any], Iterable[str]]
    words: str


def judged(value: object, step: T, rules: Sequence[Rule], info: ValidationInfo) -> T:
    """Return the step that came of a value; raises ValueError for the first rule that it breaks.

    What was taken before is not judged again: a step that is one already, and what is read back.
    """
    if value is step or is_read_back(info):
        return step
    for rule in rules:
        if names := [*rule.offending(step)]:
            raise ValueError(f"{', '.join(names)}: {rule.words}")
    return step


def expression(pattern: str) -> str:
    """Return a regular expression as it is; raises ValueError for what is none."""
    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as wrong:
        raise ValueError(f"{pattern[:100]!r} is no regular expression: {wrong}") from None
    return pattern


def given(step: BaseModel, paths: Iterable[str]) -> Iterator[str]:
    """Yield those of the parameters that are not at their defaults; a path has dots."""
    for path in paths:
        document: Any = step
        *parents, name = path.split(".")
        for parent in parents:
            document = getattr(document, parent)
        if getattr(document, name) != type(document).model_fields[name].default:
            yield path


def _if(holds: object, *names: str) -> tuple[str, ...]:
    return names if holds else ()


_METHODS = ("awq", "scale_estimation", "gptq", "lora_correction")
_BELOW_EIGHT_BITS = (
    "ratio", "group_size", "group_size_fallback", "all_layers", "backup_mode", "sensitivity_metric",
    *_METHODS, "advanced",
)  # fmt: skip
# What a configuration of optimum-intel does not bring can be set beside it.
_OF_AUTO = tuple(name for name in _BELOW_EIGHT_BITS if name not in {"group_size_fallback", "advanced"})
_WITHOUT_METHODS = frozenset({"mxfp4", "mxfp8_e4m3", "fp8_e4m3", "fp4", "nvfp4"})
_EIGHT_BIT_FLOATS = frozenset({"mxfp8_e4m3", "fp8_e4m3"})
_OWN_GROUPS = {"mxfp4": 32, "mxfp8_e4m3": 32, "nvfp4": 16}


def _other_group(step: Any) -> tuple[str, ...]:
    own = _OWN_GROUPS.get(step.mode)
    return _if(own and step.group_size not in {None, own}, "group_size")


def _method_off(step: Any) -> Iterator[str]:
    for method in _METHODS:
        if not getattr(step, method) and step.mode != "auto":
            yield from given(step, [f"advanced.{method}_params"])


def _never_adjusted(step: Any) -> Iterator[str]:
    """Yield the smallest size of groups that are not adjusted; what auto finds may adjust them."""
    adjusts = {"adjust", "error"} if step.mode == "auto" else {"adjust"}
    if step.group_size_fallback not in adjusts:
        yield from given(step, ["advanced.min_adjusted_group_size"])


COMPRESS = (
    Rule(
        lambda step: given(step, _OF_AUTO) if step.mode == "auto" else (),
        "mode auto brings its own; name a mode to set them",
    ),
    Rule(
        lambda step: _if(step.known_as is not None and step.mode != "auto", "known_as"),
        "it says whose configuration mode auto takes; set mode to auto, or leave it out",
    ),
    Rule(
        lambda step: given(step, _BELOW_EIGHT_BITS) if step.mode.startswith("int8") else (),
        "these belong to the modes below 8 bits; int8 takes every layer, one group a channel",
    ),
    Rule(lambda step: _if(step.group_size == 0, "group_size"), "-1 is one group a channel, else at least 1"),
    Rule(
        lambda step: given(step, _METHODS) if step.mode in _WITHOUT_METHODS else (),
        f"these do not work on {', '.join(sorted(_WITHOUT_METHODS))}; leave them out, or take mode int4_sym, "
        "int4_asym, int3_sym, int2_sym, nf4 or cb4",
    ),
    Rule(
        lambda step: _if(step.mode == "cb4" and step.lora_correction, "lora_correction"),
        "it does not work on cb4; leave it out, or take mode int4_sym, int4_asym or nf4",
    ),
    Rule(
        lambda step: given(step, ["ratio"]) if step.mode in _EIGHT_BIT_FLOATS else (),
        "fp8_e4m3 and mxfp8_e4m3 are of 8 bits, so NNCF puts every layer into them; leave it out",
    ),
    Rule(
        lambda step: _if(
            step.group_size == -1 and step.group_size_fallback == "adjust", "group_size_fallback"
        ),
        "one group a channel fits every layer and is not adjusted; leave it out, or set a group_size",
    ),
    Rule(
        lambda step: _if(
            step.advanced.awq_params.alpha_min > step.advanced.awq_params.alpha_max,
            "advanced.awq_params.alpha_min",
            "advanced.awq_params.alpha_max",
        ),
        "the search goes from alpha_min up to alpha_max",
    ),
    Rule(_other_group, "mxfp4 and mxfp8_e4m3 have groups of 32 and nvfp4 of 16; leave it out"),
    Rule(
        lambda step: given(step, ["group_size_fallback"])
        if step.mode in _OWN_GROUPS and step.group_size_fallback == "adjust"
        else (),
        "the groups of mxfp4, mxfp8_e4m3 and nvfp4 have one size and are not adjusted; set error or ignore",
    ),
    Rule(
        lambda step: _if(step.gptq and step.lora_correction, "gptq", "lora_correction"),
        "they exclude each other; take one of them",
    ),
    Rule(
        lambda step: _if(step.sensitivity_metric and step.ratio in {None, 1}, "sensitivity_metric"),
        "it says which layers are the rest that ratio leaves; set ratio below 1, or leave it out",
    ),
    Rule(
        lambda step: () if step.needs_data else given(step, ("keep_statistics", "statistics")),
        "statistics are of activations: they belong to options that need calibration data (scale_estimation, "
        "gptq, lora_correction, a metric of activations)",
    ),
    Rule(
        _method_off,
        f"parameters of a method that is off; switch it on ({', '.join(_METHODS)}), or leave them out",
    ),
    Rule(
        lambda step: given(step, ["advanced.scale_estimation_params"]) if step.gptq else (),
        "with gptq scales are estimated with NNCF's own parameters; leave them out, or leave gptq out",
    ),
    Rule(
        _never_adjusted,
        "it belongs to group_size_fallback adjust; set that, or leave it out",
    ),
)  # fmt: skip


def _fp8(step: Any, *paths: str) -> Iterable[str]:
    return given(step, paths) if step.mode != "int8" else ()


def _odd_bits(step: Any) -> Iterator[str]:
    npu = step.target_device == "npu"
    allowed = {"weights": {2, 4} if npu else set(), "activations": {4} if npu else set()}
    for side, narrow in allowed.items():
        quantizer = getattr(step.advanced, f"{side}_quantization_params")
        if quantizer and quantizer.num_bits not in {None, 8, 16, *narrow}:
            yield f"advanced.{side}_quantization_params.num_bits"


QUANTIZE = (
    Rule(
        lambda step: _if(step.accuracy and step.mode != "int8", "accuracy"),
        "it belongs to mode int8; FP8 has no accuracy control",
    ),
    Rule(
        lambda step: _if(step.mode != "int8" and step.preset == "performance", "preset"),
        "FP8 has a preset of its own; leave it out, or take mode int8",
    ),
    Rule(
        lambda step: _if(step.mode != "int8" and step.target_device not in {"any", "cpu"}, "target_device"),
        "FP8 is made for any device alike; leave it out, or set any",
    ),
    Rule(
        lambda step: _if(
            step.mode != "int8" and step.advanced.overflow_fix not in {None, "disable"},
            "advanced.overflow_fix",
        ),
        "only sums of INT8 overflow; with FP8 leave it out",
    ),
    Rule(
        lambda step: _fp8(
            step,
            "advanced.quantize_outputs",
            "advanced.weights_quantization_params",
            "advanced.activations_quantization_params",
        ),
        "these are of INT8 quantizers; leave them out, or take mode int8",
    ),
    Rule(
        _odd_bits,
        "quantizers have 8 or 16 bits; for target_device npu weights may have 2 or 4 and activations 4. For "
        "narrow weights on other devices take a compress step (recipe int4)",
    ),
    Rule(
        lambda step: (
            given(step, ["advanced.bias_correction_params", "fast_bias_correction"])
            if step.advanced.disable_bias_correction
            else ()
        ),
        "advanced.disable_bias_correction switches off what these are for; leave one of both out",
    ),
    Rule(
        lambda step: given(step, ["advanced.bias_correction_params.apply_for_all_nodes"]),
        "NNCF corrects the nodes that have a bias, and refuses all nodes; leave it out",
    ),
    Rule(
        lambda step: given(step, ["advanced.smooth_quant_alphas"]) if step.model_type == "other" else (),
        "SmoothQuant is for transformers; set model_type to transformer or auto, or leave them out",
    ),
)


def _without_quantile(estimator: Any) -> Iterator[str]:
    for name in ("min", "max"):
        end = getattr(estimator, name)
        if end.statistics_type not in {"quantile", "abs_quantile"}:
            yield from (f"{name}.{field}" for field in given(end, ["quantile_outlier_prob"]))


def _half_a_histogram(estimator: Any) -> Iterator[str]:
    """A histogram makes both ends of a range, from values as they are, and has nothing to set."""
    ends = {name: getattr(estimator, name) for name in ("min", "max")}
    if any(end.statistics_type == "raw" or end.aggregator_type == "histogram" for end in ends.values()):
        for name, end in ends.items():
            if (end.statistics_type, end.aggregator_type) != ("raw", "histogram"):
                yield name
            yield from (f"{name}.{field}" for field in given(end, ["quantile_outlier_prob"]))


RANGE = (
    Rule(
        _half_a_histogram,
        "raw and histogram go together and make both ends: min and max are both {statistics_type: raw, "
        "aggregator_type: histogram}; set both so, or neither",
    ),
    Rule(
        _without_quantile,
        "it says which quantile: set statistics_type to quantile or abs_quantile, or leave it out",
    ),
    Rule(
        lambda estimator: (*given(estimator, ["min.clipping_value", "max.clipping_value"]),),
        "NNCF names it and does nothing with it; leave it out",
    ),
)
