"""What counts as quantized already: weights in 8 bits that are restored, and not masks, tables or pruning."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import openvino as ov
import pytest
from onnx import TensorProto, numpy_helper
from onnx import helper as make
from openvino import opset13 as ops

from ovfarm.failures import FailureCode
from ovfarm.recipes import Compress, IgnoredScope, Quantize
from tests.steps.conftest import Benches
from tests.steps.makers import linear, saved, wired
from workers.kit import ir
from workers.kit.quantized import is_quantized
from workers.protocol import StepFailed
from workers.steps import compress, quantize

Layer = Callable[[ov.Node], ov.Node]
MASK = (np.random.default_rng(0).random((16, 16)) > 0.5).astype(np.uint8)
STORED = np.random.default_rng(0).integers(-127, 128, (16, 4)).astype(np.int8)


def converted(values: np.ndarray) -> ov.Node:
    return ops.convert(ops.constant(values), "f32")


def single(value: float) -> ov.Node:
    return ops.constant(np.float32(value))


def masked(x: ov.Node) -> ov.Node:
    """Return a layer of what a mask has left of its input."""
    return linear(ops.multiply(x, converted(MASK[:1])))


def pruned(x: ov.Node) -> ov.Node:
    """Return a layer whose weights are in single precision, half of them switched off by a mask."""
    weights = ops.constant(np.random.default_rng(0).normal(size=(16, 16)).astype(np.float32))
    return ops.matmul(x, ops.multiply(weights, converted(MASK)), False, False)


def mixed(x: ov.Node) -> ov.Node:
    """Return a layer of sums that zeros and ones say the members of."""
    return linear(ops.matmul(x, converted(MASK), False, False))


def penalised(x: ov.Node) -> ov.Node:
    """Return a layer, with a penalty where a mask is zero: the masks of attention are made so."""
    away = ops.multiply(ops.subtract(single(1), converted(MASK[:1])), single(-1e4))
    return linear(ops.add(x, away))


def looked_up(x: ov.Node) -> ov.Node:
    """Return a layer of rows of a table of small numbers."""
    places = ops.convert(ops.reduce_max(x, ops.constant(np.array([1])), False), "i32")
    rows = ops.gather(converted(MASK), ops.clamp(places, 0, 15), ops.constant(np.int64(0)))
    return linear(ops.add(x, rows))


@pytest.mark.parametrize("layer", [masked, pruned, mixed, penalised, looked_up])
def test_small_numbers_that_are_no_weights_quantize_nothing(layer: Layer, tmp_path: Path) -> None:
    model = ir.read(saved(tmp_path / "m", wired(layer)))
    assert "u8" in ir.element_types(model)
    assert not is_quantized(model)


@pytest.mark.parametrize("layer", [masked, mixed, penalised])
def test_a_model_with_a_mask_is_quantized_and_compressed(
    layer: Layer, tmp_path: Path, rows: Path, bench: Benches
) -> None:
    model = saved(tmp_path / "m", wired(layer))
    for result in (
        quantize.run(Quantize(subset_size=8), bench(model=model, calibration=rows)),
        compress.run(Compress(mode="int8_sym"), bench(model=model)),
    ):
        assert "i8" in result.element_types


def test_a_mask_is_no_compression(tmp_path: Path, bench: Benches) -> None:
    """When all layers are ignored nothing is compressed, whatever other constants there are."""
    model = saved(tmp_path / "m", wired(masked))
    with pytest.raises(StepFailed) as caught:
        compress.run(Compress(ignored_scope=IgnoredScope(types=("MatMul",))), bench(model=model))
    assert caught.value.failure.code is FailureCode.NOTHING_QUANTIZED


def by_channel(x: ov.Node) -> ov.Node:
    scale = ops.constant(np.full((1, 4), 0.01, np.float32))
    return ops.matmul(x, ops.multiply(converted(STORED), scale), False, False)


def divided(x: ov.Node) -> ov.Node:
    weights = ops.divide(converted(STORED), ops.constant(np.full((1, STORED.shape[1]), 100, np.float32)))
    return ops.matmul(x, weights, False, False)


def in_groups(x: ov.Node) -> ov.Node:
    """Return a layer with a zero point and a scale for each four of its weights."""
    zeros, scales = np.full((4, 1, 4), 8, np.uint8), np.full((4, 1, 4), 0.1, np.float32)
    offset = ops.subtract(converted(MASK.reshape(4, 16, 4)[:, :4]), converted(zeros))
    shape = ops.constant(np.array([16, 4], np.int64))
    weights = ops.reshape(ops.multiply(offset, ops.constant(scales)), shape, False)
    return ops.matmul(x, weights, False, False)


def embedded(x: ov.Node) -> ov.Node:
    places = ops.convert(ops.reduce_max(x, ops.constant(np.array([1])), False), "i32")
    table = ops.multiply(converted(STORED), ops.constant(np.full((16, 1), 0.01, np.float32)))
    return ops.gather(table, ops.clamp(places, 0, 15), ops.constant(np.int64(0)))


def simulated(x: ov.Node) -> ov.Node:
    return linear(ops.fake_quantize(x, single(-1), single(1), single(-1), single(1), 256))


@pytest.mark.parametrize("layer", [by_channel, divided, in_groups, embedded, simulated])
def test_weights_that_are_restored_are_quantized(layer: Layer, tmp_path: Path) -> None:
    assert is_quantized(ir.read(saved(tmp_path / "m", wired(layer))))


def exported(*nodes: onnx.NodeProto, **stored: np.ndarray) -> bytes:
    graph = make.make_graph(
        nodes,
        "graph",
        [make.make_tensor_value_info("x", TensorProto.FLOAT, [None, 16])],
        [make.make_tensor_value_info("y", TensorProto.FLOAT, [None, 4])],
        [numpy_helper.from_array(values, name) for name, values in stored.items()],
    )
    return bytes(make.make_model(graph, opset_imports=[make.make_opsetid("", 16)]).SerializeToString())


SCALES, ZEROS = np.full(4, 0.01, np.float32), np.zeros(4, np.int8)
ONNX = {
    "weights": exported(
        make.make_node("DequantizeLinear", ["w", "s", "z"], ["v"], axis=1),
        make.make_node("MatMul", ["x", "v"], ["y"]),
        w=STORED,
        s=SCALES,
        z=ZEROS,
    ),
    "activations": exported(
        make.make_node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"]),
        make.make_node("MatMulInteger", ["q", "w", "z", "o"], ["i"]),
        make.make_node("Cast", ["i"], ["f"], to=TensorProto.FLOAT),
        make.make_node("Mul", ["f", "s"], ["y"]),
        w=STORED,
        o=np.array(3, np.int8),
    ),
}


@pytest.mark.parametrize("name", ONNX)
def test_what_onnx_exporters_quantize_is_seen(name: str, tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(ONNX[name])
    assert is_quantized(ir.read(tmp_path))
