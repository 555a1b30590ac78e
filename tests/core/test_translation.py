"""Old recipes as they stand in tutorials, and what the farm makes of them."""

import json
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ovfarm.errors import InvalidInput
from ovfarm.recipes import Kind, Quantize
from ovfarm.translation import translate

NNCF = """{
    // as the repositories of examples have it
    "model": "resnet50", "input_info": {"sample_size": [1, 3, 224, 224]},
    "compression": {
        "algorithm": "quantization", "preset": "mixed", "target_device": "VPU",
        "initializer": {"range": {"num_init_samples": 500, "type": "threesigma"},
                        "batchnorm_adaptation": {"num_bn_adaptation_samples": 100}},
        "ignored_scopes": ["ResNet/Linear[fc]", "{re}.*layer4.*"],
        "weights": {"mode": "symmetric", "per_channel": true, "bits": 8}, "activations": {"bits": 4},
        "overflow_fix": "disable"
    }
}"""
# The same for the readers of YAML, with what is rarer: NNCFConfig.from_json("config.yaml") of old tutorials.
NNCF_YAML = """
model: bert
target_device: CPU
ignored_scopes: ["{re}.*pooler.*"]
batch_size: 32
compression:
  - algorithm: quantization
    quantize_inputs: true
    quantize_outputs: true
    scope_overrides: {activations: {"{re}.*add.*": {mode: asymmetric}}}
    target_scopes: ["{re}.*encoder.*"]
    export_to_onnx_standard_ops: false
    initializer: {precision: {type: hawq}, range: [{num_init_samples: 100, type: mean_min_max}]}
    activations: {mode: asymmetric, signed: false, ignored_scopes: [x]}
    params: {activations_quant_start_epoch: 1}
accuracy_aware_training:
  mode: adaptive_compression_level
  params: {maximal_absolute_accuracy_degradation: 2, initial_training_phase_epochs: 5}
"""
POT = """
model: {model_name: m, model: m.xml, weights: m.bin}
engine: {config: accuracy.yml}
compression:
  target_device: GPU
  model_type: Transformer
  inplace_statistics: false
  dump_intermediate_model: true
  algorithms:
    - name: AccuracyAwareQuantization
      params:
        preset: performance
        stat_subset_size: 250
        stat_batch_size: 8
        use_fast_bias: false
        saturation_fix: first_layer
        maximal_drop: 0.02
        max_iter_num: 7
        ranking_subset_size: 50
        tune_hyperparams: true
        use_layerwise_tuning: true
        ignored: {scope: [conv1], operations: [{type: Add, attributes: {axis: 1}}]}
        weights: {bits: 8, mode: symmetric, granularity: perchannel, level_low: -127,
                  range_estimator: {max: {type: quantile, outlier_prob: 0.001}}}
        activations: {mode: asymmetric, granularity: pertensor,
                      range_estimator: {preset: quantile,
                                        min: {type: min, aggregator: mean, clipping_value: 0}}}
"""


def quantize(text: str) -> Quantize:
    recipe = translate(text).recipe
    assert recipe is not None
    assert [step.kind for step in recipe.steps].count(Kind.QUANTIZE) == 1
    return next(step for step in recipe.steps if isinstance(step, Quantize))


def test_an_nncf_configuration_becomes_a_recipe() -> None:
    step = quantize(NNCF)
    assert (step.preset, step.target_device, step.subset_size) == ("mixed", "npu", 500)
    assert step.ignored_scope.names == ("ResNet/Linear[fc]",)
    assert step.ignored_scope.patterns == (".*layer4.*",)
    assert step.advanced.overflow_fix == "disable"
    weights = step.advanced.weights_quantization_params
    assert weights is not None
    assert (weights.mode, weights.per_channel, weights.num_bits) == ("symmetric", True, 8)
    said = " | ".join(translate(NNCF).notes)
    for words in (
        "threesigma",
        "batch_norm_adaptation",
        "names of its own",
        "activations of 4 bits",
        "calibration",
    ):
        assert words in said


def test_a_configuration_in_yaml_is_read_to_its_last_line() -> None:
    step = quantize(NNCF_YAML)
    assert (step.target_device, step.subset_size) == ("cpu", 100)
    assert step.ignored_scope.patterns == (".*pooler.*",)
    assert step.advanced.quantize_outputs
    activations = step.advanced.activations_quantization_params
    assert activations is not None
    assert (activations.mode, activations.signedness_to_force) == ("asymmetric", False)
    assert step.accuracy is not None
    assert (step.accuracy.max_drop, step.accuracy.drop_type) == (0.02, "absolute")
    said = " | ".join(translate(NNCF_YAML).notes)
    for words in (
        "left out: compression.scope_overrides, compression.target_scopes: name what stays",
        "compression.quantize_inputs=True: inputs are quantized",
        "compression.initializer.precision: bits are not searched for",
        "compression.activations.ignored_scopes: nothing of today's does the same",
        "batch_size",
        "accuracy_aware_training.params.initial_training_phase_epochs",
    ):
        assert words in said


def test_a_pot_configuration_becomes_a_recipe() -> None:
    step = quantize(POT)
    assert (step.preset, step.subset_size, step.model_type) == ("performance", 250, "transformer")
    assert (step.target_device, step.fast_bias_correction) == ("gpu", False)
    assert step.accuracy is not None
    assert (step.accuracy.max_drop, step.accuracy.drop_type) == (0.02, "absolute")
    assert (step.accuracy.max_num_iterations, step.accuracy.ranking_subset_size) == (7, 50)
    assert step.accuracy.tune_hyperparams
    assert (step.ignored_scope.names, step.ignored_scope.types) == (("conv1",), ("Add",))
    finer = step.advanced
    assert (finer.overflow_fix, finer.inplace_statistics) == ("first_layer_only", False)
    weights, activations = finer.weights_quantization_params, finer.activations_quantization_params
    assert weights is not None
    assert activations is not None
    assert (weights.num_bits, weights.mode, weights.per_channel) == (8, "symmetric", True)
    assert (activations.mode, activations.per_channel) == ("asymmetric", False)
    assert finer.weights_range_estimator_params.max.statistics_type == "quantile"
    assert finer.weights_range_estimator_params.max.quantile_outlier_prob == 0.001
    assert finer.activations_range_estimator_params.min.aggregator_type == "mean"
    said = " | ".join(translate(POT).notes)
    prefix = "compression.algorithms.params"
    for words in (
        "left out: model, engine: the job names its model and its data",
        f"{prefix}.stat_batch_size=8: statistics are collected row by row",
        f"{prefix}.ignored.operations.attributes: ",
        f"{prefix}.weights.level_low=-127: ",
        f"{prefix}.activations.range_estimator.preset=quantile: set min and max",
        "compression.dump_intermediate_model",
    ):
        assert words in said


def places(found: Any, path: str = "") -> Iterator[tuple[Any, str]]:
    """Yield each section of a configuration, with its path as the notes write it."""
    if isinstance(found, dict):
        yield found, path
        for name, inner in found.items():
            yield from places(inner, f"{path}.{name}" if path else str(name))
    for number, inner in enumerate(found if isinstance(found, list) else ()):
        yield from places(inner, f"{path}[{number}]" if number else path)


@given(st.sampled_from([NNCF_YAML, POT]), st.data(), st.text("abcdefgh_", min_size=9, max_size=12))
def test_whatever_nobody_reads_is_named(text: str, data: st.DataObject, name: str) -> None:
    """A key that no translation knows, at any place, is in the notes: itself, or what it lies in."""
    config = deepcopy(yaml.safe_load(text))
    section, path = data.draw(st.sampled_from(list(places(config))))
    section[name] = data.draw(
        st.one_of(st.integers(), st.just({"deep": [1]}), st.none(), st.text(max_size=3))
    )
    words = {
        word.partition("=")[0]
        for note in translate(json.dumps(config)).notes
        for word in note.replace(":", ",").split(", ")
    }
    whole = f"{path}.{name}" if path else name
    parts = whole.split(".")
    assert words & {".".join(parts[: end + 1]) for end in range(len(parts))}, whole


@pytest.mark.parametrize("text", [NNCF_YAML, POT])
def test_every_line_of_a_configuration_matters(text: str) -> None:
    """Without any one of its keys, another recipe comes of it, or other notes."""
    config = yaml.safe_load(text)
    whole = translate(text)
    for number, (section, path) in enumerate(places(config)):
        for name in section:
            without = deepcopy(config)
            del [each for each, _ in places(without)][number][name]
            try:
                found = translate(json.dumps(without))
            except InvalidInput:
                continue
            inside = any(f"{path}.".startswith(f"{p}.") for p in named(whole.notes))
            assert found != whole or inside or (path, name) in AS_TODAY, (path, name)


def named(notes: tuple[str, ...]) -> list[str]:
    return [
        path for note in notes if note.startswith("left out: ") for path in note.split(": ")[1].split(", ")
    ]


# What says what is so today without it: a default that was written out.
AS_TODAY = {
    ("compression.initializer.range", "type"),
}


def test_a_value_that_means_nothing_is_named() -> None:
    odd = POT.replace("perchannel", "perhaps").replace("first_layer", "last_layer").replace("GPU", "FPGA")
    step, notes = quantize(odd), " | ".join(translate(odd).notes)
    assert step.target_device == "any"
    assert step.advanced.overflow_fix is None
    for words in ("weights.granularity=perhaps", "saturation_fix=last_layer", "'FPGA' is unknown"):
        assert words in notes


def test_accuracy_aware_training_becomes_accuracy_control() -> None:
    config = {
        "compression": [{"algorithm": "quantization"}, {"algorithm": "magnitude_sparsity"}],
        "accuracy_aware_training": {
            "mode": "early_exit", "params": {"maximal_relative_accuracy_degradation": 1},
        },
    }  # fmt: skip
    step = quantize(json.dumps(config))
    assert step.accuracy is not None
    assert (step.accuracy.max_drop, step.accuracy.drop_type) == (0.01, "relative")
    said = " | ".join(translate(json.dumps(config)).notes)
    assert "neither smaller nor faster" in said
    assert "a relative drop of 1 per cent is max_drop 0.01" in said


@pytest.mark.parametrize(
    "algorithm",
    ["filter_pruning", "magnitude_sparsity", "knowledge_distillation", "binarization", "frobnication"],
)
def test_what_has_no_equal_is_said_and_makes_no_recipe(algorithm: str) -> None:
    with pytest.raises(InvalidInput, match=f"nothing of this configuration becomes a recipe: {algorithm}: "):
        translate(json.dumps({"compression": {"algorithm": algorithm}}))


@pytest.mark.parametrize(
    "text",
    ["", "print('hello')", "{}", "[1, 2", '{"compression": 7}', '{"compression": ["x"]}',
     "compression: {algorithm: {a: b}, x",
     '{"compression": {"algorithm": "quantization", "preset": "fastest"}}',
     '{"compression": {"algorithm": "quantization", "initializer": [1]}}'],
)  # fmt: skip
def test_nonsense_is_a_users_mistake(text: str) -> None:
    with pytest.raises(InvalidInput):
        translate(text)
