"""Every format of a dataset, through the steps that use it."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import openvino as ov
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openvino import opset13 as ops

from ovfarm.datasets import Reading
from ovfarm.failures import FailureClass, FailureCode
from ovfarm.recipes import Benchmark, Compress, Evaluate, Quantize
from ovfarm.results import StepResult
from tests.steps.conftest import Benches, network
from tests.steps.files import WRITERS, Arrays
from tests.steps.makers import saved
from workers.kit import data
from workers.protocol import Bench, StepFailed
from workers.steps import benchmark, compress, evaluate, quantize


@pytest.fixture
def arrays(rows: Path) -> Arrays:
    with np.load(rows / "rows.npz") as archive:
        return {name: archive[name] for name in archive.files}


def written(folder: Path, form: str, arrays: Arrays) -> Path:
    folder.mkdir()
    WRITERS[form](folder, arrays)
    return folder


def accuracy(result: StepResult) -> float:
    return next(m.value for m in result.measurements if m.name == "accuracy")


def refused(made: Bench) -> StepFailed:
    with pytest.raises(StepFailed) as caught:
        evaluate.run(Evaluate(), made)
    assert caught.value.failure.failure_class is FailureClass.USER
    return caught.value


@pytest.mark.parametrize("form", WRITERS)
def test_every_format_judges_and_calibrates(
    tmp_path: Path, form: str, arrays: Arrays, model: Path, bench: Benches
) -> None:
    folder = written(tmp_path / "data", form, arrays)
    made = bench(model=model, reference=model, evaluation=folder, calibration=folder)
    result = evaluate.run(Evaluate(), made)
    assert accuracy(result) == 1.0
    assert result.measurements[0].conditions.samples == 200
    assert quantize.run(Quantize(subset_size=20), made).element_types["i8"] == 16 * 64 + 64 * 4


@pytest.mark.parametrize("form", WRITERS)
def test_mapped_columns_feed_the_inputs_that_are_named(
    tmp_path: Path, form: str, arrays: Arrays, model: Path, bench: Benches
) -> None:
    named = {"noise": arrays["x"][::-1].copy(), "pixels": arrays["x"], "class": arrays["labels"]}
    folder = written(tmp_path / "data", form, named)
    made = bench(model=model, evaluation=folder)
    made.readings["evaluation"] = Reading(mapping={"x": "pixels"}, labels="class")
    assert accuracy(evaluate.run(Evaluate(), made)) == 1.0
    made.readings["evaluation"] = Reading(mapping={"x": "noise"}, labels="class")
    assert accuracy(evaluate.run(Evaluate(), made)) < 0.9


@given(data=st.data(), form=st.sampled_from(sorted(WRITERS)))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_batches_are_the_rows_whatever_their_size(
    data: st.DataObject, form: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    count = data.draw(st.integers(2, 40), "rows")
    size, kept = data.draw(st.integers(1, 45), "size"), data.draw(st.integers(1, 50), "first")
    part, step = data.draw(st.sampled_from([("all", 1), ("even", 2), ("odd", 2)]), "part")
    x = np.arange(count * 16, dtype=np.float32).reshape(count, 16) / 8
    folder = written(tmp_path_factory.mktemp("d") / "d", form, {"x": x, "labels": np.arange(count)})
    made = Bench({"evaluation": folder}, folder, lambda *_: None, {"evaluation": part})
    samples = samples_of(made).first(kept)
    batches = list(samples.batches(size, labels=True))
    expected = x[int(part == "odd") :: step][:kept]
    assert len(samples) == len(expected)
    assert all(len(batch.feed["x"]) == size for batch in batches)
    assert np.array_equal(np.concatenate([batch.feed["x"][: batch.count] for batch in batches]), expected)
    labels = np.concatenate([batch.labels for batch in batches if batch.labels is not None])
    assert np.array_equal(labels, np.arange(count)[int(part == "odd") :: step][:kept])


def samples_of(made: Bench) -> data.Samples:
    return data.load(made, "evaluation", network())


def test_columns_of_numbers_stand_side_by_side(
    tmp_path: Path, arrays: Arrays, model: Path, bench: Benches
) -> None:
    columns = {f"f{number}": arrays["x"][:, number] for number in range(16)} | {"labels": arrays["labels"]}
    for form in ("csv", "parquet"):
        folder = written(tmp_path / form, form, columns)
        assert accuracy(evaluate.run(Evaluate(), bench(model=model, evaluation=folder))) == 1.0


def test_a_csv_that_begins_with_whole_numbers_goes_on_with_others(
    tmp_path: Path, model: Path, bench: Benches
) -> None:
    folder = tmp_path / "late"
    folder.mkdir()
    header = ",".join(f"f{number}" for number in range(16))
    rows = ["1" + ",1" * 15] * 600_000 + ["0.5" + ",1" * 15]
    (folder / "d.csv").write_text("\n".join([header, *rows]) + "\n")
    made = bench(model=model, evaluation=folder)
    assert len(data.load(made, "evaluation", network())) == 600_001


def test_all_steps_take_a_table(tmp_path: Path, arrays: Arrays, model: Path, bench: Benches) -> None:
    folder = written(tmp_path / "data", "parquet", arrays)
    made = bench(model=model, reference=model, evaluation=folder, calibration=folder)
    assert benchmark.run(Benchmark(time_budget_s=1), made).verdict is not None
    compress.run(Compress(mode="int4_sym", group_size=16, awq=True, subset_size=8), made)
    assert (made.outputs / "model.xml").exists()


BAD = {
    "ragged": ("d.csv", "x,labels\n1,2\n3\n", FailureCode.DATASET_UNREADABLE, "Row #3"),
    "two of one name": ("d.csv", "x,x\n1,2\n", FailureCode.DATASET_UNREADABLE, "two columns"),
    "no rows": ("d.csv", "x,labels\n", FailureCode.DATASET_EMPTY, "no rows"),
    "no lines": ("d.jsonl", "\n\n", FailureCode.DATASET_EMPTY, "no rows"),
    "nested": ("d.jsonl", '{"x": {"a": 1}}\n', FailureCode.DATASET_SHAPE, "holds dict"),
    "deep": ("d.jsonl", '{"x": ' + "[" * 100_000 + "\n", FailureCode.DATASET_UNREADABLE, "line 1"),
    "no object": ("d.jsonl", '{"x": [0]}\n[1]\n', FailureCode.DATASET_UNREADABLE, "line 2"),
    "long": ("d.jsonl", '{"x": "' + "a" * (17 << 20), FailureCode.DATASET_UNREADABLE, "longer than"),
    "long row": ("d.csv", "x\n1\n" + "a" * (40 << 20) + "\n1\n", FailureCode.DATASET_UNREADABLE, "straddl"),
    "text for numbers": ("d.txt", "hello\n", FailureCode.DATASET_SHAPE, "holds str"),
    "two lengths": ("d.jsonl", '{"x": [0]}\n{"x": [0, 1]}\n', FailureCode.DATASET_SHAPE, "line 2"),
    "missing": ("d.jsonl", '{"x": [0]}\n{"y": 1}\n', FailureCode.DATASET_NOT_FINITE, "line 2"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_table_is_named(tmp_path: Path, name: str, model: Path, bench: Benches) -> None:
    file, content, code, words = BAD[name]
    folder = tmp_path / "bad"
    folder.mkdir()
    (folder / file).write_text(content)
    found = refused(bench(model=model, reference=model, evaluation=folder))
    assert (found.failure.code, words in found.message) == (code, True), found.message


@pytest.mark.parametrize("form", ["npz", "npy", "parquet", "csv", "jsonl"])
@pytest.mark.parametrize(("labels", "words"), [(np.nan, "whole numbers"), (0.5, "whole numbers")])
def test_labels_are_whole_numbers(
    tmp_path: Path, form: str, labels: float, words: str, model: Path, bench: Benches
) -> None:
    x = np.zeros((4, 16), np.float32)
    folder = written(tmp_path / "data", form, {"x": x, "labels": np.array([0, 1, labels, 1])})
    found = refused(bench(model=model, evaluation=folder))
    assert found.failure.code in {FailureCode.DATASET_SHAPE, FailureCode.DATASET_NOT_FINITE}
    assert words in found.message or "missing" in found.message


@pytest.mark.parametrize("form", ["npz", "npy", "parquet", "csv", "jsonl"])
def test_a_bad_row_ends_a_calibration(tmp_path: Path, form: str, model: Path, bench: Benches) -> None:
    x = np.zeros((20, 16), np.float32)
    x[7, 3] = np.nan
    folder = written(tmp_path / "data", form, {"x": x})
    with pytest.raises(StepFailed, match=r"values of 'x' are NaN .* in row 7 \(from 0\)") as caught:
        quantize.run(Quantize(subset_size=20), bench(model=model, calibration=folder))
    assert caught.value.failure.code is FailureCode.DATASET_NOT_FINITE


@pytest.mark.parametrize("form", sorted(WRITERS))
@pytest.mark.parametrize("value", [300, -1])
def test_numbers_that_an_input_does_not_hold_are_refused(
    value: int, form: str, tmp_path: Path, bench: Benches
) -> None:
    """NumPy would make 44 of 300, and 255 of -1."""
    rows = np.full((40, 16), 255, np.int64)
    rows[35, 3] = value
    model = ov.Core().read_model(saved(tmp_path / "m", bytes_in()) / "model.xml")
    made = bench(evaluation=written(tmp_path / "data", form, {"x": rows}))
    batches = data.load(made, "evaluation", model).batches(32)
    assert next(batches).feed["x"].dtype == np.uint8
    with pytest.raises(StepFailed, match=f"takes u8, which holds 0 to 255; the data has {value} in row 35"):
        next(batches)


def bytes_in() -> ov.Model:
    """Return a model that takes pixels."""
    x = ops.parameter([-1, 16], ov.Type.u8, name="x")
    x.output(0).get_tensor().set_names({"x"})
    return ov.Model([ops.result(ops.convert(x, "f32"))], [x], "bytes")


def test_a_mapping_that_does_not_fit_says_what_there_is(model: Path, rows: Path, bench: Benches) -> None:
    made = bench(model=model, evaluation=rows)
    for reading, words in (
        (Reading(mapping={"z": "x"}), "input 'z'; the model's are ['x']"),
        (Reading(mapping={"x": "z"}), "column 'z'; the dataset has ['x']"),
        (Reading(labels="z"), "no column 'z' of labels"),
    ):
        made.readings["evaluation"] = reading
        assert words in refused(made).message


def test_a_dataset_larger_than_memory_is_read(tmp_path: Path, model: Path) -> None:
    """A gigabyte of rows, in a process that may take far less beyond what it has when it begins."""
    folder = tmp_path / "large"
    folder.mkdir()
    np.savez_compressed(folder / "d.npz", x=np.zeros((1 << 24, 16), np.float32))
    program = """
import resource, sys
from pathlib import Path
from workers.kit import data, ir
from workers.protocol import Bench
bench = Bench({"d": Path(sys.argv[1])}, Path(), print, {"d": "all"})
samples = data.load(bench, "d", ir.read(Path(sys.argv[2])))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
rows = sum(batch.count for batch in samples.batches(1 << 16))
print(rows, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(folder), str(model)], capture_output=True, text=True, check=True
    )
    rows, grown_kib = map(int, done.stdout.split())
    assert rows == 1 << 24
    assert grown_kib < 200 << 10


def test_arrow_is_for_those_who_read_tables() -> None:
    """Importing it starts a thread, and a zygote that has threads must not fork."""
    program = "import workers.kit.preload, workers.steps.evaluate, sys; print('pyarrow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_what_a_stateful_model_remembers_is_forgotten(tmp_path: Path, bench: Benches) -> None:
    """A model that adds up all that it has seen gives the same for the same row, wherever it stands."""
    x = ops.parameter([-1, 5], ov.Type.f32, name="x")
    x.output(0).get_tensor().set_names({"x"})
    total = ops.read_value(ops.multiply(x, np.float32(0)), "total", ov.Type.f32, ov.PartialShape([-1, 5]))
    added = ops.add(total, x)
    stateful = ov.Model([ops.result(added)], [ops.assign(added, "total")], [x])
    folder = tmp_path / "stateful"
    folder.mkdir()
    ov.save_model(stateful, folder / "model.xml", compress_to_fp16=False)
    labels = np.arange(80) % 5
    rows = np.eye(5, dtype=np.float32)[labels] / (1 + np.arange(80)[:, None] // 32)
    made = written(tmp_path / "rows", "npz", {"x": rows, "labels": labels})
    assert accuracy(evaluate.run(Evaluate(), bench(model=folder, evaluation=made))) == 1.0
