"""Small real models and datasets, each with one thing wrong with it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import openvino as ov
from openvino import opset13 as ops

from tests.steps.conftest import network

X = np.random.default_rng(1).normal(size=(64, 16)).astype(np.float32)


def dataset(folder: Path, **arrays: object) -> Path:
    """Write a dataset; without arrays, rows with labels that the small network gives."""
    folder.mkdir(parents=True)
    labels = ov.compile_model(network(), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(X)[0].argmax(axis=1)
    np.savez(folder / "rows.npz", **(arrays or {"x": X, "labels": labels}))  # type: ignore[arg-type] # array-likes
    return folder


def saved(folder: Path, model: ov.Model) -> Path:
    """Write a model as IR."""
    folder.mkdir(parents=True)
    ov.save_model(model, folder / "model.xml", compress_to_fp16=False)
    return folder


def files(folder: Path, **content: bytes) -> Path:
    """Write files; ``m_onnx`` is m.onnx."""
    folder.mkdir(parents=True)
    for name, written in content.items():
        (folder / name.replace("_", ".")).write_bytes(written)
    return folder


def wired(build: Callable[[ov.Node], ov.Node], shape: list[int] | None = None) -> ov.Model:
    """Return a model from input x (``[?,16]``) to what is built on it, output y."""
    x = ops.parameter([-1, 16] if shape is None else shape, ov.Type.f32, name="x")
    x.output(0).get_tensor().set_names({"x"})
    y = build(x)
    y.output(0).get_tensor().set_names({"y"})
    return ov.Model([ops.result(y)], [x], "wired")


def linear(x: ov.Node, outputs: int = 4) -> ov.Node:
    """Return x times seeded weights."""
    weights = np.random.default_rng(0).normal(size=(16, outputs)).astype(np.float32)
    return ops.matmul(x, ops.constant(weights), False, False)


def fixed_reshape(x: ov.Node) -> ov.Node:
    """Return a layer that has one row only, whatever comes in."""
    return linear(ops.reshape(x, ops.constant(np.array([1, 16], np.int64)), False))


def averaged(x: ov.Node) -> ov.Node:
    """Return one row for all rows."""
    return ops.reduce_mean(linear(x), ops.constant(np.array([0], np.int64)), True)


def doubled(x: ov.Node) -> ov.Node:
    """Return twice what came in, in its shape."""
    return ops.multiply(x, ops.constant(np.float32(2)))


def not_a_number(x: ov.Node) -> ov.Node:
    """Return the logarithm of negative numbers."""
    return ops.log(ops.subtract(linear(x), ops.constant(np.float32(1e9))))


def branching(x: ov.Node) -> ov.Node:
    """Return a layer, and after it another one in each branch of an If, with the names that NNCF needs."""
    before = linear(x, 16)
    total = ops.reduce_sum(x, ops.constant(np.array([0, 1])), False)
    negative = ops.less(total, ops.constant(np.float32(0)))
    either = ops.if_op(negative.output(0))
    inner = [ops.parameter([-1, 16], ov.Type.f32) for _ in range(2)]
    layers = [linear(each) for each in inner]
    ends = [ops.result(layer) for layer in layers]
    then, otherwise = (ov.Model([end], [each], "branch") for end, each in zip(ends, inner, strict=True))
    either.set_then_body(then)
    either.set_else_body(otherwise)
    either.set_input(before.output(0), *inner)
    for number, node in enumerate([before, negative, *inner, *layers]):
        node.output(0).get_tensor().set_names({f"named{number}"})
    return either.set_output(*ends).get_node()


def scaled(x: ov.Node) -> ov.Node:
    """Return a layer with factors that no quantization takes."""
    return ops.multiply(linear(x), ops.constant(np.full((1, 4), 3.25, np.float32)))
