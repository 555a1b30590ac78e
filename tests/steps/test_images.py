"""Folders of images: what an input expects of them, their labels, and what is wrong with which file."""

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops
from PIL import Image as Pillow

from ovfarm.datasets import Image, Reading
from ovfarm.failures import FailureCode
from ovfarm.recipes import Evaluate, Quantize
from tests.steps.conftest import Benches
from workers.kit import data, ir
from workers.protocol import StepFailed
from workers.steps import evaluate, quantize

RED, GREEN, BLUE = (250, 10, 20), (10, 250, 20), (10, 20, 250)
COLOURS = {"red": RED, "green": GREEN, "blue": BLUE}


def brightest(folder: Path, *, layout: str = "NCHW", side: int = 4, kind: ov.Type = ov.Type.f32) -> Path:
    """Write a model whose scores are the means of the channels, by way of a convolution."""
    shape = [-1, 3, side, side] if layout == "NCHW" else [-1, side, side, 3]
    x = ops.parameter(shape, kind, name="image")
    x.output(0).get_tensor().set_names({"image"})
    floats = ops.convert(x, "f32")
    placed = floats if layout == "NCHW" else ops.transpose(floats, ops.constant([0, 3, 1, 2]))
    kernel = ops.constant(np.eye(3, dtype=np.float32).reshape(3, 3, 1, 1))
    mixed = ops.convolution(placed, kernel, [1, 1], [0, 0], [0, 0], [1, 1])
    scores = ops.reduce_mean(mixed, ops.constant([2, 3]), keep_dims=False)
    folder.mkdir()
    ov.save_model(ov.Model([ops.result(scores)], [x], "b"), folder / "model.xml", compress_to_fp16=False)
    return folder


def picture(path: Path, colour: tuple[int, int, int], size: tuple[int, int] = (9, 7)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Pillow.new("RGB", size, colour).save(path)


def classes(folder: Path, count: int = 10) -> Path:
    for number in range(count):
        for name, colour in COLOURS.items():
            form = ("png", "jpg", "bmp", "webp")[number % 4]
            picture(folder / name / f"{number}.{form}", colour)
    return folder


def accuracy(bench: Benches, model: Path, rows: Path, reading: Reading | None = None) -> float:
    made = bench(model=model, evaluation=rows)
    made.readings["evaluation"] = reading or Reading()
    found = evaluate.run(Evaluate(), made).measurements
    return next(m.value for m in found if m.name == "accuracy")


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("kind", [ov.Type.f32, ov.Type.u8])
def test_class_folders_judge(tmp_path: Path, layout: str, kind: ov.Type, bench: Benches) -> None:
    model = brightest(tmp_path / "model", layout=layout, kind=kind)
    rows = classes(tmp_path / "rows")
    assert accuracy(bench, model, rows) == pytest.approx(1 / 3), "by name blue is 0, red is 2"
    (rows / "classes.txt").write_text("red\ngreen\nblue\n")
    assert accuracy(bench, model, rows) == 1.0
    assert accuracy(bench, model, rows, Reading(image=Image(color="bgr"))) == pytest.approx(1 / 3)


def test_labels_come_from_a_table_too(tmp_path: Path, bench: Benches) -> None:
    model, rows = brightest(tmp_path / "model"), tmp_path / "rows"
    lines = ["file,label"]
    for number, (name, colour) in enumerate(COLOURS.items()):
        picture(rows / f"{name}.png", colour)
        lines.append(f"{name}.png,{number}")
    (rows / "labels.csv").write_text("\n".join(lines))
    assert accuracy(bench, model, rows) == 1.0
    (rows / "labels.csv").write_text("file,label\nred.png,R\ngreen.png,G\nblue.png,B\n")
    (rows / "classes.txt").write_text("R\nG\nB\n")
    assert accuracy(bench, model, rows) == 1.0


def test_images_without_labels_calibrate(tmp_path: Path, bench: Benches) -> None:
    model, rows = brightest(tmp_path / "model"), tmp_path / "rows"
    for number in range(12):
        picture(rows / f"{number}.png", (number * 20, 0, 255 - number * 20))
    result = quantize.run(Quantize(subset_size=10), bench(model=model, calibration=rows))
    assert result.element_types["i8"] >= 9


def test_halves_have_all_classes(tmp_path: Path, bench: Benches) -> None:
    model, rows = brightest(tmp_path / "model"), classes(tmp_path / "rows", 20)
    for part in ("even", "odd"):
        made = bench(model=model, evaluation=rows)
        made.parts["evaluation"] = part
        samples = data.load(made, "evaluation", ir.read(model)).first(15)
        (batch,) = samples.batches(15, labels=True)
        assert batch.labels is not None
        assert set(batch.labels.tolist()) == {0, 1, 2}


def fed(tmp_path: Path, bench: Benches, image: Image, **model: object) -> data.Array:
    made = bench(model=brightest(tmp_path / "model", **model), evaluation=tmp_path / "rows")  # type: ignore[arg-type]
    made.readings["evaluation"] = Reading(image=image)
    samples = data.load(made, "evaluation", ir.read(made.inputs["model"]))
    rows: data.Array = next(samples.batches(1)).feed["image"]
    first: data.Array = rows[0]
    return first


def test_what_an_input_expects_is_done_in_order(tmp_path: Path, bench: Benches) -> None:
    picture(tmp_path / "rows" / "1.png", RED, (4, 4))
    image = Image(color="bgr", mean=(20, 10, 50), scale=(1, 1, 100))
    found = fed(tmp_path, bench, image)
    assert found.shape == (3, 4, 4)
    assert found[:, 0, 0].tolist() == [0, 0, 2]


def test_one_number_is_that_of_all_channels(tmp_path: Path, bench: Benches) -> None:
    picture(tmp_path / "rows" / "1.png", RED, (4, 4))
    found = fed(tmp_path, bench, Image.model_validate({"scale": 10}), layout="NHWC")
    assert found[0, 0].tolist() == [25, 1, 2]


def test_a_free_size_has_to_be_said(tmp_path: Path, bench: Benches) -> None:
    picture(tmp_path / "rows" / "1.png", RED)
    with pytest.raises(StepFailed, match="does not tell the size") as caught:
        fed(tmp_path, bench, Image(), side=-1)
    assert caught.value.failure.code is FailureCode.DATASET_SHAPE
    (tmp_path / "model").rename(tmp_path / "other")
    assert fed(tmp_path, bench, Image(size=(6, 5)), side=-1).shape == (3, 6, 5)


def test_pixels_do_not_wrap_round_in_a_type_with_a_sign(tmp_path: Path, bench: Benches) -> None:
    picture(tmp_path / "rows" / "1.png", RED)
    model = brightest(tmp_path / "model", kind=ov.Type.i8)
    made = bench(model=model, reference=model, evaluation=tmp_path / "rows")
    with pytest.raises(StepFailed, match="takes i8, and a picture's values go from 0 to 255"):
        evaluate.run(Evaluate(), made)


@pytest.mark.parametrize(("model", "image", "words", "hint"), [
    ({}, Image(size=(5, 4)), "the size asked for", "--image 'size=[4,4]'"),
    ({"side": -1}, Image(), "does not tell the size", "for example --image 'size=[224,224]'"),
    ({}, Image(layout="NHWC"), "4 channels as NHWC", "--image layout=NCHW"),
    ({"layout": "NHWC"}, Image(layout="NCHW"), "4 channels as NCHW", "--image layout=NHWC"),
    ({"kind": ov.Type.u8}, Image(mean=(1.0,)), "cannot hold", "leave out --image mean=… and scale=…"),
    ({"kind": ov.Type.i8}, Image(), "takes i8", "from -128 to 127: .npy or .npz"),
])  # fmt: skip
def test_what_does_not_fit_the_input_is_said_with_what_would(
    tmp_path: Path, model: dict[str, Any], image: Image, words: str, hint: str, bench: Benches
) -> None:
    picture(tmp_path / "rows" / "1.png", RED)
    with pytest.raises(StepFailed, match=words) as caught:
        fed(tmp_path, bench, image, **model)
    assert caught.value.failure.code is FailureCode.DATASET_SHAPE
    assert hint in (caught.value.failure.hint or "")


def bomb(width: int, height: int) -> bytes:
    """Return a PNG of zeros that says it is large."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 99))
        + chunk(b"IEND", b"")
    )


def png(mode: str = "RGB") -> bytes:
    packed = io.BytesIO()
    Pillow.new(mode, (40, 40), 7).save(packed, "PNG")
    return packed.getvalue()


def beside(name: str, content: str) -> Callable[[Path], None]:
    return placed(name, content.encode())


def placed(name: str, content: bytes) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)

    return write


UNREADABLE = FailureCode.DATASET_UNREADABLE
BAD: dict[str, tuple[Callable[[Path], None], FailureCode, str]] = {
    "a bomb": (placed("a.png", bomb(60_000, 60_000)), UNREADABLE, "too large"),
    "a wide one": (placed("a.png", bomb(9_000, 9_000)), UNREADABLE, "too large"),
    "a cut one": (placed("a.png", png()[:-40]), UNREADABLE, "a.png is damaged"),
    "a head alone": (placed("a.jpg", b"\xff\xd8\xff\xe0"), UNREADABLE, "a.jpg is damaged"),
    "sixteen bits": (placed("a.png", png("I;16")), UNREADABLE, "eight bits"),
    "loose and in folders": (placed("c/a.png", png()), UNREADABLE, "1.png is in none"),
    "no header": (beside("labels.csv", "1.png,0\n"), UNREADABLE, "file,label"),
    "three fields": (beside("labels.csv", "file,label\n1.png,0,1\n"), UNREADABLE, "line 2"),
    "a stranger": (beside("labels.csv", "file,label\n../x,0\n"), UNREADABLE, "no image"),
    "no label": (beside("labels.csv", "file,label\n"), UNREADABLE, "no label for 1.png"),
    "nan": (beside("labels.csv", "file,label\n1.png,nan\n"), FailureCode.DATASET_SHAPE, "'nan'"),
    "a fraction": (beside("labels.csv", "file,label\n1.png,0.5\n"), FailureCode.DATASET_SHAPE, "'0.5'"),
    "below zero": (beside("labels.csv", "file,label\n1.png,-1\n"), FailureCode.DATASET_SHAPE, "'-1'"),
    "a class twice": (beside("classes.txt", "a\na\n"), UNREADABLE, "twice"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_bad_image_or_label_is_named(tmp_path: Path, name: str, bench: Benches) -> None:
    spoil, code, words = BAD[name]
    rows = tmp_path / "rows"
    picture(rows / "1.png", RED)
    spoil(rows)
    with pytest.raises(StepFailed) as caught:
        evaluate.run(
            Evaluate(), bench(model=(m := brightest(tmp_path / "model")), reference=m, evaluation=rows)
        )
    found = caught.value.failure
    assert (found.code, words in found.message) == (code, True), found.message


def test_a_folder_that_no_class_names_is_said(tmp_path: Path, bench: Benches) -> None:
    rows = classes(tmp_path / "rows", 1)
    (rows / "classes.txt").write_text("red\nblue\n")
    with pytest.raises(StepFailed, match="does not name the folder 'green'"):
        accuracy(bench, brightest(tmp_path / "model"), rows)
