"""Accuracy control: what it decides by, what it cannot give back, and models that compute NaN."""

from pathlib import Path

import numpy as np
import openvino as ov
import pytest

from ovfarm.failures import FailureCode
from ovfarm.recipes import Quantize
from ovfarm.results import NoteCode
from ovfarm.tuning import AccuracyControl, AdvancedQuantization, SmoothQuant
from tests.steps.conftest import Benches, network
from tests.steps.makers import X, dataset, not_a_number, saved, wired
from tests.steps.test_methods import attention
from tests.steps.test_outputs import model, times
from workers.kit import controlled, data, gates
from workers.protocol import StepFailed
from workers.steps import quantize

WAVES = np.random.default_rng(1).normal(size=(120, 8, 64)).astype(np.float32)
WAVES[..., 3] *= 40  # an outlier, which is what SmoothQuant is for
LENIENT = AccuracyControl(max_drop=0.02, strict=False)


@pytest.mark.parametrize(
    ("accuracy", "arrays"),
    [
        (None, {"x": X}),
        (AccuracyControl(), {"x": X, "labels": np.zeros(64, int)}),
        (LENIENT, {"x": X, "labels": np.zeros(64, int)}),
        (LENIENT, {"x": X}),
    ],
)
def test_a_model_of_nan_is_not_quantized(
    accuracy: AccuracyControl | None, arrays: dict[str, object], tmp_path: Path, bench: Benches
) -> None:
    """The highest of NaN is the first class, and such a model agrees with itself."""
    rows = dataset(tmp_path / "rows", **arrays)
    broken = saved(tmp_path / "broken", wired(not_a_number))
    made = bench(model=broken, calibration=rows, evaluation=rows)
    with pytest.raises(StepFailed, match="NaN") as caught:
        quantize.run(Quantize(subset_size=8, accuracy=accuracy), made)
    assert caught.value.failure.code is FailureCode.OUTPUT_NOT_FINITE
    assert "before anything is quantized" in (caught.value.failure.hint or "")


def accuracy_of(folder: Path, original: ov.Model, bench: Benches, **arrays: object) -> controlled.Accuracy:
    made = bench(model=saved(folder / "m", original), evaluation=dataset(folder / "rows", **arrays))
    return controlled.Accuracy(data.load(made, "evaluation", original), 32, original, strict=False)


def test_a_candidate_of_nan_has_lost_all_while_layers_are_tried(tmp_path: Path, bench: Benches) -> None:
    accuracy = accuracy_of(tmp_path, network(), bench, x=X, labels=np.zeros(64, int))
    assert accuracy.of(network()) > 0
    broken = wired(not_a_number)
    assert accuracy(ov.compile_model(broken, "CPU"), accuracy.rows) == (0.0, None)
    with pytest.raises(StepFailed, match="NaN"):
        accuracy.of(broken)


def test_the_worst_output_decides_without_labels(tmp_path: Path, bench: Benches) -> None:
    x, names = X[:, :8], ("first", "second")
    original = model([-1, 8], times(4, 1), times(4, 2), names=names)
    accuracy = accuracy_of(tmp_path, original, bench, x=x)
    assert accuracy.of(original) == 1.0
    assert accuracy.of(model([-1, 8], times(4, 1), times(4, 9), names=names)) < 0.7


@pytest.fixture
def attentive(tmp_path: Path) -> dict[str, Path]:
    rows = dataset(tmp_path / "waves", x=WAVES)
    return {"model": saved(tmp_path / "m", attention()), "calibration": rows, "evaluation": rows}


def test_a_transformer_is_controlled_without_smoothquant(attentive: dict[str, Path], bench: Benches) -> None:
    loose = AccuracyControl(max_drop=0.3, strict=False)
    result = quantize.run(Quantize(subset_size=100, accuracy=loose), bench(**attentive))
    assert "smooth_quant_off" in [note.code for note in result.notes]
    asked = AdvancedQuantization(smooth_quant_alphas=SmoothQuant(matmul=0.9))
    by_user = quantize.run(Quantize(subset_size=100, accuracy=loose, advanced=asked), bench(**attentive))
    assert "smooth_quant_off" not in [note.code for note in by_user.notes]
    never = AdvancedQuantization(smooth_quant_alphas=SmoothQuant(matmul=-1))
    without = quantize.run(Quantize(subset_size=100, accuracy=loose, advanced=never), bench(**attentive))
    digests = [one.canonical_digest for one in (result, without, by_user)]
    assert digests[0] == digests[1] != digests[2]


def test_layers_given_back_in_vain_are_not_said_to_keep_the_accuracy(
    attentive: dict[str, Path], bench: Benches
) -> None:
    """What SmoothQuant has moved into the weights does not come back with the layers."""
    asked = AdvancedQuantization(smooth_quant_alphas=SmoothQuant(matmul=0.9))
    exact = AccuracyControl(max_drop=0.0, strict=False)
    made = bench(**attentive)
    result = quantize.run(Quantize(subset_size=100, accuracy=exact, advanced=asked), made)
    (note,) = (note for note in result.notes if note.code == "not_reached")
    assert "what SmoothQuant moved into the weights stays" in note.message
    assert gates.read(made.outputs).words == note.message


def test_what_was_given_back_in_vain_names_what_helps(tmp_path: Path, bench: Benches) -> None:
    original = attention()
    answers = ov.compile_model(original, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(WAVES)[0].argmax(2)
    rows = dataset(tmp_path / "labelled", x=WAVES, labels=answers)
    asked = AdvancedQuantization(smooth_quant_alphas=SmoothQuant(matmul=0.9))
    made = bench(model=saved(tmp_path / "m", original), calibration=rows, evaluation=rows)
    with pytest.raises(StepFailed, match="all layers went back to floating point, and accuracy is") as caught:
        exact = AccuracyControl(max_drop=0.0)
        quantize.run(Quantize(subset_size=100, accuracy=exact, advanced=asked), made)
    assert caught.value.failure.code is FailureCode.ACCURACY_DROP
    (patch,) = caught.value.failure.patches
    assert patch.overrides == {"quantize.advanced.smooth_quant_alphas.matmul": -1}


def test_few_rows_are_said(tmp_path: Path, bench: Benches) -> None:
    rows = dataset(tmp_path / "rows", x=np.tile(X, (5, 1)))
    made = bench(model=saved(tmp_path / "m", network()), calibration=rows)
    plain = quantize.run(Quantize(subset_size=5), made)
    (note,) = plain.notes
    assert note.code is NoteCode.LITTLE_CALIBRATION_DATA
    assert "subset_size 5 of 320 rows: calibrated on 5 rows" in note.message
    one = dataset(tmp_path / "one", x=X[:1], labels=np.array([0]))
    made = bench(model=saved(tmp_path / "n", network()), calibration=rows, evaluation=one)
    loose = AccuracyControl(max_drop=0.9, strict=False)
    result = quantize.run(Quantize(subset_size=100, accuracy=loose), made)
    assert [note.code for note in result.notes] == ["little_evaluation_data"]
    assert "looked at 1 rows" in result.notes[0].message
