"""Hostile graphs: ONNX with tricks and bombs in it, and IR whose numbers lie."""

import json
import struct
from itertools import pairwise
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from tests.hostile.payloads import ZIPS

_IR = """<?xml version="1.0"?><net name="m" version="11">{before}<layers>
<layer id="0" name="x" type="Parameter" version="opset1"><data shape="1,4" element_type="f32"/>
<output><port id="0" precision="FP32" names="x"><dim>1</dim><dim>4</dim></port></output></layer>
<layer id="1" name="c" type="Const" version="opset1"><data element_type="{type}" shape="{shape}" offset="{offset}" size="{size}"/>
<output><port id="0" precision="FP32">{dims}</port></output></layer>
<layer id="2" name="a" type="{op}" version="{opset}"><data auto_broadcast="numpy"/>
<input><port id="0" precision="FP32"><dim>1</dim><dim>4</dim></port><port id="1" precision="FP32">{dims}</port></input>
<output><port id="2" precision="FP32" names="y"><dim>1</dim><dim>4</dim></port></output></layer>
<layer id="3" name="r" type="Result" version="opset1"><input><port id="0" precision="FP32"><dim>1</dim><dim>4</dim></port></input></layer>
</layers><edges>{edges}</edges></net>"""  # noqa: E501 - a document
_EDGES = (
    '<edge from-layer="0" from-port="0" to-layer="2" to-port="0"/>'
    '<edge from-layer="1" from-port="0" to-layer="2" to-port="1"/>'
    '<edge from-layer="2" from-port="2" to-layer="3" to-port="0"/>'
)


def ir(**lies: object) -> bytes:
    """Return an IR that adds a constant to its input; each part may lie."""
    told: dict[str, object] = {
        "before": "", "type": "f32", "shape": "1,4", "offset": 0, "size": 16, "op": "Add", "opset": "opset1",
        "dims": "<dim>1</dim><dim>4</dim>", "edges": _EDGES, **lies,
    }  # fmt: skip
    return _IR.format(**told).encode()


def model(nodes: list[onnx.NodeProto], *initializers: onnx.TensorProto, version: int = 17) -> bytes:
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        list(initializers),
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", version)], ir_version=8)
    return bytes(made.SerializeToString())


# Its kind, inputs, outputs and attributes.
Node = tuple[str, list[str], list[str], dict[str, int]]


def made(
    nodes: list[Node],
    inputs: list[tuple[str, str, list[Any]]],
    *numbers: tuple[str, list[int]],
    output: str = "y",
) -> bytes:
    """Return a model of nodes (kind, inputs, outputs, attributes), inputs, and constants of whole numbers."""
    types = {"float": TensorProto.FLOAT, "string": TensorProto.STRING}
    graph = helper.make_graph(
        [helper.make_node(kind, given, made, **attributes) for kind, given, made, attributes in nodes],
        "g",
        [helper.make_tensor_value_info(name, types[kind], shape) for name, kind, shape in inputs],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)],
        [helper.make_tensor(name, TensorProto.INT64, [len(values)], values) for name, values in numbers],
    )
    whole = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(whole.SerializeToString())


def plain() -> bytes:
    """Return a good model: two layers with weights of its own."""
    dice = np.random.default_rng(0)
    weights = [
        helper.make_tensor(f"w{n}", TensorProto.FLOAT, [4, 4], dice.normal(size=16).astype(np.float32))
        for n in range(2)
    ]
    nodes = [
        helper.make_node("MatMul", ["x", "w0"], ["h"]),
        helper.make_node("Relu", ["h"], ["r"]),
        helper.make_node("MatMul", ["r", "w1"], ["y"]),
    ]
    return model(nodes, *weights)


def external(location: str, **entries: str) -> bytes:
    """Return a model whose weights lie in another file."""
    weights = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4, 4])
    weights.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, "length": "64", **entries}.items():
        weights.external_data.add(key=key, value=value)
    return model([helper.make_node("MatMul", ["x", "w"], ["y"])], weights)


def nested(depth: int) -> bytes:
    """Return graphs in graphs: an If whose one branch holds an If, and so on."""
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    leaf = inner = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", [], [out])
    for _ in range(depth):
        branch = helper.make_node("If", ["c"], ["y"], then_branch=inner, else_branch=leaf)
        inner = helper.make_graph([branch], "g", [], [out])
    flag = helper.make_tensor("c", TensorProto.BOOL, [], [True])
    return model(list(inner.node), flag)


def chain(length: int) -> bytes:
    names = ["x", *(f"n{n}" for n in range(length - 1)), "y"]
    return model([helper.make_node("Relu", [a], [b]) for a, b in pairwise(names)])


def constant_of_shape(size: int) -> bytes:
    shape = helper.make_tensor("s", TensorProto.INT64, [1], [size])
    nodes = [
        helper.make_node("ConstantOfShape", ["s"], ["big"]),
        helper.make_node("ReduceSum", ["big"], ["t"], keepdims=0),
        helper.make_node("Add", ["x", "t"], ["y"]),
    ]
    return model(nodes, shape, version=13)


def tiled(times: int) -> bytes:
    repeats = helper.make_tensor("r", TensorProto.INT64, [2], [1, times])
    nodes = [helper.make_node("Tile", ["x", "r"], ["t"]), helper.make_node("ReduceMax", ["t"], ["y"])]
    return model(nodes, repeats)


def with_zip(valid: bytes) -> bytes:
    """Return a valid ONNX model with a ZIP in a field that its schema does not know."""
    archive = ZIPS["pt2"]
    length = len(archive)
    tag = bytes([(100 << 3 | 2) & 0x7F | 0x80, (100 << 3 | 2) >> 7])
    size = b""
    while True:
        size += bytes([length & 0x7F | (0x80 if length > 0x7F else 0)])
        length >>= 7
        if not length:
            return valid + tag + size + archive


def safetensors(header: object, body: bytes = b"", *, length: int | None = None) -> bytes:
    told = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(told) if length is None else length) + told + body
