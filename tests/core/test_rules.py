"""What does not go together is refused before the job; what goes together is taken."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import pytest
from pydantic import JsonValue, TypeAdapter, ValidationError

from ovfarm import rules
from ovfarm.errors import InvalidInput
from ovfarm.jobs import DataRef, JobData, JobSpec
from ovfarm.presets import PRESETS
from ovfarm.recipes import Compress, Convert, Quantize, Recipe, StepParams
from ovfarm.resolution import resolve
from ovfarm.shapes import READ_BACK
from ovfarm.tuning import RangeEstimator

STEP: TypeAdapter[StepParams] = TypeAdapter(StepParams)
HISTOGRAM = {"statistics_type": "raw", "aggregator_type": "histogram"}
INT4 = {"kind": "compress", "mode": "int4_sym"}
FP8 = {"kind": "quantize", "mode": "fp8_e4m3"}
INT8 = {"kind": "quantize"}
Fields = Mapping[str, Any]


def bits(side: str, number: int, device: str = "any") -> Fields:
    return {
        **INT8,
        "target_device": device,
        "advanced": {f"{side}_quantization_params": {"num_bits": number}},
    }


def prepared(**steps: Any) -> Fields:
    return {"kind": "convert", "preprocessing": {"x": steps}}


def estimated(**ends: Fields) -> Fields:
    return {**INT8, "advanced": {"activations_range_estimator_params": ends}}


REFUSED: Sequence[tuple[Fields, str]] = (
    *(
        ({"kind": "compress", "mode": mode, method: True}, f"{method}: these do not work on .*int4_sym")
        for mode in ("mxfp4", "mxfp8_e4m3", "fp8_e4m3", "fp4", "nvfp4")
        for method in ("awq", "scale_estimation", "gptq", "lora_correction")
    ),
    ({**INT4, "mode": "cb4", "lora_correction": True}, "lora_correction: it does not work on cb4"),
    ({**INT4, "mode": "mxfp4", "group_size": 64}, "group_size: mxfp4 and mxfp8_e4m3 have groups of 32"),
    ({**INT4, "mode": "mxfp8_e4m3", "group_size": -1}, "groups of 32 and nvfp4 of 16"),
    ({**INT4, "mode": "nvfp4", "group_size": 32}, "nvfp4 of 16; leave it out"),
    *(
        ({**INT4, "mode": mode, "group_size_fallback": "adjust"}, "group_size_fallback: .*error or ignore")
        for mode in ("mxfp4", "mxfp8_e4m3", "nvfp4")
    ),
    *(
        ({**INT4, "mode": mode, "ratio": 0.5}, "ratio: fp8_e4m3 and mxfp8_e4m3 are of 8 bits")
        for mode in ("fp8_e4m3", "mxfp8_e4m3")
    ),
    ({**INT4, "group_size": -1, "group_size_fallback": "adjust"}, "group_size_fallback: one group a channel"),
    (
        {**INT4, "awq": True, "advanced": {"awq_params": {"alpha_min": 0.9, "alpha_max": 0.1}}},
        "awq_params.alpha_min, advanced.awq_params.alpha_max: the search goes",
    ),
    (estimated(max={"quantile_outlier_prob": 0.1}), "max.quantile_outlier_prob: it says which quantile"),
    ({**INT4, "gptq": True, "lora_correction": True}, "gptq, lora_correction: they exclude each other"),
    ({**INT4, "group_size": 0}, "group_size: -1 is one group a channel"),
    ({**INT4, "known_as": "org/name"}, "known_as: .*set mode to auto, or leave it out"),
    ({"kind": "compress", "mode": "auto", "ratio": 0.5, "awq": True}, "ratio, awq: mode auto brings its own"),
    ({"kind": "compress", "group_size_fallback": "adjust"}, "group_size_fallback: .*modes below 8 bits"),
    ({"kind": "compress", "advanced": {"awq_params": {"steps": 3}}}, "advanced: .*modes below 8 bits"),
    ({"kind": "compress", "all_layers": False}, "all_layers: .*modes below 8 bits"),
    *(
        ({**INT4, "advanced": {f"{method}_params": {"subset_size": 3}}}, f"{method}_params: .*is off")
        for method in ("awq", "scale_estimation", "gptq", "lora_correction")
    ),
    (
        {
            **INT4, "gptq": True, "scale_estimation": True,
            "advanced": {"scale_estimation_params": {"subset_size": 3}},
        },
        "advanced.scale_estimation_params: with gptq",
    ),
    ({**INT4, "advanced": {"min_adjusted_group_size": 4}}, "min_adjusted_group_size: .*fallback adjust"),
    ({**INT4, "sensitivity_metric": "max_activation_variance"}, "sensitivity_metric: .*set ratio below 1"),
    ({**INT4, "sensitivity_metric": "max_activation_variance", "ratio": 1}, "set ratio below 1"),
    ({**INT4, "keep_statistics": True}, "keep_statistics: .*need calibration data"),
    ({**INT4, "awq": True, "statistics": "first"}, "statistics: .*need calibration data"),
    *(({**FP8, "target_device": device}, "target_device: FP8") for device in ("gpu", "npu", "cpu_spr")),
    *(
        ({**FP8, "advanced": {"overflow_fix": fix}}, "advanced.overflow_fix: ")
        for fix in ("enable", "first_layer_only")
    ),
    ({**FP8, "advanced": {"quantize_outputs": True}}, "advanced.quantize_outputs: "),
    ({**FP8, "advanced": {"weights_quantization_params": {}}}, "weights_quantization_params: "),
    ({**FP8, "advanced": {"activations_quantization_params": {}}}, "activations_quantization_params: "),
    ({**FP8, "preset": "performance"}, "preset: FP8 has a preset of its own"),
    ({**FP8, "accuracy": {}}, "accuracy: it belongs to mode int8"),
    *((bits("weights", number), "num_bits: .*8 or 16") for number in (2, 3, 4, 7)),
    *((bits("activations", number, "gpu"), "num_bits: .*8 or 16") for number in (2, 3, 4, 7)),
    (bits("weights", 3, "npu"), "num_bits: "),
    (bits("activations", 2, "npu"), "num_bits: .*weights may have 2 or 4 and activations 4"),
    (
        {**INT8, "advanced": {"bias_correction_params": {"apply_for_all_nodes": True}}},
        "apply_for_all_nodes: NNCF corrects the nodes that have a bias",
    ),
    (
        {**INT8, "fast_bias_correction": False, "advanced": {"disable_bias_correction": True}},
        "fast_bias_correction: advanced.disable_bias_correction",
    ),
    (
        {**INT8, "advanced": {"disable_bias_correction": True, "bias_correction_params": {"threshold": 3.0}}},
        "advanced.bias_correction_params: advanced.disable_bias_correction",
    ),
    (
        {**INT8, "model_type": "other", "advanced": {"smooth_quant_alphas": {"matmul": 0.5}}},
        "smooth_quant_alphas: SmoothQuant is for transformers",
    ),
    *(
        ({"kind": kind, "ignored_scope": {"patterns": ["fine", pattern]}}, "is no regular expression: ")
        for kind in ("quantize", "compress")
        for pattern in ("(", "[", "*a", "(?P<1>x)")
    ),
    (prepared(layout="NHWC"), "layout needs model_layout: the order that the model has, NCHW for most"),
    (prepared(model_layout="NHWC"), "model_layout needs layout: the order that the data has"),
    (prepared(layout="NHWC", model_layout="CHW"), "name the same dimensions"),
    (prepared(layout="NCHC", model_layout="NCHC"), "names each dimension once"),
    (prepared(scale=1e-300), "greater than or equal to"),
    (prepared(mean=1e300), "less than or equal to"),
    ({"kind": "convert", "shapes": {"x": [0, 3]}}, "greater than or equal to 1"),
    (estimated(min={"statistics_type": "raw"}), "min, max: raw and histogram go together"),
    (estimated(max={"aggregator_type": "histogram"}), "min, max: raw and histogram go together"),
    (estimated(min=HISTOGRAM), "max: raw and histogram go together"),
    (estimated(min=HISTOGRAM, max={**HISTOGRAM, "quantile_outlier_prob": 0.1}), "max.quantile_outlier_prob"),
    (estimated(min={"clipping_value": 1.0}), "min.clipping_value: NNCF names it and does nothing"),
)  # fmt: skip


@pytest.mark.parametrize(("asked", "words"), REFUSED)
def test_what_nncf_refuses_or_passes_over_is_refused_before_the_job(asked: Fields, words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        STEP.validate_python(asked)


@pytest.mark.parametrize(
    "asked",
    [
        {**INT4, "mode": "mxfp4", "group_size": 32, "group_size_fallback": "ignore"},
        {**INT4, "mode": "nvfp4", "group_size": 16, "ratio": 0.5},
        {**INT4, "mode": "cb4", "awq": True, "scale_estimation": True},
        {**INT4, "group_size": 8192},
        {**INT4, "ratio": 0.5, "sensitivity_metric": "max_activation_variance", "keep_statistics": True},
        {**INT4, "group_size_fallback": "adjust", "advanced": {"min_adjusted_group_size": 4}},
        {**FP8, "target_device": "cpu", "advanced": {"overflow_fix": "disable"}},
        {**FP8, "preset": "auto"},
        {
            "kind": "compress", "mode": "auto", "group_size_fallback": "adjust",
            "advanced": {"min_adjusted_group_size": 4, "awq_params": {"steps": 3}},
        },
        {**INT8, "preset": "auto", "advanced": {"smooth_quant_alphas": {"matmul": 0.5}}},
        bits("weights", 16),
        bits("activations", 16, "gpu"),
        bits("weights", 2, "npu"),
        bits("activations", 4, "npu"),
        estimated(min=HISTOGRAM, max=HISTOGRAM),
        estimated(max={"statistics_type": "quantile", "quantile_outlier_prob": 0.1}),
        prepared(layout="NHWC", model_layout="NHWC", mean=[1, 2, 3], scale=255),
        prepared(layout="N??C", model_layout="NC??"),
        prepared(mean=127),
        {**INT8, "ignored_scope": {"patterns": [".*attention.*"]}},
    ],
)  # fmt: skip
def test_what_goes_together_is_taken(asked: Fields) -> None:
    assert STEP.validate_python(asked)


def test_one_number_is_a_list_of_one() -> None:
    step = STEP.validate_python(prepared(mean=127, scale=255.0))
    assert isinstance(step, Convert)
    assert (step.preprocessing["x"].mean, step.preprocessing["x"].scale) == ((127.0,), (255.0,))


def test_a_stored_step_with_half_a_layout_is_read_back() -> None:
    old = prepared(layout="NHWC", mean=[1, 2, 3])
    assert STEP.validate_python(old, context=READ_BACK)


@pytest.mark.parametrize("table", [rules.COMPRESS, rules.QUANTIZE, rules.RANGE])
def test_no_rule_is_without_a_case(table: Sequence[rules.Rule]) -> None:
    words = []
    for asked, _ in REFUSED:
        with pytest.raises(ValidationError) as refused:
            STEP.validate_python(asked)
        words.append(refused.value.errors()[0]["msg"])
    assert [rule.words for rule in table if not any(word.endswith(rule.words) for word in words)] == []


def test_what_was_taken_before_can_be_read() -> None:
    old = {**FP8, "target_device": "gpu"}
    assert STEP.validate_python(old, context=READ_BACK)
    half = {"min": HISTOGRAM}
    assert RangeEstimator.model_validate(half, context=READ_BACK)


def spec(recipe: str, overrides: Mapping[str, JsonValue], targets: Sequence[str] = ("cpu",)) -> JobSpec:
    data = JobData(calibration=DataRef(dataset=UUID(int=2)))
    raw = {"model": UUID(int=1), "recipe": recipe, "data": data, "targets": targets}
    return JobSpec.model_validate(raw | {"overrides": overrides})


def one(recipe: Recipe, kind: type[StepParams]) -> Any:
    return next(step for step in recipe.steps if isinstance(step, kind))


@pytest.mark.parametrize("target", ["gpu", "npu"])
def test_fp8_leaves_the_target_device_alone(target: str) -> None:
    step = one(resolve(spec("int8", {"quantize.mode": "fp8_e4m3"}, [target])), Quantize)
    assert (step.mode, step.target_device) == ("fp8_e4m3", "any")
    with pytest.raises(InvalidInput, match="target_device: FP8"):
        resolve(spec("int8", {"quantize.mode": "fp8_e4m3", "quantize.target_device": target}))


def test_overrides_are_judged_together_and_in_any_order() -> None:
    asked: dict[str, JsonValue] = {
        "compress.mode": "mxfp4",
        "compress.awq": False,
        "compress.scale_estimation": False,
        "compress.group_size_fallback": "error",
    }
    for overrides in (asked, dict(reversed(asked.items()))):
        assert one(resolve(spec("int4-quality", overrides)), Compress).mode == "mxfp4"
    with pytest.raises(InvalidInput, match="scale_estimation: these do not work on") as refused:
        resolve(spec("int4-quality", {"compress.mode": "mxfp4", "compress.awq": False}))
    assert refused.value.pointer == "/overrides/compress.mode"


@pytest.mark.parametrize(
    ("overrides", "pointer"),
    [
        (
            {
                "compress.mode": "fp4",
                "benchmark.batch": 0,
                "compress.awq": False,
                "compress.scale_estimation": False,
            },
            "/overrides/benchmark.batch",
        ),
        ({"compress.ratio": 7, "compress.ratio.x": 1}, None),
        ({"compress.advanced": 7, "compress.advanced.gptq_params": {}}, None),
        ({"convert.shapes": 7, "convert.shapes.x": [1]}, None),
    ],
)
def test_an_override_is_refused_by_its_name_also_after_another(
    overrides: dict[str, JsonValue], pointer: str | None
) -> None:
    with pytest.raises(InvalidInput) as refused:
        resolve(spec("int4-quality", overrides))
    assert pointer is None or refused.value.pointer == pointer


def test_what_is_not_written_by_default_can_be_set() -> None:
    asked: dict[str, JsonValue] = {
        "compress.ignored_scope.names": ["a"],
        "compress.ignored_scope.validate": False,
    }
    recipe = resolve(spec("int4", asked))
    assert not one(recipe, Compress).ignored_scope.must_match
    assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe
    assert "validate" not in PRESETS["int4"].model_dump_json()


FIRST = Compress(name="first", mode="int4_asym", gptq=True, keep_statistics=True)


@pytest.mark.parametrize(
    ("second", "words"),
    [
        ({"model": None}, "'second' works on first, and the statistics of 'first' are of convert"),
        ({"subset_size": 64}, "are of 128 rows; set second.subset_size to 128"),
        ({}, None),
    ],
)
def test_statistics_are_of_the_same_model_and_rows(second: dict[str, Any], words: str | None) -> None:
    asked = {"name": "second", "model": "convert", "mode": "int4_sym", "gptq": True, "statistics": "first"}
    steps = (Convert(), FIRST, Compress.model_validate(asked | second))
    if words is None:
        assert Recipe(name="r", steps=steps)
        return
    with pytest.raises(ValidationError, match=words):
        Recipe(name="r", steps=steps)
