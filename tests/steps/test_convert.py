from pathlib import Path

import numpy as np
import onnx
import openvino as ov
import pytest
from onnx import TensorProto, helper, numpy_helper
from openvino import opset13 as ops
from pydantic import ValidationError

from ovfarm.failures import FailureClass, FailureCode
from ovfarm.recipes import Convert
from tests.steps.conftest import Benches
from workers.kit import ir
from workers.protocol import StepFailed
from workers.steps import convert


def onnx_model(op: str = "MatMul", domain: str = "") -> onnx.ModelProto:
    weights = numpy_helper.from_array(np.eye(16, 4, dtype=np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node(op, ["x", "w"], ["y"], domain=domain)],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 16])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 4])],
        [weights],
    )
    opsets = [helper.make_opsetid("", 17), *([helper.make_opsetid(domain, 1)] if domain else [])]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9)


def folder(tmp_path: Path, name: str, content: bytes) -> Path:
    into = tmp_path / "given"
    into.mkdir(exist_ok=True)
    (into / name).write_bytes(content)
    return into


def failure(bench: Benches, given: Path) -> StepFailed:
    with pytest.raises(StepFailed) as caught:
        convert.run(Convert(), bench(model=given))
    assert caught.value.failure.failure_class is FailureClass.USER
    assert caught.value.failure.hint
    return caught.value


def test_onnx_becomes_ir_that_computes_the_same(tmp_path: Path, bench: Benches) -> None:
    made = bench(model=folder(tmp_path, "m.onnx", onnx_model().SerializeToString()))
    result = convert.run(Convert(), made)
    x = np.arange(32, dtype=np.float32).reshape(2, 16)
    y = ov.compile_model(made.outputs / "model.xml", "CPU")(x)[0]
    np.testing.assert_allclose(y, x[:, :4])
    assert result.element_types == {"f32": 64}


def test_fp16_halves_the_weights(model: Path, bench: Benches) -> None:
    full, half = bench(model=model), bench(model=model)
    convert.run(Convert(), full)
    result = convert.run(Convert(weights="fp16"), half)
    sizes = [(b.outputs / "model.bin").stat().st_size for b in (full, half)]
    assert sizes[1] * 2 == sizes[0]
    assert result.element_types == {"f16": 1280}


def test_a_conversion_says_that_it_invents_no_precision(model: Path, bench: Benches) -> None:
    half = bench(model=model)
    convert.run(Convert(weights="fp16"), half)
    result = convert.run(Convert(), bench(model=half.outputs))
    assert [note.code for note in result.notes] == ["narrow_weights"]


@pytest.mark.parametrize(
    "content", [b"", b"garbage" * 100, onnx_model().SerializeToString()[:60]], ids=["empty", "garbage", "cut"]
)
def test_what_is_no_model_is_said_to_be_none(tmp_path: Path, bench: Benches, content: bytes) -> None:
    assert failure(bench, folder(tmp_path, "m.onnx", content)).failure.code is FailureCode.MODEL_UNREADABLE


def test_a_zip_is_refused_whatever_its_name_and_place(tmp_path: Path, bench: Benches) -> None:
    import zipfile

    given = folder(tmp_path, "m.onnx", onnx_model().SerializeToString())
    with zipfile.ZipFile(given / "m.onnx", "a") as archive:
        archive.writestr("archive_format", "pt2")
    assert failure(bench, given).failure.code is FailureCode.MODEL_FORMAT_REFUSED


def external(location: str) -> bytes:
    model = onnx_model()
    (weights,) = model.graph.initializer
    weights.ClearField("raw_data")
    weights.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, "offset": "0", "length": "256"}.items():
        weights.external_data.add(key=key, value=value)
    return bytes(model.SerializeToString())


@pytest.mark.parametrize("location", ["../../../../etc/passwd", "/etc/passwd"])
def test_external_data_outside_the_folder_is_refused(tmp_path: Path, bench: Benches, location: str) -> None:
    given = folder(tmp_path, "m.onnx", external(location))
    assert failure(bench, given).failure.code is FailureCode.EXTERNAL_DATA_OUTSIDE


def test_missing_external_data_is_missing_weights(tmp_path: Path, bench: Benches) -> None:
    given = folder(tmp_path, "m.onnx", external("w.bin"))
    assert failure(bench, given).failure.code is FailureCode.WEIGHTS_MISSING


def test_an_unsupported_operation_is_named(tmp_path: Path, bench: Benches) -> None:
    given = folder(tmp_path, "m.onnx", onnx_model("Frobnicate", "my.domain").SerializeToString())
    failed = failure(bench, given).failure
    assert failed.code is FailureCode.UNSUPPORTED_OPERATION
    assert "Frobnicate" in failed.message


def test_a_damaged_ir(model: Path, bench: Benches) -> None:
    weights = (model / "model.bin").read_bytes()
    (model / "model.bin").write_bytes(weights[:100])
    assert failure(bench, model).failure.code is FailureCode.WEIGHTS_MISSING
    (model / "model.bin").unlink()
    assert "no model.bin beside it" in failure(bench, model).message
    (model / "model.bin").write_bytes(weights)
    text = (model / "model.xml").read_text()
    (model / "model.xml").write_text(text[: len(text) // 2])
    assert failure(bench, model).failure.code is FailureCode.MODEL_UNREADABLE
    (model / "model.xml").write_text(text.replace('type="MatMul"', 'type="Nonsense"', 1))
    assert failure(bench, model).failure.code is FailureCode.UNSUPPORTED_OPERATION


def test_two_models_in_one_folder_are_refused(tmp_path: Path, bench: Benches) -> None:
    folder(tmp_path, "a.onnx", onnx_model().SerializeToString())
    given = folder(tmp_path, "b.onnx", onnx_model().SerializeToString())
    assert failure(bench, given).failure.code is FailureCode.MODEL_FORMAT_REFUSED


def image_model() -> ov.Model:
    """Return a model that adds up an image over its channels: [1,3,8,8] f32 in, [1,1,8,8] out."""
    x = ops.parameter([1, 3, 8, 8], ov.Type.f32, name="image")
    x.output(0).get_tensor().set_names({"image"})
    weights = ops.constant(np.array([1, 10, 100], np.float32).reshape(1, 3, 1, 1))
    y = ops.convolution(x, weights, [1, 1], [0, 0], [0, 0], [1, 1])
    y.output(0).get_tensor().set_names({"sum"})
    return ov.Model([ops.result(y)], [x], "image")


@pytest.fixture
def image(tmp_path: Path) -> Path:
    folder = tmp_path / "image"
    folder.mkdir()
    ov.save_model(image_model(), folder / "model.xml", compress_to_fp16=False)
    return folder


@pytest.mark.parametrize(
    ("shape", "told"),
    [((4, 16), "[4,16]"), (("1..8", 16), "[1..8,16]"), (("?", 16), "[?,16]"), ((1, 16), "[1,16]")],
)
def test_shapes_are_static_bounded_or_free(
    shape: tuple[int | str, ...], told: str, model: Path, bench: Benches
) -> None:
    made = bench(model=model)
    convert.run(Convert(shapes={"x": shape}), made)
    assert ir.read(made.outputs).inputs[0].get_partial_shape().to_string() == told


def test_preprocessing_is_part_of_the_model(image: Path, bench: Benches) -> None:
    steps = {"element_type": "u8", "layout": "NHWC", "model_layout": "NCHW", "color": "bgr_to_rgb",
             "mean": (1, 2, 3), "scale": (2, 2, 2)}  # fmt: skip
    made = bench(model=image)
    convert.run(Convert.model_validate({"preprocessing": {"image": steps}}), made)
    compiled = ov.compile_model(ir.read(made.outputs), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    assert compiled.inputs[0].get_partial_shape().to_string() == "[1,8,8,3]"
    assert compiled.inputs[0].get_element_type() == ov.Type.u8
    pixels = np.random.default_rng(0).integers(0, 256, (1, 8, 8, 3), dtype=np.uint8)
    rgb = (pixels[..., ::-1].astype(np.float32) - [1, 2, 3]) / 2
    np.testing.assert_allclose(compiled(pixels)[0][0, 0], (rgb @ [1, 10, 100])[0], rtol=1e-4, atol=1e-2)


def test_images_of_any_size_are_resized(image: Path, bench: Benches) -> None:
    steps = {"layout": "NHWC", "model_layout": "NCHW", "element_type": "u8", "resize": "linear"}
    made = bench(model=image)
    convert.run(Convert.model_validate({"preprocessing": {"image": steps}}), made)
    compiled = ov.compile_model(ir.read(made.outputs), "CPU")
    assert compiled(np.full((1, 20, 30, 3), 2, np.uint8))[0].shape == (1, 1, 8, 8)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"shapes": {"z": (1, 16)}}, "no input 'z'; it has: 'x'"),
        ({"shapes": {"x": (4, 15)}}, "cannot take these shapes: x [4,15]"),
        ({"preprocessing": {"z": {"mean": (1,)}}}, "no input 'z'"),
        (
            {"preprocessing": {"x": {"layout": "NCHW", "model_layout": "NCHW", "mean": (1, 2, 3)}}},
            "does not fit",
        ),
    ],
)
def test_what_does_not_fit_the_model_is_refused(
    asked: dict[str, object], words: str, model: Path, bench: Benches
) -> None:
    with pytest.raises(StepFailed) as refused:
        convert.run(Convert.model_validate(asked), bench(model=model))
    assert refused.value.failure.code is FailureCode.PARAMETER_REFUSED
    assert words in refused.value.failure.message


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"shapes": {"x": ("8..1",)}}, "from the smaller to the larger"),
        ({"shapes": {"x": (-1,)}}, "greater than or equal to 1"),
        ({"preprocessing": {"x": {"mean": (1, 2, 3)}}}, "needs a layout with C"),
        ({"preprocessing": {"x": {"resize": "linear", "layout": "NC", "model_layout": "NC"}}}, "H and W"),
        ({"preprocessing": {"x": {"scale": (0,)}}}, "greater than or equal to 0.0"),
    ],
)
def test_what_makes_no_sense_is_refused_before_the_job(asked: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Convert.model_validate(asked)


def test_a_target_that_wants_bounds_refuses_what_has_none(model: Path, bench: Benches) -> None:
    made = bench(model=model)
    with pytest.raises(StepFailed, match=r"with bounds only, and this model has x \[\?,16\]") as caught:
        convert.run(Convert(name="mine", require_static=True), made)
    assert caught.value.failure.code is FailureCode.DYNAMIC_SHAPE
    assert "--set mine.shapes.x=[1,16]" in str(caught.value.failure.hint)
    assert not list(made.outputs.iterdir()), "it was refused before anything was written"
    for shape in ((1, 16), ("1..8", 16)):
        bounded = bench(model=model)
        convert.run(Convert.model_validate({"require_static": True, "shapes": {"x": shape}}), bounded)
        assert (bounded.outputs / "model.xml").exists()
