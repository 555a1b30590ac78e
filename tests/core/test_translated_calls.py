"""What still works in Python becomes a recipe: configurations of optimum-intel, and the two calls of NNCF."""

import json
from typing import Any

import pytest

from ovfarm.errors import InvalidInput
from ovfarm.recipes import Compress, Kind, Quantize
from ovfarm.translation import translate

# As OVWeightQuantizationConfig(bits=4, ratio=0.8, quant_method="awq", ...).to_dict() writes it.
WEIGHTS: dict[str, Any] = {
    "num_samples": 64, "_dataset_kwargs": {}, "dataset": "wikitext2", "tokenizer": None, "processor": None,
    "ignored_scope": {"types": ["Convolution"], "validate": False}, "bits": 4, "sym": False,
    "group_size": 64, "ratio": 0.8, "all_layers": None, "sensitivity_metric": "max_activation_variance",
    "quant_method": "awq", "scale_estimation": True, "gptq": None, "lora_correction": None,
    "backup_precision": "int8_sym", "dtype": "int4", "statistics_path": None,
    "group_size_fallback": "adjust", "dq_group_size": 32,
}  # fmt: skip
# As OVQuantizationConfig(dataset="wikitext2").to_dict() writes it.
FULL: dict[str, Any] = {
    "num_samples": None, "_dataset_kwargs": {}, "dataset": "wikitext2", "tokenizer": None, "processor": None,
    "ignored_scope": None, "bits": 8, "sym": False, "model_type": "transformer",
    "fast_bias_correction": True, "overflow_fix": "disable", "smooth_quant_alpha": None, "dtype": "int8",
}  # fmt: skip
AS_WEIGHTS = Compress(
    mode="int4_asym", ratio=0.8, group_size=64, group_size_fallback="adjust", awq=True, scale_estimation=True,
    sensitivity_metric="max_activation_variance", backup_mode="int8_sym", subset_size=64,
    ignored_scope={"types": ("Convolution",), "validate": False},
)  # fmt: skip


def compress(text: str) -> Compress:
    recipe = translate(text).recipe
    assert recipe is not None
    return next(step for step in recipe.steps if isinstance(step, Compress))


def quantize(text: str) -> Quantize:
    recipe = translate(text).recipe
    assert recipe is not None
    return next(step for step in recipe.steps if isinstance(step, Quantize))


def said(text: str) -> str:
    return " | ".join(translate(text).notes)


@pytest.mark.parametrize(
    "file", [WEIGHTS, {"quantization_config": WEIGHTS, "compression": None, "dtype": "int4"}]
)
def test_a_configuration_of_weights_becomes_a_recipe(file: dict[str, Any]) -> None:
    text = json.dumps(file)
    assert compress(text) == AS_WEIGHTS
    assert "left out: dataset=wikitext2: the job names its model and its data" in said(text)
    assert "left out: dq_group_size=32: it belongs to the runtime" in said(text)
    assert "scale_estimation: it needs calibration data" in said(text)


def test_a_call_of_optimum_intel_is_read_like_its_configuration() -> None:
    words = ", ".join(f"{name}={value!r}" for name, value in WEIGHTS.items())
    assert compress(f"c = optimum.intel.OVWeightQuantizationConfig({words})") == AS_WEIGHTS


@pytest.mark.parametrize(
    ("given", "mode"),
    [
        ("", "int8_asym"), ("bits=8", "int8_asym"), ("bits=8, sym=True, ratio=1.0", "int8_sym"),
        ("bits=4", "int4_asym"), ("bits=4, sym=True", "int4_sym"), ("dtype='nf4', bits=4", "nf4"),
        ("weight_format='int4'", "int4_asym"),
    ],
)  # fmt: skip
def test_the_mode_is_that_of_optimum_intel(given: str, mode: str) -> None:
    text = f"OVWeightQuantizationConfig({given})"
    assert compress(text) == Compress.model_validate({"mode": mode})
    assert "left out" not in said(text)


def test_quantization_of_all_keeps_the_defaults_of_optimum_intel() -> None:
    step = quantize(json.dumps(FULL))
    assert (step.preset, step.subset_size, step.model_type) == ("mixed", 128, "transformer")
    assert step.advanced.overflow_fix == "disable"
    assert quantize("OVQuantizationConfig(dataset='wikitext2')") == step
    finer = quantize(
        "OVQuantizationConfig(sym=True, num_samples=10, smooth_quant_alpha=0.6, overflow_fix='enable')"
    )
    assert (finer.preset, finer.subset_size, finer.advanced.overflow_fix) == ("performance", 10, "enable")
    assert finer.advanced.smooth_quant_alphas.matmul == 0.6
    assert quantize("OVQuantizationConfig(dtype='f8e4m3')").mode == "fp8_e4m3"


def test_a_plain_call_of_compress_weights_becomes_a_recipe() -> None:
    text = """
import nncf
!pip install nncf
model = nncf.compress_weights(
    model, mode=nncf.CompressWeightsMode.INT4_ASYM, ratio=0.8, group_size=64, awq=True, gptq=None,
    sensitivity_metric=nncf.SensitivityMetric.MAX_ACTIVATION_VARIANCE, all_layers=args.all_layers,
    ignored_scope=nncf.IgnoredScope(types=["Convolution"], validate=False), dataset=nncf.Dataset(rows),
    scale_estimation=True, backup_mode=nncf.BackupMode.INT8_SYM, subset_size=64,
    advanced_parameters=nncf.AdvancedCompressionParameters(group_size_fallback_mode=mode),
)
"""
    assert compress(text) == AS_WEIGHTS.model_copy(update={"group_size_fallback": "error"})
    for words in (
        "left out: all_layers=args.all_layers: the program works it out: set it in the recipe",
        "advanced_parameters: set what it says under advanced",
        "model=model, dataset=nncf.Dataset(rows): the job names its model and its data",
        "the recipe is that of compress_weights",
    ):
        assert words in said(text)
    assert compress("nncf.compress_weights(m)\nx = '\\d'") == Compress()
    assert compress("nncf.compress_weights(m, nncf.CompressWeightsMode.INT4_SYM)").mode == "int4_sym"
    assert compress("compress_weights(m, mode=CompressWeightsMode.INT8)").mode == "int8_asym"


def test_a_call_of_quantize_becomes_a_recipe() -> None:
    text = "q = nncf.quantize(m, d, preset=nncf.QuantizationPreset.PERFORMANCE, subset_size=100)"
    step = quantize(text)
    assert (step.preset, step.subset_size, step.model_type) == ("performance", 100, "auto")
    assert quantize("nncf.quantize(m, d, model_type=nncf.ModelType.TRANSFORMER)").preset == "auto"
    fp8 = quantize("nncf.quantize(m, d, mode=nncf.QuantizationMode.FP8_E4M3)")
    assert fp8.mode == "fp8_e4m3"
    text = """
from nncf import quantize_with_accuracy_control
quantize_with_accuracy_control(m, calibration_dataset=c, validation_dataset=v, validation_fn=f, max_drop=0.02,
    drop_type=nncf.DropType.RELATIVE, advanced_quantization_parameters=p)
"""
    control = quantize(text).accuracy
    assert control is not None
    assert (control.max_drop, control.drop_type) == (0.02, "relative")
    assert "advanced_quantization_parameters=p: set what it says under advanced" in said(text)


def test_a_program_says_what_is_gone_and_what_its_recipe_is() -> None:
    text = "from openvino.tools import mo\nif x:\n  f(g(OVModel.from_pretrained(m, load_in_8bit=True)))\n"
    text += "nncf.compress_weights(m)"
    found = translate(text)
    assert found.recipe is not None
    assert [step.kind for step in found.recipe.steps][1] is Kind.COMPRESS
    assert " is gone: openvino.convert_model" in found.notes[0]
    assert "the recipe is that of load_in_8bit" in said(text)
    assert "the first call was taken, and not compress_weights" in said(text)


@pytest.mark.parametrize(
    "text",
    [
        "model.quantize(m, d)", "quantize(m)", "f(load_in_8bit=False)", "f(load_in_8bit=flag)",
        json.dumps({"quantization_config": {"quant_method": "bitsandbytes", "bits": 4}}), "compress_weights",
        json.dumps({"quantization_config": {"quant_method": "awq", "version": "gemm", "bits": 4}}),
        json.dumps({"bits": 4, "quant_method": "gptq"}), '{"compression": null}', "def f(:",
    ],
)  # fmt: skip
def test_what_is_of_others_is_left_alone(text: str) -> None:
    with pytest.raises(InvalidInput, match="neither"):
        translate(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"bits": 4, "dtype": "int9"}', "mode: Input should be"),
        ('{"bits": 4, "ratio": "much"}', "not of the known form"),
        ('{"bits": 4, "gptq": true, "lora_correction": true}', "lora_correction"),
        ('{"quantization_config": {"quantization_configs": {}}}', "several configurations"),
        ("nncf.compress_weights(m, ratio=" + "a+" * 1200 + "a)", "not of the known form"),
    ],
)
def test_what_no_recipe_takes_is_a_users_mistake(text: str, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        translate(text)


def test_what_belongs_to_other_modes_is_named() -> None:
    text = "OVWeightQuantizationConfig(bits=8, ratio=0.5, gptq=True)"
    assert compress(text) == Compress()
    assert "left out: ratio=0.5, gptq=True: it is for fewer than 8 bits" in said(text)
    asked = {"bits": 4, "sensitivity_metric": "weight_quantization_error", "quant_method": "hybrid"}
    text = json.dumps(asked)
    assert compress(text) == Compress(mode="int4_asym")
    assert "nothing is ranked unless ratio is below 1" in said(text)
    assert "hybrid is quantize and compress" in said(text)
