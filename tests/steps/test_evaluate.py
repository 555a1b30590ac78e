from pathlib import Path

import numpy as np
import openvino as ov
import pytest

from ovfarm.failures import FailureCode
from ovfarm.recipes import Evaluate
from ovfarm.results import Measurement, StepResult
from tests.steps.conftest import Benches, network
from workers.kit import synthetic
from workers.protocol import StepFailed
from workers.steps import evaluate


def named(result: StepResult) -> dict[str, Measurement]:
    return {m.name: m for m in result.measurements}


def test_a_model_agrees_with_itself(model: Path, rows: Path, bench: Benches) -> None:
    found = named(evaluate.run(Evaluate(), bench(model=model, reference=model, evaluation=rows)))
    assert found["accuracy"].value == 1.0
    assert 0.97 < (found["accuracy"].ci_low or 0) < 1.0
    assert found["max_abs_difference"].value == 0
    assert found["cosine_distance"].value == pytest.approx(0, abs=1e-12)
    assert found["agreement"].value == 1.0
    assert found["accuracy"].conditions.precision == "f32"
    assert found["accuracy"].conditions.samples == 200


def test_a_different_model_is_told_apart(tmp_path: Path, model: Path, rows: Path, bench: Benches) -> None:
    other = tmp_path / "other"
    other.mkdir()
    ov.save_model(network(seed=9), other / "model.xml", compress_to_fp16=False)
    found = named(evaluate.run(Evaluate(), bench(model=other, reference=model, evaluation=rows)))
    assert found["accuracy"].value < 0.7
    assert found["agreement"].value == found["accuracy"].value, "the labels are the reference's own"
    assert found["cosine_distance"].value > 0.1


def test_a_fixed_batch_counts_each_row_once(tmp_path: Path, model: Path, rows: Path, bench: Benches) -> None:
    fixed = network()
    fixed.reshape([48, 16])
    folder = tmp_path / "fixed"
    folder.mkdir()
    ov.save_model(fixed, folder / "model.xml", compress_to_fp16=False)
    found = named(evaluate.run(Evaluate(), bench(model=folder, reference=model, evaluation=rows)))
    assert found["accuracy"].value == 1.0
    assert found["accuracy"].conditions.samples == 200


def test_without_data_random_rows_are_compared_and_it_is_said(model: Path, bench: Benches) -> None:
    result = evaluate.run(Evaluate(), bench(model=model, reference=model))
    assert [note.code for note in result.notes] == ["random_data"]
    assert "accuracy" not in named(result)


def test_nothing_to_compare_with(tmp_path: Path, model: Path, bench: Benches) -> None:
    folder = tmp_path / "unlabelled"
    folder.mkdir()
    np.savez(folder / "d.npz", x=np.zeros((4, 16), np.float32))
    with pytest.raises(StepFailed, match="no labels and no reference") as caught:
        evaluate.run(Evaluate(), bench(model=model, evaluation=folder))
    assert caught.value.failure.code is FailureCode.LABELS_MISSING


def test_a_model_that_computes_nan_is_caught(tmp_path: Path, rows: Path, bench: Benches) -> None:
    from openvino import opset13 as ops

    x = ops.parameter([-1, 16], ov.Type.f32, name="x")
    x.output(0).get_tensor().set_names({"x"})
    broken = ov.Model([ops.result(ops.log(ops.subtract(x, ops.constant(np.float32(1e9)))))], [x])
    folder = tmp_path / "nan"
    folder.mkdir()
    ov.save_model(broken, folder / "model.xml", compress_to_fp16=False)
    with pytest.raises(StepFailed) as caught:
        evaluate.run(Evaluate(), bench(model=folder, evaluation=rows))
    assert caught.value.failure.code is FailureCode.OUTPUT_NOT_FINITE


def test_odd_rows_are_half_of_the_rows(model: Path, rows: Path, bench: Benches) -> None:
    made = bench(model=model, reference=model, evaluation=rows)
    made.parts["evaluation"] = "odd"
    assert named(evaluate.run(Evaluate(), made))["accuracy"].conditions.samples == 100


@pytest.mark.parametrize(
    ("kind", "name", "low", "high"),
    [
        (ov.Type.u8, "image", 0, 255),
        (ov.Type.i8, "x", -128, 127),
        (ov.Type.u8, "pixel_mask", 1, 1),
        (ov.Type.i8, "token_type_ids", 0, 0),
        (ov.Type.i64, "input_ids", 0, 1),
    ],
)
def test_random_rows_are_as_wide_as_pixels_are(
    kind: ov.Type, name: str, low: int, high: int, tmp_path: Path
) -> None:
    from openvino import opset13 as ops

    x = ops.parameter([-1, 3, 16, 16], kind, name=name)
    x.output(0).get_tensor().set_names({name})
    found = synthetic.Synthesis(ov.Model([ops.result(x)], [x]), tmp_path, 32, 0).feed()[name]
    assert (found.min(), found.max()) == (low, high)
