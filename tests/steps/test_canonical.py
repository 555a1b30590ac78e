"""A digest for what a model means: other computations have others, other counters in names have not."""

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import openvino as ov
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, numpy_helper
from onnx import helper as make
from openvino import opset13 as ops

from ovfarm.recipes import Convert
from tests.steps.conftest import Benches, network
from workers.kit import canonical
from workers.steps import convert

Maker = Callable[[], ov.Model]


def digest(folder: Path, built: ov.Model) -> str:
    folder.mkdir(parents=True)
    ov.save_model(built, folder / "model.xml", compress_to_fp16=False)
    return canonical.digest(folder)


def computed(folder: Path, *inputs: np.ndarray) -> np.ndarray:
    compiled = ov.compile_model(folder / "model.xml", "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return np.array(compiled(inputs)[0])


def weights(*shape: int, seed: int = 0) -> ov.Node:
    return ops.constant(np.random.default_rng(seed).normal(size=shape).astype(np.float32))


def fed(name: str, shape: list[int]) -> ov.Node:
    port = ops.parameter(shape, ov.Type.f32, name=name)
    port.output(0).get_tensor().set_names({name})
    return port


def reading(*, backwards: bool = False, carried: str = "state") -> ov.Model:
    """Return a loop over five rows of x, from either end; ``carried`` goes into the next round."""
    x, zero = fed("x", [1, 5, 16]), ops.constant(np.zeros((1, 16), np.float32))
    row, before = (ops.parameter(shape, ov.Type.f32) for shape in ([1, 1, 16], [1, 16]))
    flat = ops.squeeze(row, ops.constant(np.array([1], np.int64)))
    after = ops.tanh(ops.add(ops.matmul(flat, weights(16, 16), False, False), before))
    ends = {"state": ops.result(after), "other": ops.result(ops.negative(after))}
    loop = ops.tensor_iterator()
    loop.set_body(ov.Model(list(ends.values()), [row, before], "body"))
    start, stride, end = (-1, -1, 0) if backwards else (0, 1, -1)
    loop.set_sliced_input(row, x.output(0), start, stride, 1, end, 1)
    loop.set_merged_input(before, zero.output(0), ends[carried].output(0))
    last = loop.get_iter_value(ends["state"].output(0), -1)
    last.get_tensor().set_names({"y"})
    return ov.Model([ops.result(last)], [x], "loop")


def difference(*, swapped: bool = False) -> ov.Model:
    """Return x - z under either branch of an If, or z - x."""
    x, z = fed("x", [1, 16]), fed("z", [1, 16])
    total = ops.reduce_sum(x, ops.constant(np.array([0, 1])), False)
    either = ops.if_op(ops.greater(total, ops.constant(np.float32(0))).output(0))
    inner = [[ops.parameter([1, 16], ov.Type.f32) for _ in range(2)] for _ in range(2)]
    ends = [ops.result(ops.subtract(*pair)) for pair in inner]
    either.set_then_body(ov.Model([ends[0]], inner[0], "then"))
    either.set_else_body(ov.Model([ends[1]], inner[1], "else"))
    for port, at in ((x, 1 if swapped else 0), (z, 0 if swapped else 1)):
        either.set_input(port.output(0), inner[0][at], inner[1][at])
    y = either.set_output(*ends)
    y.get_tensor().set_names({"y"})
    return ov.Model([ops.result(y)], [x, z], "if")


@pytest.mark.parametrize("made", [network, reading, difference], ids=["layers", "loop", "if"])
def test_names_with_counters_do_not_count(made: Maker, tmp_path: Path) -> None:
    digests = {digest(tmp_path / str(time), made()) for time in range(3)}
    texts = {(tmp_path / str(time) / "model.xml").read_text() for time in range(3)}
    assert len(texts) == 3, "each carries names with counters of this process"
    assert len(digests) == 1


@settings(max_examples=10, deadline=None)
@given(hidden=st.integers(2, 8), seed=st.integers(0, 3))
def test_every_weight_and_shape_counts(
    tmp_path_factory: pytest.TempPathFactory, hidden: int, seed: int
) -> None:
    base = tmp_path_factory.mktemp("ir")
    one = digest(base / "one", network(hidden=hidden, seed=seed))
    assert one == digest(base / "same", network(hidden=hidden, seed=seed))
    assert one != digest(base / "seed", network(hidden=hidden, seed=seed + 1))
    assert one != digest(base / "size", network(hidden=hidden + 1, seed=seed))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (reading, partial(reading, backwards=True)), (reading, partial(reading, carried="other")),
        (difference, partial(difference, swapped=True)),
    ],
    ids=["direction", "back-edge", "inputs"],
)  # fmt: skip
def test_how_a_body_is_fed_counts(one: Maker, other: Maker, tmp_path: Path) -> None:
    assert digest(tmp_path / "one", one()) != digest(tmp_path / "other", other())
    dice = np.random.default_rng(0)
    rows = [dice.normal(size=tuple(port.shape)).astype(np.float32) for port in one().inputs]
    first, second = (computed(tmp_path / name, *rows) for name in ("one", "other"))
    assert not np.allclose(first, second), "they are other models"


def scan(direction: int) -> onnx.ModelProto:
    """Return an ONNX recurrent network over five rows, forwards (0) or backwards (1)."""
    dice = np.random.default_rng(5)
    kept = [numpy_helper.from_array(dice.normal(size=(8, 8)).astype(np.float32), name) for name in ("W", "R")]
    state, row = (make.make_tensor_value_info(name, TensorProto.FLOAT, [1, 8]) for name in ("h", "r"))
    ends = [make.make_tensor_value_info(name, TensorProto.FLOAT, [1, 8]) for name in ("o", "s")]
    nodes = [
        make.make_node("MatMul", ["h", "R"], ["hr"]), make.make_node("MatMul", ["r", "W"], ["rw"]),
        make.make_node("Add", ["hr", "rw"], ["sum"]), make.make_node("Tanh", ["sum"], ["o"]),
        make.make_node("Identity", ["o"], ["s"]),
    ]  # fmt: skip
    body = make.make_graph(nodes, "body", [state, row], ends, kept)
    looped = make.make_node(
        "Scan", ["zero", "x"], ["y", "all"], body=body, num_scan_inputs=1, scan_input_directions=[direction]
    )
    graph = make.make_graph(
        [looped],
        "graph",
        [make.make_tensor_value_info("x", TensorProto.FLOAT, [5, 1, 8])],
        [make.make_tensor_value_info("y", TensorProto.FLOAT, [1, 8])],
        [numpy_helper.from_array(np.zeros((1, 8), np.float32), "zero")],
    )
    return make.make_model(graph, opset_imports=[make.make_opsetid("", 16)], ir_version=9)


def test_the_direction_of_an_onnx_scan_counts(tmp_path: Path, bench: Benches) -> None:
    found = []
    for number, direction in enumerate((0, 0, 1)):
        folder = tmp_path / str(number)
        folder.mkdir()
        onnx.save(scan(direction), folder / "m.onnx")
        found.append(convert.run(Convert(), bench(model=folder)).canonical_digest)
    assert found[0] == found[1] != found[2]


def beside(folder: Path, *path: str) -> int:
    """Return how many digests a model has with two values of one entry of rt_info."""
    found = set()
    for value in ("1", "2"):
        built = network()
        built.set_rt_info(value, list(path))
        found.add(digest(folder / value, built))
    return len(found)


@pytest.mark.parametrize("path", ["pad_token_id", "runtime_options/KV_CACHE_PRECISION", "model_info/labels"])
def test_what_is_read_beside_the_graph_counts(path: str, tmp_path: Path) -> None:
    assert beside(tmp_path, *path.split("/")) == 2


@pytest.mark.parametrize("path", ["nncf/weight_compression/mode", "conversion_parameters/framework"])
def test_how_it_came_to_be_does_not_count(path: str, tmp_path: Path) -> None:
    assert beside(tmp_path, *path.split("/")) == 1


def test_who_wrote_it_does_not_count(tmp_path: Path) -> None:
    before = digest(tmp_path / "one", network())
    xml = tmp_path / "one" / "model.xml"
    text = re.sub(r'(name="OpenVINO Runtime" value=)"[^"]*"', r'\1"1999.1"', xml.read_text())
    assert text != xml.read_text()
    fused = '<rt_info><attribute name="fused_names" version="0" value="MatMul_1" /></rt_info>'
    xml.write_text(re.sub(r'(type="MatMul" version="opset1">)', r"\1<rt_info />", text, count=1))
    empty = canonical.digest(tmp_path / "one")
    xml.write_text(re.sub(r'(type="MatMul" version="opset1">)', rf"\1{fused}", text, count=1))
    assert canonical.digest(tmp_path / "one") == empty
    xml.write_text(text)
    assert canonical.digest(tmp_path / "one") == before


def test_what_lies_deep_is_told_too(tmp_path: Path) -> None:
    """A path of a thousand names, as tools may write beside a graph, is no reason to fail."""
    found = []
    for last in ("one", "two"):
        model = network()
        model.set_rt_info(last, [f"k{number}" for number in range(1500)])
        found.append(digest(tmp_path / last, model))
    assert found[0] != found[1]
