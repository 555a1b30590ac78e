"""Old recipes as they stand in tutorials, and what the farm makes of them."""

import json

import pytest

from ovfarm.errors import InvalidInput
from ovfarm.recipes import Kind, Quantize
from ovfarm.translation import GONE_CALLS, translate

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
POT = """
model: {model_name: m, model: m.xml, weights: m.bin}
engine: {config: accuracy.yml}
compression:
  target_device: CPU
  algorithms:
    - name: AccuracyAwareQuantization
      params: {preset: performance, stat_subset_size: 300, maximal_drop: 0.02, model_type: Transformer,
               ignored: {scope: [conv1], operations: [{type: Add}]}}
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


def test_a_pot_configuration_becomes_a_recipe() -> None:
    step = quantize(POT)
    assert (step.preset, step.subset_size, step.model_type) == ("performance", 300, "transformer")
    assert step.accuracy is not None
    assert (step.accuracy.max_drop, step.accuracy.drop_type) == (0.02, "absolute")
    assert (step.ignored_scope.names, step.ignored_scope.types) == (("conv1",), ("Add",))


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
    assert "neither smaller nor faster" in translate(json.dumps(config)).notes[0]


@pytest.mark.parametrize(
    "algorithm",
    ["filter_pruning", "magnitude_sparsity", "knowledge_distillation", "binarization", "frobnication"],
)
def test_what_has_no_equal_is_said_and_makes_no_recipe(algorithm: str) -> None:
    found = translate(json.dumps({"compression": {"algorithm": algorithm}}))
    assert found.recipe is None
    assert found.notes[0].startswith(algorithm)


CALLS = (
    "from nncf.torch import create_compressed_model", "config = nncf.NNCFConfig.from_json('c.json')",
    "nncf.quantize_with_tune_runner(m)", "nncf.QuantizationConfig()", "nncf.InputInfo(shape)",
    "nncf.CompressWeightsMode.INT8", "import nncf.tensorflow", "from openvino.tools.mo import convert_model",
    "mo --input_model m.onnx --data_type FP16", "from openvino.tools.pot import Pipeline",
    "from openvino.runtime import Core", "from openvino.inference_engine import IECore",
    "accuracy_check -c a.yml", "omz_downloader --name x", "pip install openvino-dev",
    "pip install openvino[pytorch]", "OVTrainer(model)", "INCQuantizer.from_pretrained(m)", "IPEXModel",
    "compile_model(m, 'VPU')", "pip install ovms",
)  # fmt: skip


@pytest.mark.parametrize("call", CALLS)
def test_every_gone_call_is_answered(call: str) -> None:
    found = translate(f"import os\n{call}\nprint(1)\n")
    assert found.recipe is None
    assert all(" is gone: " in note for note in found.notes)


def test_every_answer_is_asked_for_by_a_test() -> None:
    said = {note.split(" is gone: ")[1] for call in CALLS for note in translate(call).notes}
    assert said == {today for _, today in GONE_CALLS}


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


def test_todays_calls_are_left_alone() -> None:
    with pytest.raises(InvalidInput, match="no call that is gone"):
        translate(
            "nncf.CompressWeightsMode.INT8_ASYM\nov.convert_model(m)\nov.Core().compile_model(m, 'NPU')"
        )
