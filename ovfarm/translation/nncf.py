"""Configurations of NNCF as its repositories of examples have them, for training and after it."""

from typing import Any

from ovfarm.translation.sections import Section

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
    return {
        "preset": algorithm.take("preset"),
        "target_device": algorithm.take("target_device") or root.take("target_device"),
        "subset_size": _samples(algorithm.section("initializer")),
        "ignored_scope": _scope([algorithm.take("ignored_scopes"), root.take("ignored_scopes")], notes),
        "advanced": advanced or None,
    }


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


def accuracy(training: Section) -> dict[str, Any]:
    """Return accuracy control as accuracy-aware training had it; its shares were in percent."""
    asked = training.section("params")
    for key, kind in (
        ("maximal_relative_accuracy_degradation", "relative"),
        ("maximal_absolute_accuracy_degradation", "absolute"),
    ):
        if key in asked:
            return {"max_drop": float(asked.take(key)) / 100, "drop_type": kind}
    return {}
