from pathlib import Path

import numpy as np
import openvino as ov
import pytest

from ovfarm.failures import FailureClass, FailureCode
from ovfarm.recipes import Compress, IgnoredScope, Quantize
from tests.steps.conftest import Benches, network
from workers.kit import ir
from workers.kit.quantized import is_quantized
from workers.protocol import Bench, StepFailed
from workers.steps import compress, quantize


def refused(params: Quantize, made: Bench) -> StepFailed:
    with pytest.raises(StepFailed) as caught:
        quantize.run(params, made)
    assert caught.value.failure.failure_class is FailureClass.USER
    return caught.value


def dataset(tmp_path: Path, **arrays: object) -> Path:
    folder = tmp_path / "data"
    folder.mkdir(exist_ok=True)
    np.savez(folder / "d.npz", **arrays)  # type: ignore[arg-type] # any array-like is one
    return folder


def test_weights_become_int8_and_nothing_else_changes(model: Path, rows: Path, bench: Benches) -> None:
    made = bench(model=model, calibration=rows)
    result = quantize.run(Quantize(subset_size=50), made)
    assert result.element_types["i8"] == 16 * 64 + 64 * 4
    assert is_quantized(ir.read(made.outputs))
    assert result.canonical_digest is not None


def test_progress_counts_the_calibration(model: Path, rows: Path, bench: Benches) -> None:
    said: list[tuple[str, int, int]] = []
    made = bench(model=model, calibration=rows)
    heard = Bench(made.inputs, made.outputs, lambda *words: said.append(words), made.parts)
    quantize.run(Quantize(subset_size=20), heard)
    calibrating = [(done, total) for stage, done, total in said if stage == "calibrate"]
    assert calibrating[0][1] == 20
    assert (20, 20) in calibrating


def test_quantizing_twice_is_refused(model: Path, rows: Path, bench: Benches) -> None:
    made = bench(model=model, calibration=rows)
    quantize.run(Quantize(subset_size=10), made)
    again = refused(Quantize(), bench(model=made.outputs, calibration=rows))
    assert again.failure.code is FailureCode.ALREADY_QUANTIZED
    with pytest.raises(StepFailed) as caught:
        compress.run(Compress(), bench(model=made.outputs))
    assert caught.value.failure.code is FailureCode.ALREADY_QUANTIZED


@pytest.mark.parametrize(
    ("arrays", "code", "words"),
    [
        ({"x": np.zeros((5, 15), np.float32)}, FailureCode.DATASET_SHAPE, r"\[\?,16\].*\(5, 15\)"),
        ({"x": np.zeros((5, 4, 16), np.float32)}, FailureCode.DATASET_SHAPE, r"\(5, 4, 16\)"),
        ({"x": np.zeros((0, 16), np.float32)}, FailureCode.DATASET_EMPTY, "no rows"),
        ({"x": np.full((5, 16), np.nan)}, FailureCode.DATASET_NOT_FINITE, "NaN.* in row 0"),
        ({"a": np.zeros((5, 16)), "b": np.zeros(5)}, FailureCode.DATASET_SHAPE, r"\['a', 'b'\].*\['x'\]"),
        ({"x": np.array([["s"] * 16] * 5)}, FailureCode.DATASET_SHAPE, "float32"),
        ({"x": np.zeros((5, 16)), "labels": np.zeros(4, int)}, FailureCode.DATASET_SHAPE, "length"),
    ],
)
def test_bad_data_is_named_before_it_ruins_a_model(
    tmp_path: Path,
    model: Path,
    bench: Benches,
    arrays: dict[str, object],
    code: FailureCode,
    words: str,
) -> None:
    data = dataset(tmp_path, **arrays)
    found = refused(Quantize(), bench(model=model, calibration=data))
    assert found.failure.code is code
    with pytest.raises(AssertionError, match=words):
        raise AssertionError(found.message)


def test_pickled_arrays_are_not_opened(tmp_path: Path, model: Path, bench: Benches) -> None:
    data = dataset(tmp_path, x=np.array([{"a": 1}] * 5, dtype=object))
    found = refused(Quantize(), bench(model=model, calibration=data))
    assert found.failure.code is FailureCode.DATASET_UNREADABLE


def test_what_is_no_npz_is_said_to_be_none(tmp_path: Path, model: Path, bench: Benches) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "d.npz").write_bytes(b"PK\x03\x04 not really")
    found = refused(Quantize(), bench(model=model, calibration=folder))
    assert found.failure.code is FailureCode.DATASET_UNREADABLE


def test_an_ignored_scope_that_names_nothing_is_refused(model: Path, rows: Path, bench: Benches) -> None:
    params = Quantize(ignored_scope=IgnoredScope(names=("no such node",)))
    found = refused(params, bench(model=model, calibration=rows))
    assert found.failure.code is FailureCode.IGNORED_SCOPE
    everything = Quantize(ignored_scope=IgnoredScope(types=("MatMul",)))
    found = refused(everything, bench(model=model, calibration=rows))
    assert found.failure.code is FailureCode.NOTHING_QUANTIZED


@pytest.mark.parametrize("mode", ["int8_sym", "int8_asym"])
def test_weights_are_compressed(model: Path, bench: Benches, mode: str) -> None:
    made = bench(model=model)
    result = compress.run(Compress.model_validate({"mode": mode}), made)
    assert ir.LOW_BIT & result.element_types.keys()
    assert (made.outputs / "model.bin").stat().st_size < (model / "model.bin").stat().st_size / 2


@pytest.mark.parametrize(("hidden", "hint"), [(24, "group_size=8"), (96, "group_size=16")])
def test_a_group_size_that_does_not_divide_names_one_that_does(
    tmp_path: Path, bench: Benches, hidden: int, hint: str
) -> None:
    folder = tmp_path / "odd"
    folder.mkdir()
    ov.save_model(network(hidden=hidden), folder / "model.xml", compress_to_fp16=False)
    params = Compress(mode="int4_sym", group_size=64, all_layers=True)
    with pytest.raises(StepFailed) as caught:
        compress.run(params, bench(model=folder))
    assert caught.value.failure.code is FailureCode.GROUP_SIZE
    assert hint in (caught.value.failure.hint or "")
    fitting = int(hint.partition("=")[2])
    made = bench(model=folder)
    result = compress.run(params.model_copy(update={"group_size": fitting}), made)
    assert {"i4", "u4"} & result.element_types.keys()
