"""Calls as they stand in tutorials, and what is answered: each that is gone, each that never did it."""

import pytest

from ovfarm.errors import InvalidInput
from ovfarm.translation import translate
from ovfarm.translation.programs import GONE_CALLS, WRONG_CALLS

CALLS = (
    "from nncf.torch import create_compressed_model", "config = nncf.NNCFConfig.from_json('c.json')",
    "nncf.quantize_with_tune_runner(m)", "nncf.QuantizationConfig()", "nncf.InputInfo(shape)",
    "nncf.CompressWeightsMode.INT8", "import nncf.tensorflow", "from openvino.tools.mo import convert_model",
    "from openvino.tools import mo", "ir = mo.convert_model(m)", "from openvino.tools import pot, mo",
    "mo --input_model m.onnx --data_type FP16", "from openvino.tools.pot import Pipeline",
    "from openvino.runtime import Core", "from openvino.inference_engine import IECore",
    "accuracy_check -c a.yml", "omz_downloader --name x", "pip install openvino-dev",
    "pip install openvino[pytorch]", "OVTrainer(model)", "INCQuantizer.from_pretrained(m)", "IPEXModel",
    "compile_model(m, 'VPU')", "pip install ovms", "nncf.CompressWeightsMode.E2M1",
    "pip install whowhatbench", "wwb --base-model m",
)  # fmt: skip


@pytest.mark.parametrize("call", CALLS)
def test_every_gone_call_is_answered(call: str) -> None:
    found = translate(f"import os\n{call}\nprint(1)\n")
    assert found.recipe is None
    assert all(" is gone: " in note for note in found.notes)


def test_every_answer_is_asked_for_by_a_test() -> None:
    said = {note.split(" is gone: ")[1] for call in CALLS for note in translate(call).notes}
    assert said == {today for _, today in GONE_CALLS}


WRONG = (
    "core.read_model('models/dialogpt-openvino')", 'config = {"INFERENCE_NUM_THREADS": "AUTO"}',
    "compiled_model([t1, t2, t3])", '{"INFERENCE_PRECISION_HINT": "f16"}',
    "OVConfig(input_info=None, compression={'algorithm': 'quantization'})",
    "docker run openvino/model_server --model_name m --port 9000",
)  # fmt: skip


@pytest.mark.parametrize("call", WRONG)
def test_what_does_not_do_what_it_seems_to_is_answered(call: str) -> None:
    (note,) = translate(f"import os\n{call}\n").notes
    assert " does not do it: " in note


def test_every_wrong_call_is_asked_for_by_a_test() -> None:
    said = {translate(call).notes[0].split(" does not do it: ")[1] for call in WRONG}
    assert said == {today for _, today in WRONG_CALLS}


def test_todays_calls_are_left_alone() -> None:
    with pytest.raises(InvalidInput, match="no call that is gone"):
        translate(
            "nncf.CompressWeightsMode.INT8_ASYM\nov.convert_model(m)\nov.Core().compile_model(m, 'NPU')\n"
            "core.read_model('m/openvino_model.xml')\ncompiled_model([x])\n{'NUM_STREAMS': 'AUTO'}\n"
            "ovms --port 9000 --rest_port 9001\nmy_server --port 80\n{'INFERENCE_PRECISION_HINT': 'f32'}"
        )
