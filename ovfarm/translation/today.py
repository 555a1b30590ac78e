"""What still works in Python, as a step: configurations of optimum-intel, and the two calls of NNCF."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ovfarm.recipes import Kind
from ovfarm.translation.sections import Section, with_defaults

Given = dict[str, Any]
Made = tuple[Kind, Given]

_DATA = (
    "dataset", "tokenizer", "processor", "trust_remote_code", "_dataset_kwargs", "model",
    "calibration_dataset", "validation_dataset", "validation_fn",
)  # fmt: skip
_ADVANCED = (
    "advanced_parameters", "advanced_quantization_parameters", "advanced_accuracy_restorer_parameters",
)  # fmt: skip
_NARROW = "it is for fewer than 8 bits"
# Why a parameter is left out, by its name.
REASONS = {
    **dict.fromkeys(_DATA, "the job names its model and its data (--data), the model brings its tokenizer"),
    **dict.fromkeys(_ADVANCED, "set what it says under advanced"),
    **dict.fromkeys(
        ("group_size", "all_layers", "backup_mode", "backup_precision", "group_size_fallback"), _NARROW
    ),
    **dict.fromkeys(("ratio", "awq", "scale_estimation", "gptq", "lora_correction"), _NARROW),
    "sensitivity_metric": "nothing is ranked unless ratio is below 1",
    "quant_method": "of the methods awq is taken; hybrid is quantize and compress, each as a step of its own",
    "statistics_path": "keep_statistics and statistics stand for it",
    "dq_group_size": "it belongs to the runtime, where the model is served",
    "subset_size": "nothing is measured",
    "subgraphs": "patterns stand for it",
    "compression_format": "NNCF writes OpenVINO models in one format",
}  # fmt: skip
_BELOW_EIGHT_BITS = {
    name: name
    for name in (
        "ratio", "group_size", "group_size_fallback", "all_layers", "backup_mode", "awq",
        "scale_estimation", "gptq", "lora_correction",
    )
}  # fmt: skip
# What is the same as to say nothing.
_NEUTRAL = {"ratio": 1, "group_size": -1, "quant_method": "default"}


def worked_out(names: Iterable[str]) -> dict[str, str]:
    """Return why arguments are left out that a program works out when it runs."""
    words = "the program works it out: set it in the recipe"
    return {name: REASONS[name] if name in {*_DATA, *_ADVANCED} else words for name in names}


def section(raw: Mapping[str, Any]) -> Section:
    """Return what was said; None and empty sections say nothing."""
    return Section({name: value for name, value in raw.items() if value is not None and value != {}})


def configuration(asked: Section, notes: list[str]) -> Made:
    """Return the step of a configuration of optimum-intel, by what it has: of weights alone, or of all."""
    of_all = ("model_type", "fast_bias_correction", "overflow_fix", "smooth_quant_alpha", "activation_format")
    return (full if any(name in asked for name in of_all) else weights)(asked, notes)


def weights(asked: Section, notes: list[str]) -> Made:
    """Return the step of an ``OVWeightQuantizationConfig``."""
    bits, symmetric = asked.take("bits"), asked.take("sym")
    kind = str(asked.take("dtype") or asked.take("weight_format") or f"int{bits or 8}")
    mode = f"{kind}_{'sym' if symmetric else 'asym'}" if kind in {"int4", "int8"} else kind
    renamed = {"backup_precision": "backup_mode"}
    given = _compressed(asked, mode, renamed, samples="num_samples")
    if not mode.startswith("int8") and asked.take_as("quant_method", {"awq": True}):
        given["awq"] = True
    return _with_data(given, notes)


def compress_weights(asked: Section, notes: list[str]) -> Made:
    """Return the step of ``nncf.compress_weights``."""
    mode = {"int8": "int8_asym", "e2m1": "mxfp4"}.get(said := str(asked.take("mode") or "int8_asym"), said)
    return _with_data(_compressed(asked, mode, {}, samples="subset_size"), notes)


def _compressed(asked: Section, mode: str, renamed: dict[str, str], samples: str) -> Given:
    given: Given = {"mode": mode}
    if not mode.startswith("int8"):
        given |= {
            today: asked.take(old) for old, today in (_BELOW_EIGHT_BITS | renamed).items() if old in asked
        }
        if given.get("ratio", 1) < 1:
            given["sensitivity_metric"] = asked.take("sensitivity_metric")
    asked.take_neutral(_NEUTRAL)
    if scope := _scope(asked):
        given["ignored_scope"] = scope
    if samples in asked:
        given["subset_size"] = asked.take(samples)
    return given


def _with_data(given: Given, notes: list[str]) -> Made:
    looks = [name for name in ("scale_estimation", "gptq", "lora_correction") if given.get(name)]
    if looks:
        notes.append(f"{', '.join(looks)}: it needs calibration data, give --data")
    elif given.get("awq"):
        notes.append("AWQ goes by the weights alone unless there is calibration data (--data)")
    return Kind.COMPRESS, given


def full(asked: Section, notes: list[str]) -> Made:
    """Return the step of an ``OVQuantizationConfig``, whose defaults are others than the farm's."""
    asked.take("bits")
    kind = asked.take("dtype") or asked.take("activation_format")
    mode = {"f8e4m3": "fp8_e4m3", "f8e5m2": "fp8_e5m2"}.get(str(kind), "int8")
    symmetric, alpha, overflow = (asked.take(each) for each in ("sym", "smooth_quant_alpha", "overflow_fix"))
    advanced: Given = {"smooth_quant_alphas": {"matmul": alpha}} if alpha else {}
    given: Given = {
        "mode": mode,
        "subset_size": asked.take("num_samples"),
        "model_type": asked.take("model_type"),
        "ignored_scope": _scope(asked),
        "fast_bias_correction": asked.take("fast_bias_correction"),
    }
    with_defaults(given, {"subset_size": 128, "model_type": "transformer"}, "optimum-intel", notes)
    if mode == "int8":
        advanced["overflow_fix"] = overflow
        with_defaults(advanced, {"overflow_fix": "disable"}, "optimum-intel", notes)
        given["preset"] = "performance" if symmetric else "mixed"
    return Kind.QUANTIZE, {**given, "advanced": advanced or None}


def quantize(asked: Section, notes: list[str]) -> Made:
    """Return the step of ``nncf.quantize``, whose preset follows from the model unless it is given."""
    mode = asked.take("mode") or "int8"
    given: Given = {"mode": mode, "ignored_scope": _scope(asked)}
    for name in ("preset", "target_device", "subset_size", "fast_bias_correction", "model_type"):
        given[name] = asked.take(name)
    if mode == "int8":
        with_defaults(given, {"preset": "auto"}, "NNCF", notes)
    return Kind.QUANTIZE, given


def quantize_with_accuracy_control(asked: Section, notes: list[str]) -> Made:
    """Return the step of ``nncf.quantize_with_accuracy_control``."""
    control = {name: asked.take(name) for name in ("max_drop", "drop_type") if name in asked}
    kind, given = quantize(asked, notes)
    return kind, {**given, "accuracy": control}


def loaded_in_8bit(asked: Section, _: list[str]) -> Made:
    """Return what ``from_pretrained(…, load_in_8bit=True)`` does to the weights."""
    asked.finish()
    return Kind.COMPRESS, {"mode": "int8_asym"}


def _scope(asked: Section) -> Given | None:
    inner = asked.section("ignored_scope")
    found = {name: inner.take(name) for name in ("names", "patterns", "types", "validate") if name in inner}
    return found or None


CALLS: Mapping[str, Callable[[Section, list[str]], Made]] = {
    "OVWeightQuantizationConfig": weights,
    "OVQuantizationConfig": full,
    "compress_weights": compress_weights,
    "quantize": quantize,
    "quantize_with_accuracy_control": quantize_with_accuracy_control,
    "load_in_8bit": loaded_in_8bit,
}
