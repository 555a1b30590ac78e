"""The formats beside Hugging Face's own, each with the answers of what made it.

TensorFlow's and Paddle's were recorded where the fixtures were made (``ops/fixtures``); ONNX is computed
by its own reference evaluator, and the IR's two layers by numpy.
"""

import importlib
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import openvino as ov
from openvino import opset13 as ops

from tests.coverage.answers import Answers, Array, Asking, Case, Network
from tests.coverage.architectures import BY_NAME, build
from tests.coverage.originals import asked

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"
_RECORDED: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "tensorflow-saved-model": (
        "tensorflow",
        (
            "saved/saved_model.pb",
            "saved/variables/variables.index",
            "saved/variables/variables.data-00000-of-00001",
        ),
    ),
    "tensorflow-frozen-graph": ("tensorflow", ("frozen.pb",)),
    "tflite": ("tensorflow", ("network.tflite",)),
    "paddle": ("paddle", ("network.pdmodel", "network.pdiparams")),
}


@dataclass(frozen=True, slots=True)
class Format:
    """One format: its name, how the docs call it, and what makes a model of it."""

    name: str
    title: str
    make: Callable[[str, Path], Case]


def _case(name: str, folder: Path, rows: Array, said: Array) -> Case:
    return Case(name, "format", folder, {"y": said}, _plain(rows))


def _plain(rows: Array) -> Asking:
    """Return what asks a network of one input and one output, whatever their names."""

    def ask(package: Path) -> Answers:
        network = ov.Core().read_model(package / "model.xml")
        port, result = network.inputs[0].get_any_name(), network.outputs[0].get_any_name()
        return {"y": Network(package / "model.xml")(**{port: rows})[result]}

    return ask


def _recorded(name: str, folder: Path) -> Case:
    home, names = _RECORDED[name]
    for file in names:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(FIXTURES / home / file, folder / file)
    known = np.load(FIXTURES / home / "answers.npz", allow_pickle=False)
    return _case(name, folder, known["x"], known["y"])


def _layers() -> tuple[Array, Array, Array]:
    """Return the weights of two layers and rows for them."""
    dice = np.random.default_rng(3)
    sizes = ((16, 64), (64, 4), (8, 16))
    first, last, rows = (dice.standard_normal(size).astype(np.float32) for size in sizes)
    return first / 4, last / 8, rows


def _ir(name: str, folder: Path) -> Case:
    first, last, rows = _layers()
    x = ops.parameter([-1, 16], ov.Type.f32, name="x")
    hidden = ops.relu(ops.matmul(x, ops.constant(first), False, False))
    y = ops.matmul(hidden, ops.constant(last), False, False)
    ov.save_model(ov.Model([ops.result(y)], [x]), folder / "model.xml", compress_to_fp16=False)
    return _case(name, folder, rows, np.maximum(rows @ first, 0) @ last)


def _onnx(name: str, folder: Path) -> Case:
    onnx = importlib.import_module("onnx")
    evaluator = importlib.import_module("onnx.reference").ReferenceEvaluator
    first, last, rows = _layers()
    make, number = onnx.helper, onnx.TensorProto.FLOAT
    graph = make.make_graph(
        [
            make.make_node("MatMul", ["x", "first"], ["a"]),
            make.make_node("Relu", ["a"], ["b"]),
            make.make_node("MatMul", ["b", "last"], ["y"]),
        ],
        "layers",
        [make.make_tensor_value_info("x", number, ["rows", 16])],
        [make.make_tensor_value_info("y", number, ["rows", 4])],
        [onnx.numpy_helper.from_array(first, "first"), onnx.numpy_helper.from_array(last, "last")],
    )
    model = make.make_model(graph, opset_imports=[make.make_opsetid("", 17)], ir_version=8)
    (said,) = evaluator(model).run(None, {"x": rows})
    outside = name == "onnx-external-data"
    onnx.save_model(
        model,
        folder / "model.onnx",
        save_as_external_data=outside,
        location="model.onnx.data",
        size_threshold=0,
    )
    return _case(name, folder, rows, said)


def _exported(name: str, folder: Path) -> Case:
    """Export a Hugging Face model with optimum-intel itself: what is uploaded is a package already."""
    importlib.import_module("workers.kit.preload_huggingface")
    main_export = importlib.import_module("optimum.exporters.openvino").main_export
    source = build(BY_NAME["t5"], folder.with_name(f"{folder.name}-source"))
    original, ask = asked(BY_NAME["t5"], source)
    main_export(str(source), folder, task="text2text-generation-with-past", library_name="transformers")
    return Case(name, "format", folder, original, ask)


FORMATS: tuple[Format, ...] = (
    Format("onnx", "ONNX", _onnx),
    Format("onnx-external-data", "ONNX with external data", _onnx),
    Format("openvino-ir", "OpenVINO IR", _ir),
    Format("tensorflow-saved-model", "TensorFlow SavedModel", _recorded),
    Format("tensorflow-frozen-graph", "TensorFlow frozen graph", _recorded),
    Format("tflite", "TensorFlow Lite", _recorded),
    Format("paddle", "PaddlePaddle", _recorded),
    Format("huggingface-ir", "a Hugging Face package exported to IR before", _exported),
)
