"""Configurations of NNCF as its repositories of examples have them, for training and after it."""

from typing import Any

from ovfarm.translation.sections import Section, with_defaults

_QUANTIZER = {
    "bits": "num_bits",
    "mode": "mode",
    "per_channel": "per_channel",
    "signed": "signedness_to_force",
}
_TRAINING = "it belongs to a training loop, in torch, before the model is exported"
_SCOPES = "name what stays in floating point with ignored_scope; all else is quantized"
_MODEL = "the job names the model, and its inputs are what they are (convert.shapes changes them)"
# Why a key is left out, by its name.
REASONS = {
    **dict.fromkeys(("model", "input_info", "pretrained", "model_name", "weights_path"), _MODEL),
    **dict.fromkeys(("target_scopes", "scope_overrides"), _SCOPES),
    **dict.fromkeys(
        (
            "params", "epochs", "optimizer", "batch_size", "batch_size_per_gpu", "num_classes", "dataset",
            "compression_lr_multiplier", "initial_training_phase_epochs", "mode", "criterion",
        ),
        _TRAINING,
    ),
    "quantize_inputs": "inputs are quantized wherever the next layer is",
    "learning_rate": _TRAINING,
    "export_to_onnx_standard_ops": "the result is OpenVINO IR",
    "logarithm_scale": _TRAINING,
    "unified_scale_ops": "NNCF finds by itself which quantizers share their scale",
    "precision": "bits are not searched for: set num_bits under advanced, or take the recipe ladder",
    "batchnorm_adaptation": "it is nncf.batch_norm_adaptation now, in torch, before the model is exported",
    "type": "set advanced.activations_range_estimator_params if the default is not enough",
    "range": "set advanced.activations_range_estimator_params if the default is not enough",
}  # fmt: skip
# QUANTIZATION_PRESET (nncf/common/quantization/defaults.py), and num_init_samples of NNCF 1 and 2.
_DEFAULTS = {"preset": "performance", "subset_size": 256}
# Where 8-bit sums may overflow, NNCF mended all layers unless told otherwise (QUANTIZATION_OVERFLOW_FIX), and
# mends the first one today.
_SUMS_OVERFLOW = frozenset({"ANY", "CPU"})
# In percent (NNCF's documentation of accuracy-aware training).
_RELATIVE_DROP = 1.0
# What the default of today does as well; another way is named.
_DEFAULT_RANGES = {"mean_min_max": None, "mixed_min_max": None}


def quantization(algorithm: Section, root: Section, notes: list[str]) -> dict[str, Any]:
    """Return the parameters of a quantization; what is not read stays in ``algorithm`` and ``root``."""
    advanced: dict[str, Any] = {}
    for side in ("weights", "activations"):
        if found := _quantizer(side, algorithm.section(side), notes):
            advanced[f"{side}_quantization_params"] = found
    if overflow := algorithm.take("overflow_fix"):
        advanced["overflow_fix"] = overflow
    if algorithm.take("quantize_outputs"):
        advanced["quantize_outputs"] = True
    device = algorithm.take("target_device") or root.take("target_device")
    if str(device or "ANY").upper() in _SUMS_OVERFLOW and not _other_bits(advanced):
        with_defaults(advanced, {"overflow_fix": "enable"}, "NNCF", notes)
    asked = {
        "preset": algorithm.take("preset"),
        "target_device": device,
        "subset_size": _samples(algorithm.section("initializer")),
        "ignored_scope": _scope([algorithm.take("ignored_scopes"), root.take("ignored_scopes")], notes),
        "advanced": advanced or None,
    }
    with_defaults(asked, _DEFAULTS, "NNCF", notes)
    return asked


def _other_bits(advanced: dict[str, Any]) -> bool:
    sides = (advanced.get(f"{side}_quantization_params", {}) for side in ("weights", "activations"))
    return any(side.get("num_bits", 8) != 8 for side in sides)


def _samples(initializer: Section) -> object:
    """Return how many samples ranges were found on."""
    listed = initializer.sections("range")
    samples = listed[0] if listed else Section({})
    samples.take_as("type", _DEFAULT_RANGES)
    return samples.take("num_init_samples")


def _quantizer(side: str, asked: Section, notes: list[str]) -> dict[str, Any]:
    found = {today: asked.take(key) for key, today in _QUANTIZER.items() if key in asked}
    if int(found.get("num_bits", 8)) < 8:
        bits = found.pop("num_bits")
        notes.append(f"{side} of {bits} bits: below 8 there is weight compression alone (recipe int4)")
    return found


def _scope(names: list[object], notes: list[str]) -> dict[str, list[str]] | None:
    """Return what is ignored, of the algorithm and of the whole configuration."""
    listed = [str(name) for each in names if each for name in (each if isinstance(each, list) else [each])]
    if not listed:
        return None
    notes.append(
        "ignored_scopes named torch modules; an OpenVINO model has names of its own: check ignored_scope"
    )
    patterns = [name.removeprefix("{re}") for name in listed if name.startswith("{re}")]
    return {"names": [name for name in listed if not name.startswith("{re}")], "patterns": patterns}


def accuracy(training: Section, notes: list[str]) -> dict[str, Any]:
    """Return accuracy control as accuracy-aware training had it.

    A relative drop was in percent, an absolute one in the metric's own numbers, which mostly were too.
    """
    asked = training.section("params")
    # Of two the absolute one counted.
    absolute = asked.take("maximal_absolute_accuracy_degradation")
    if absolute is None:
        relative = asked.take("maximal_relative_accuracy_degradation")
        percent = _RELATIVE_DROP if relative is None else float(relative)
        notes.append(f"a relative drop of {percent:g} per cent is max_drop {percent / 100:g} of today")
        return {"max_drop": percent / 100, "drop_type": "relative"}
    drop = float(absolute)
    words = f"an absolute drop of {drop:g} was read as per cent: max_drop {drop / 100:g}"
    told = f"; if the metric was from 0 to 1, set max_drop={drop:g}" if drop < 1 else ""
    notes.append(words + told)
    return {"max_drop": drop / 100, "drop_type": "absolute"}
