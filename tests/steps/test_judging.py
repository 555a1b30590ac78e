"""What is not judged by top classes because it has none, and labels that are not those of the model."""

from pathlib import Path

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops

from ovfarm.failures import FailureClass, FailureCode
from ovfarm.gates import GATE_FILE
from ovfarm.recipes import Evaluate, Quantize
from ovfarm.results import StepResult
from ovfarm.tuning import AccuracyControl
from tests.steps.conftest import Benches, network
from tests.steps.makers import X, dataset, linear, saved, wired
from workers.kit import gates, stats
from workers.protocol import StepFailed
from workers.steps import evaluate, quantize


def values(result: StepResult) -> dict[str, float]:
    return {measured.name: measured.value for measured in result.measurements}


def one_number(factor: float = 1.0, shift: float = 0.0) -> ov.Model:
    """Return a model whose rows end in one number."""
    return wired(
        lambda x: ops.add(
            ops.multiply(linear(x, 1), ops.constant(np.float32(factor))), ops.constant(np.float32(shift))
        )
    )


@pytest.fixture
def regressor(tmp_path: Path) -> Path:
    return saved(tmp_path / "regressor", one_number())


@pytest.fixture
def unlabelled(tmp_path: Path) -> Path:
    return dataset(tmp_path / "unlabelled", x=X)


@pytest.mark.parametrize(("factor", "shift"), [(0.0, 0.0), (0.5, 0.0), (1.0, 3.0), (-1.0, 0.0)])
def test_one_number_a_row_is_judged_by_what_is_left_of_its_spread(
    factor: float, shift: float, tmp_path: Path, regressor: Path, unlabelled: Path, bench: Benches
) -> None:
    """The highest of one number is always the same, so these would all agree with the reference."""
    other = saved(tmp_path / "other", one_number(factor, shift))
    made = bench(model=other, reference=regressor, evaluation=unlabelled)
    result = evaluate.run(Evaluate(max_drop=0.1), made)
    gate = gates.read(made.outputs)
    assert (gate.passed, gate.metric) == (False, "r_squared")
    assert "one number a row" in gate.words
    mine, theirs = (
        ov.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(X)[0].astype(np.float64)
        for model in (one_number(factor, shift), one_number())
    )
    expected = 1 - ((mine - theirs) ** 2).sum() / ((theirs - theirs.mean()) ** 2).sum()
    assert values(result)["r_squared"] == pytest.approx(expected, rel=1e-4, abs=1e-6)
    assert "agreement" not in values(result)
    assert any(note.code == "outputs_differ" and "R²" in note.message for note in result.notes)


def test_one_number_that_is_kept_passes(regressor: Path, unlabelled: Path, bench: Benches) -> None:
    made = bench(model=regressor, reference=regressor, evaluation=unlabelled)
    assert values(evaluate.run(Evaluate(max_drop=0), made))["r_squared"] == 1.0
    assert gates.read(made.outputs).passed


def test_the_spread_counts_and_not_the_distance_from_zero() -> None:
    theirs = 1e6 + np.random.default_rng(0).normal(size=1000)
    fit = stats.Fit()
    for part in np.split(theirs, 10):
        fit.add(np.full(100, 1e6), part)
    assert fit.r_squared == pytest.approx(0, abs=0.01)


@pytest.mark.parametrize(
    ("mine", "theirs", "expected"),
    [
        ([5.0], [5.0], 1.0),
        ([0.0], [5.0], 0.0),
        ([1.0], [0.0], 0.0),
        ([0.0], [0.0], 1.0),
        ([4, 4], [5, 5], 0.96),
    ],
)
def test_where_there_is_no_spread_the_numbers_themselves_count(
    mine: list[float], theirs: list[float], expected: float
) -> None:
    fit = stats.Fit()
    fit.add(np.array(mine), np.array(theirs))
    assert fit.r_squared == pytest.approx(expected)


@pytest.mark.parametrize(
    ("mine", "theirs", "expected"), [([0, 0], [1, 2], 1), ([1, 2], [0, 0], 1), ([0, 0], [0, 0], 0)]
)
def test_zeros_are_equal_to_zeros_alone(mine: list[float], theirs: list[float], expected: float) -> None:
    assert stats.cosine_distance(np.array([mine], float), np.array([theirs], float)) == expected


def test_a_model_that_has_fallen_silent_is_far(
    tmp_path: Path, model: Path, unlabelled: Path, bench: Benches
) -> None:
    silent = wired(lambda x: ops.multiply(linear(x), ops.constant(np.float32(0))))
    made = bench(model=saved(tmp_path / "zeros", silent), reference=model, evaluation=unlabelled)
    result = evaluate.run(Evaluate(), made)
    assert values(result)["cosine_distance"] == 1.0
    assert "outputs_differ" in [note.code for note in result.notes]


def tokens(classes: int) -> ov.Model:
    return wired(lambda x: ops.reshape(linear(x, 2 * classes), ops.constant([-1, 2, classes]), False))


@pytest.mark.parametrize(
    ("content", "labels", "words"),
    [
        (one_number, np.arange(64) % 2, r"\[rows, 1\]: one number a row"),
        (lambda: tokens(4), np.arange(64) % 4, r"\[rows, 2, 4\]: several scores"),
        (network, np.arange(64) % 5, "label 4 is no class: the model has 4, so labels are 0 to 3"),
        (network, np.arange(64) % 5 - 1, "label -1 is no class"),
    ],
)
def test_labels_that_are_not_the_model_s_are_refused(
    content: object, labels: object, words: str, tmp_path: Path, bench: Benches
) -> None:
    model = saved(tmp_path / "m", content())  # type: ignore[operator] # makers of models
    rows = dataset(tmp_path / "rows", x=X, labels=labels)
    with pytest.raises(StepFailed, match=words) as evaluated:
        evaluate.run(Evaluate(), bench(model=model, reference=model, evaluation=rows))
    with pytest.raises(StepFailed, match=words) as controlled:
        made = bench(model=model, calibration=rows, evaluation=rows)
        quantize.run(Quantize(subset_size=20, accuracy=AccuracyControl()), made)
    for refused in (evaluated, controlled):
        assert refused.value.failure.code is FailureCode.LABELS_MISFIT
        assert refused.value.failure.failure_class is FailureClass.USER
        assert refused.value.failure.hint


def test_sides_of_one_are_no_hindrance(tmp_path: Path, model: Path, bench: Benches) -> None:
    """Many a network for images ends in [rows, classes, 1, 1]."""
    rows = dataset(tmp_path / "rows")
    flat = ov.Core().read_model(model / "model.xml")
    tall = ops.reshape(flat.output(0).get_node().input_value(0), ops.constant([-1, 4, 1, 1]), False)
    tall.output(0).get_tensor().set_names({"tall"})
    folder = saved(tmp_path / "tall", ov.Model([ops.result(tall)], flat.get_parameters(), "tall"))
    assert values(evaluate.run(Evaluate(), bench(model=folder, evaluation=rows)))["accuracy"] == 1.0


def test_accuracy_control_of_single_numbers_looks_at_the_numbers(
    regressor: Path, unlabelled: Path, bench: Benches
) -> None:
    made = bench(model=regressor, calibration=unlabelled, evaluation=unlabelled)
    result = quantize.run(
        Quantize(subset_size=20, accuracy=AccuracyControl(max_drop=0.1, strict=False)), made
    )
    assert values(result)["accuracy_before"] == 1.0
    assert 0.9 < values(result)["accuracy_after"] < 1.0
    assert result.element_types["i8"] == 16


def test_what_accuracy_control_could_not_keep_is_named(
    tmp_path: Path, unlabelled: Path, bench: Benches
) -> None:
    """One layer is left of a network of two when only one may go back."""
    two = saved(tmp_path / "two", wired(lambda x: linear(ops.tanh(linear(x, 16)), 1)))
    control = AccuracyControl(max_drop=0.0, max_num_iterations=1, strict=False)
    made = bench(model=two, calibration=unlabelled, evaluation=unlabelled)
    result = quantize.run(Quantize(subset_size=20, accuracy=control), made)
    assert "R² to the original's numbers fell from 1.0000" in result.notes[0].message


def not_a_number() -> ov.Model:
    return wired(lambda x: ops.log(ops.subtract(linear(x), ops.constant(np.float32(1e9)))))


def test_nan_passes_no_gate_and_fails_no_job_with_one(
    tmp_path: Path, model: Path, unlabelled: Path, bench: Benches
) -> None:
    broken = saved(tmp_path / "broken", not_a_number())
    made = bench(model=broken, reference=model, evaluation=unlabelled)
    result = evaluate.run(Evaluate(max_drop=1), made)
    gate = gates.read(made.outputs)
    assert gate.failed
    assert "NaN or infinite" in gate.words
    assert [note.code for note in result.notes] == ["gate_failed"]
    assert values(result) == {"drop": 1.0}
    without = bench(model=broken, reference=model, evaluation=unlabelled)
    with pytest.raises(StepFailed) as caught:
        evaluate.run(Evaluate(), without)
    assert caught.value.failure.code is FailureCode.OUTPUT_NOT_FINITE


def test_a_reference_of_nan_is_a_failure_under_a_gate_too(
    tmp_path: Path, unlabelled: Path, bench: Benches
) -> None:
    broken = saved(tmp_path / "broken", not_a_number())
    made = bench(model=broken, reference=broken, evaluation=unlabelled)
    with pytest.raises(StepFailed) as caught:
        evaluate.run(Evaluate(max_drop=1), made)
    assert caught.value.failure.code is FailureCode.OUTPUT_NOT_FINITE
    assert not (made.outputs / GATE_FILE).exists()


def package(folder: Path, *models: ov.Model) -> Path:
    """Write a model of several networks."""
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    for number, model in enumerate(models):
        ov.save_model(model, folder / f"openvino_part{number}_model.xml", compress_to_fp16=False)
    return folder


@pytest.mark.parametrize(
    "spoilt", [not_a_number, lambda: wired(lambda x: ops.multiply(linear(x), ops.constant(np.float32(0))))]
)
def test_a_network_of_several_that_is_silent_or_broken_passes_no_gate(
    spoilt: object, tmp_path: Path, bench: Benches
) -> None:
    whole = package(tmp_path / "whole", network(), wired(linear))
    broken = package(tmp_path / "broken", network(), spoilt())  # type: ignore[operator] # makers of models
    made = bench(model=broken, reference=whole)
    evaluate.run(Evaluate(max_drop=0.5), made)
    assert gates.read(made.outputs).failed


def test_what_tells_columns_apart_tells_no_row_from_another() -> None:
    """A model that says the same of every row has lost everything, however far its columns are apart."""
    dice = np.random.default_rng(3)
    for shape in ((256, 4), (64, 5, 4)):
        theirs = dice.normal(size=shape) + np.array([10, 20, 300, 400])
        fit = stats.Fit()
        for part in np.split(theirs, 4):
            fit.add(np.broadcast_to(theirs.reshape(-1, 4).mean(axis=0), part.shape), part)
        assert fit.r_squared == pytest.approx(0, abs=0.01)


def test_rows_of_several_lengths_are_one_column() -> None:
    fit = stats.Fit()
    for width in (3, 5):
        numbers = np.arange(2.0 * width).reshape(2, width)
        fit.add(numbers + 0.5, numbers)
    whole = np.concatenate([np.arange(6.0), np.arange(10.0)])
    assert fit.r_squared == pytest.approx(1 - 16 * 0.25 / ((whole - whole.mean()) ** 2).sum())


@pytest.mark.parametrize(
    ("off", "tolerance", "kept"),
    [(1e-7, 0.0, True), (1e-5, 0.0, False), (5e-4, 1e-3, True), (2e-3, 1e-3, False)],
)
def test_rounding_is_no_loss(off: float, tolerance: float, *, kept: bool) -> None:
    fit = stats.Fit(tolerance)
    fit.add(np.full((8, 2), off), np.zeros((8, 2)))
    assert (fit.r_squared == 1.0) is kept


def test_labels_of_which_none_counts_are_refused(tmp_path: Path, bench: Benches) -> None:
    x = np.random.default_rng(0).normal(size=(8, 4, 16)).astype(np.float32)
    tokens = saved(tmp_path / "m", wired(linear, [-1, 4, 16]))
    rows = dataset(tmp_path / "rows", x=x, labels=np.full((8, 4), -100))
    with pytest.raises(StepFailed, match="all labels are -100") as caught:
        evaluate.run(Evaluate(), bench(model=tokens, reference=tokens, evaluation=rows))
    assert caught.value.failure.code is FailureCode.LABELS_MISFIT
