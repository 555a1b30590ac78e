"""Configurations of the Post-training Optimization Tool (POT), which left OpenVINO with 2023."""

from typing import Any

from ovfarm.translation.sections import Section, with_defaults

ACCURACY_AWARE = "AccuracyAwareQuantization"
_QUANTIZER = {"bits": "num_bits", "mode": "mode"}
_SIDE = {
    "type": "statistics_type",
    "aggregator": "aggregator_type",
    "outlier_prob": "quantile_outlier_prob",
}
_PER_CHANNEL = {"perchannel": True, "pertensor": False}
_OVERFLOW = {"all": "enable", "first_layer": "first_layer_only", "no": "disable", "False": "disable"}
_CONTROL = {
    "maximal_drop": "max_drop",
    "drop_type": "drop_type",
    "max_iter_num": "max_num_iterations",
    "ranking_subset_size": "ranking_subset_size",
    "tune_hyperparams": "tune_hyperparams",
}
# "performance" (default); "the whole dataset is used if no parameter specified" (POT's README of
# DefaultQuantization): as many rows as a step may take.
_DEFAULTS = {"preset": "performance", "subset_size": 100_000}
_ENGINE = "the job names its model and its data"
_LEVELS = "the levels of a quantizer follow from its bits"
# Why a key is left out, by its name.
REASONS = {
    "model": _ENGINE,
    "engine": _ENGINE,
    "stat_batch_size": "statistics are collected row by row",
    "shuffle_data": "the first rows of the data are taken, so that the result is the same each time",
    "seed": "the first rows of the data are taken, so that the result is the same each time",
    "level_low": _LEVELS,
    "level_high": _LEVELS,
    "clipping_value": "NNCF names it and does nothing with it",
    "preset": "set min and max of advanced.activations_range_estimator_params",
    "attributes": "operations are ignored by name or by type, not by their attributes",
    "use_layerwise_tuning": "layers are tuned by accuracy control alone",
    "base_algorithm": "accuracy control starts from the quantization that it controls",
    "annotation_free": "the ladder compares with the model itself where there are no labels",
    "metrics": "accuracy is that of the top class",
    "metric_subset_ratio": "all evaluation data is judged by",
    "dump_intermediate_model": "each step keeps its model: ovfarm jobs download",
}


def quantization(name: str, params: Section, compression: Section, notes: list[str]) -> dict[str, Any]:
    """Return the parameters of a quantization; what is not read stays in the sections.

    Device, type of model and statistics in place may stand one level higher, for all algorithms.
    """
    kind = params.take("model_type") or compression.take("model_type")
    asked: dict[str, Any] = {
        "preset": _preset(params, notes),
        "target_device": params.take("target_device") or compression.take("target_device"),
        "subset_size": params.take("stat_subset_size"),
        "fast_bias_correction": params.take("use_fast_bias"),
        "model_type": _model_type(kind, notes),
        "ignored_scope": _scope(params.section("ignored")),
        "advanced": _advanced(params, compression) or None,
    }
    if name == ACCURACY_AWARE:
        control = {today: params.take(old) for old, today in _CONTROL.items()}
        asked["accuracy"] = {today: value for today, value in control.items() if value is not None}
    with_defaults(asked, _DEFAULTS, "POT", notes)
    return asked


def _preset(params: Section, notes: list[str]) -> object:
    preset = params.take("preset")
    if preset == "accuracy":
        notes.append(
            "preset accuracy had asymmetric weights as well; mixed is the nearest (else "
            "advanced.weights_quantization_params.mode=asymmetric, where the device can)"
        )
        return "mixed"
    return preset


def _model_type(kind: object, notes: list[str]) -> str | None:
    if kind is None or str(kind).lower() == "transformer":
        return None if kind is None else "transformer"
    notes.append(
        f"model_type {str(kind)[:60]!r} is unknown: whether it is a transformer is found out by itself"
    )
    return None


def _scope(ignored: Section) -> dict[str, list[str]] | None:
    types = [str(each.take("type")) for each in ignored.sections("operations")]
    names = ignored.take("scope") or []
    scope = {"names": [str(name) for name in (names if isinstance(names, list) else [names])], "types": types}
    return scope if any(scope.values()) else None


def _advanced(params: Section, compression: Section) -> dict[str, Any]:
    found: dict[str, Any] = {}
    in_place = [each.take("inplace_statistics") for each in (params, compression)]
    for value in in_place[::-1]:
        found |= {} if value is None else {"inplace_statistics": value}
    if overflow := params.take_as("saturation_fix", _OVERFLOW):
        found["overflow_fix"] = overflow
    for side in ("weights", "activations"):
        asked = params.section(side)
        if quantizer := _quantizer(asked):
            found[f"{side}_quantization_params"] = quantizer
        if ranges := _ranges(asked.section("range_estimator")):
            found[f"{side}_range_estimator_params"] = ranges
    return found


def _quantizer(asked: Section) -> dict[str, Any]:
    found = {today: asked.take(old) for old, today in _QUANTIZER.items() if old in asked}
    per_channel = asked.take_as("granularity", _PER_CHANNEL)
    return found if per_channel is None else {**found, "per_channel": per_channel}


def _ranges(asked: Section) -> dict[str, Any]:
    ends = {end: asked.section(end) for end in ("min", "max")}
    read = {
        end: {today: side.take(old) for old, today in _SIDE.items() if old in side}
        for end, side in ends.items()
    }
    return {end: side for end, side in read.items() if side}
