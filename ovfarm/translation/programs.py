"""Calls that tutorials still show: what is found in a program, and what to write today."""

import re
from collections.abc import Iterator

# The first words that match are shown as what was found.
GONE_CALLS: tuple[tuple[str, str], ...] = (
    (r"create_compressed_model", "nncf.quantize(model, nncf.Dataset(...)) and fine-tuning; here: recipe int8"),
    (r"NNCFConfig", "keyword arguments of nncf.quantize; here: ovfarm recipes translate CONFIG.json"),
    (r"quantize_with_tune_runner|nncf\.QuantizationConfig|nncf\.InputInfo", "nncf.quantize(model, nncf.Dataset(...)); here: recipe int8"),
    (r"CompressWeightsMode\.INT8\b", "CompressWeightsMode.INT8_ASYM; here: recipe int8-weights"),
    (r"CompressWeightsMode\.E2M1\b", "CompressWeightsMode.MXFP4 or FP4; here: --set compress.mode=mxfp4"),
    (r"nncf\.tensorflow", "quantize the OpenVINO IR; here: upload the SavedModel, recipe int8"),
    (r"openvino\.tools\.mo\b|from openvino\.tools import [^\n]*\bmo\b|\bmo\.convert_model|\bmo\s+--|mo\.py", "openvino.convert_model or ovc; here: upload the model, recipe fp16"),
    (r"openvino\.tools\.pot|\bpot\s+-", "nncf.quantize; here: recipe int8, or int8-accurate for AccuracyAware"),
    (r"openvino\.runtime|openvino\.inference_engine|\bIECore\b", "import openvino; core = openvino.Core()"),
    (r"accuracy_check\b|omz_\w+", "gone with openvino-dev; here: the evaluate step"),
    (r"openvino-dev|openvino\[(?:dev|tensorflow|pytorch|onnx)", "pip install openvino nncf: the extras are gone"),
    (r"OVTrainer|INCQuantizer|IPEXModel", "a training loop of your own and nncf.quantize, or OVQuantizer; here: recipe int8"),
    (r"[\"']VPU[\"']|MYRIAD", "device NPU; here: --target npu"),
    (r"pip install ovms", "the model server ships as an image and a binary, not as a package"),
    (r"whowhatbench|who_what_benchmark|\bwwb\b", "no package; here: the evaluate step compares with the reference"),
)  # fmt: skip
# What is still called so, and does not do what is expected of it.
WRONG_CALLS: tuple[tuple[str, str], ...] = (
    (r"read_model\(\s*[\"'](?![^\"'\n]*\.(?:xml|onnx|pb|pdmodel|tflite|blob)[\"'])[^\"'\n]*[\"']", "read_model takes a file: the .xml in the folder; here: upload the folder as it is"),
    (r"INFERENCE_NUM_THREADS[\"']?\s*[:=,]\s*[\"']AUTO", "whole numbers alone are taken: leave it out for all cores (NUM_STREAMS takes AUTO)"),
    (r"\bcompiled(?:_model)?\(\s*\[[^\]\n]*,", "a list is one value for each input, and no batch: numpy.stack the rows; here: benchmark.batch"),
    (r"INFERENCE_PRECISION_HINT[\"']?\s*[:=,]\s*[\"']?(?:f16|fp16|FP16|(?:ov\.)?Type\.f16)", "many CPUs take it and compute in bf16: read the property back; here: each measurement names its precision"),
    (r"OVConfig\([^)]{0,1000}?\bcompression\s*=", "it is taken and not used: quantization_config=OVQuantizationConfig(...); here: recipe int8"),
    (r"(?s)(?:ovms|model_server)(?!.*--rest_port).*?(?P<found>--port[ =]\d+)", "that is gRPC: requests by REST need --rest_port"),
)  # fmt: skip


def answers(text: str) -> Iterator[str]:
    """Yield a note for each call in a program that is gone, or does not do what it seems to."""
    for calls, verb in ((GONE_CALLS, "is gone"), (WRONG_CALLS, "does not do it")):
        for pattern, today in calls:
            if match := re.search(pattern, text):
                found = match.groupdict().get("found") or match.group()
                yield f"{found.strip()} {verb}: {today}"
