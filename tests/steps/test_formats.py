"""Models of every format: told by content, converted, quantized, and answering as they did before.

The fixtures are made by the scripts in ``ops/fixtures``.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
import pytest
from numpy.typing import NDArray

from api.intake.models import model_format
from ovfarm.catalog import ModelFormat
from ovfarm.failures import FailureCode
from ovfarm.recipes import Compress, Convert, Quantize
from tests.steps.conftest import Benches
from workers.kit import ir
from workers.protocol import StepFailed
from workers.steps import compress, convert, quantize

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"
FORMATS: Mapping[str, tuple[ModelFormat, Path, tuple[str, ...]]] = {
    "SavedModel": (
        ModelFormat.TENSORFLOW,
        FIXTURES / "tensorflow",
        (
            "saved/saved_model.pb",
            "saved/variables/variables.index",
            "saved/variables/variables.data-00000-of-00001",
        ),
    ),
    "frozen graph": (ModelFormat.TENSORFLOW, FIXTURES / "tensorflow", ("frozen.pb",)),
    "TFLite": (ModelFormat.TFLITE, FIXTURES / "tensorflow", ("network.tflite",)),
    "Paddle": (ModelFormat.PADDLE, FIXTURES / "paddle", ("network.pdmodel", "network.pdiparams")),
}


class OnDisk:
    """A file as the intake reads it."""

    def __init__(self, path: Path) -> None:
        self._data = path.read_bytes()
        self.size = len(self._data)

    def at(self, start: int, length: int) -> bytes:
        return self._data[start : start + length]


@pytest.fixture(params=FORMATS)
def uploaded(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[ModelFormat, Path, Path]:
    """Return a format, a folder with its files, and the file of rows and answers."""
    known, home, names = FORMATS[request.param]
    for name in names:
        target = tmp_path / "uploaded" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((home / name).read_bytes())
    return known, tmp_path / "uploaded", home / "answers.npz"


def answers(folder: Path, rows: Path) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return what a model says in f32, and what was said where it was made."""
    known = np.load(rows, allow_pickle=False)
    compiled = ov.compile_model(ir.read(folder), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return compiled(known["x"])[0], known["y"]


def test_it_is_told_by_content(uploaded: tuple[ModelFormat, Path, Path]) -> None:
    known, folder, _ = uploaded
    files = {
        path.relative_to(folder).as_posix(): OnDisk(path) for path in folder.rglob("*") if path.is_file()
    }
    assert model_format(files) is known


def test_it_is_converted_and_answers_the_same(
    uploaded: tuple[ModelFormat, Path, Path], bench: Benches
) -> None:
    _, folder, rows = uploaded
    made = bench(model=folder)
    result = convert.run(Convert(), made)
    said, expected = answers(made.outputs, rows)
    np.testing.assert_allclose(said, expected, atol=1e-4)
    assert result.element_types["f32"] >= 16 * 32 + 32 * 4


def test_it_is_quantized_and_compressed(
    uploaded: tuple[ModelFormat, Path, Path], tmp_path: Path, bench: Benches
) -> None:
    _, folder, rows = uploaded
    data = tmp_path / "data"
    data.mkdir()
    dice = np.random.default_rng(2)
    np.savez(data / "d.npz", x=dice.normal(size=(100, 16)).astype(np.float32))
    quantized = bench(model=folder, calibration=data)
    assert quantize.run(Quantize(subset_size=100), quantized).element_types["i8"] >= 16 * 32
    small = bench(model=folder)
    assert compress.run(Compress(), small).element_types["u8"] >= 16 * 32
    for made in (quantized, small):
        said, expected = answers(made.outputs, rows)
        # Eight bits of a network of two layers on rows that it was not calibrated on.
        assert np.corrcoef(said.ravel(), expected.ravel())[0, 1] > 0.98


def test_a_paddle_program_without_its_weights_is_told_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "network.pdmodel").write_bytes((FIXTURES / "paddle" / "network.pdmodel").read_bytes())
    with pytest.raises(StepFailed, match=r"network\.pdmodel has no network\.pdiparams beside it") as caught:
        ir.read(tmp_path)
    assert caught.value.failure.code is FailureCode.WEIGHTS_MISSING
