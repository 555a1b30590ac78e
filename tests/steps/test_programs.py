"""PyTorch programs as ``convert`` meets them: loaded, shaped, and answering as they did before."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
import pytest
from numpy.typing import NDArray

from ovfarm.failures import FailureClass, FailureCode
from ovfarm.recipes import Convert, Quantize
from tests.steps.conftest import Benches
from tests.steps.torch_networks import rows, saved
from workers.kit import graph, ir
from workers.protocol import Bench, StepFailed
from workers.steps import convert, quantize

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
WAYS = ("scripted", "traced", "exported")
SUFFIX = {"scripted": "pt", "traced": "pt", "exported": "pt2"}


def program(network: str, way: str, folder: Path) -> NDArray[Any]:
    folder.mkdir()
    return saved(network, way, folder / f"model.{SUFFIX[way]}")


def said(made: Bench, network: str) -> NDArray[Any]:
    compiled = ov.compile_model(ir.read(made.outputs), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    answer: NDArray[Any] = compiled([tensor.numpy() for tensor in rows(network)])[0]
    return answer


def shapes(made: Bench) -> dict[str, str]:
    ports = graph.ports(ir.read(made.outputs))
    return {port.name: f"{port.element_type} {port.shape}" for port in ports if port.direction == "input"}


@pytest.mark.parametrize("way", WAYS)
def test_a_program_is_converted_and_answers_the_same(way: str, tmp_path: Path, bench: Benches) -> None:
    answers = program("convolution", way, tmp_path / "in")
    made = replace(bench(model=tmp_path / "in"), torch_programs=True)
    result = convert.run(Convert(shapes={"x": ("?", 1, 16, 16)}), made)
    assert shapes(made) == {"x": "f32 [?,1,16,16]"}
    assert result.notes == ()
    np.testing.assert_allclose(said(made, "convolution"), answers, atol=1e-5)


def test_what_torch_export_keeps_is_kept(tmp_path: Path, bench: Benches) -> None:
    answers = program("embedding", "exported", tmp_path / "in")
    made = replace(bench(model=tmp_path / "in"), torch_programs=True)
    convert.run(Convert(), made)
    assert shapes(made) == {"ids": "i64 [1..64,5]", "mask": "f32 [1..64,5]"}
    np.testing.assert_allclose(said(made, "embedding"), answers, atol=1e-5)


@pytest.mark.parametrize("way", ["scripted", "traced"])
def test_what_torchscript_does_not_keep_is_given(way: str, tmp_path: Path, bench: Benches) -> None:
    answers = program("embedding", way, tmp_path / "in")
    made = replace(bench(model=tmp_path / "in"), torch_programs=True)
    asked = {
        "shapes": {"ids": ["?", 5], "mask": ["?", 5]},
        "preprocessing": {"ids": {"element_type": "i64"}},
    }
    convert.run(Convert.model_validate(asked), made)
    assert shapes(made) == {"ids": "i64 [?,5]", "mask": "f32 [?,5]"}
    np.testing.assert_allclose(said(made, "embedding"), answers, atol=1e-5)


def test_without_shapes_the_hint_says_how_to_give_them(tmp_path: Path, bench: Benches) -> None:
    program("embedding", "traced", tmp_path / "in")
    with pytest.raises(StepFailed, match="how many dimensions 'ids', 'mask' has") as refused:
        convert.run(Convert(), replace(bench(model=tmp_path / "in"), torch_programs=True))
    assert refused.value.failure.code is FailureCode.DYNAMIC_SHAPE
    assert """--set 'convert.shapes={"ids": [""" in (refused.value.hint or "")


def test_free_sizes_are_noted(tmp_path: Path, bench: Benches) -> None:
    program("convolution", "traced", tmp_path / "in")
    made = replace(bench(model=tmp_path / "in"), torch_programs=True)
    (note,) = convert.run(Convert(), made).notes
    assert note.code == "free_shapes"
    assert "'x'" in note.message
    assert shapes(made) == {"x": "f32 [?,?,?,?]"}


def test_what_was_converted_is_quantized(tmp_path: Path, bench: Benches) -> None:
    program("convolution", "traced", tmp_path / "in")
    made = replace(bench(model=tmp_path / "in"), torch_programs=True)
    convert.run(Convert(shapes={"x": ("?", 1, 16, 16)}), made)
    (tmp_path / "rows").mkdir()
    np.savez(tmp_path / "rows" / "d.npz", x=np.random.default_rng(0).normal(size=(50, 1, 16, 16)))
    small = bench(model=made.outputs, calibration=tmp_path / "rows")
    assert quantize.run(Quantize(subset_size=50), small).element_types["i8"] > 0


@pytest.mark.parametrize("way", ["traced", "exported"])
def test_a_node_that_may_not_load_it_does_not(way: str, tmp_path: Path, bench: Benches) -> None:
    program("convolution", way, tmp_path / "in")
    with pytest.raises(StepFailed, match="takes a full sandbox") as refused:
        convert.run(Convert(), bench(model=tmp_path / "in"))
    failure = refused.value.failure
    assert (failure.failure_class, failure.code) == (FailureClass.INFRA, FailureCode.NODE_SANDBOX)


@pytest.mark.parametrize("way", ["traced", "exported"])
def test_a_damaged_program_is_refused(way: str, tmp_path: Path, bench: Benches) -> None:
    program("convolution", way, tmp_path / "in")
    (file,) = (tmp_path / "in").iterdir()
    content = file.read_bytes()
    middle = content.index(b"conv")
    file.write_bytes(content[:middle] + b"\xff" * 600 + content[middle + 600 :])
    with pytest.raises(StepFailed, match="cannot be loaded") as refused:
        convert.run(Convert(), replace(bench(model=tmp_path / "in"), torch_programs=True))
    assert refused.value.failure.code is FailureCode.MODEL_UNREADABLE


def test_shapes_that_do_not_fit_are_refused(tmp_path: Path, bench: Benches) -> None:
    program("convolution", "traced", tmp_path / "in")
    for wrong, words in (({"x": (1, 3, 16, 16)}, "cannot take these shapes"), ({"y": (1,)}, "no input 'y'")):
        made = replace(bench(model=tmp_path / "in"), torch_programs=True)
        with pytest.raises(StepFailed, match=words) as refused:
            convert.run(Convert(shapes=wrong), made)
        assert refused.value.failure.code is FailureCode.PARAMETER_REFUSED
