"""What is said of data that does not fit: which rows, which columns, and what would mend it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import csv, parquet

from ovfarm.datasets import PLAIN, Reading
from ovfarm.failures import FailureCode
from ovfarm.recipes import Evaluate
from tests.steps.conftest import Benches
from tests.steps.files import WRITERS, Arrays
from tests.steps.makers import doubled, saved, wired
from workers.protocol import StepFailed
from workers.steps import evaluate


def failing(made_of: Path, model: Path, bench: Benches, part: str = "all") -> StepFailed:
    made = bench(model=model, reference=model, evaluation=made_of)
    made.parts["evaluation"] = part
    with pytest.raises(StepFailed) as caught:
        evaluate.run(Evaluate(), made)
    return caught.value


def table(tmp_path: Path, name: str, *lines: str) -> Path:
    folder = tmp_path / "table"
    folder.mkdir()
    (folder / name).write_text("\n".join(lines) + "\n")
    return folder


@pytest.mark.parametrize("form", sorted(WRITERS))
def test_the_rows_that_are_bad_are_named(tmp_path: Path, form: str, model: Path, bench: Benches) -> None:
    x = np.zeros((80, 16), np.float32)
    x[7, 3] = x[9, :2] = x[50, 0] = np.nan
    folder = tmp_path / "data"
    folder.mkdir()
    WRITERS[form](folder, {"x": x})
    failure = failing(folder, model, bench, part="odd").failure
    assert failure.code is FailureCode.DATASET_NOT_FINITE
    assert failure.message == (
        "values of 'x' are NaN or infinite in rows 7, 9 (from 0); rows 1 to 63 were looked at"
    )


def test_of_many_bad_rows_the_first_are_named(tmp_path: Path, model: Path, bench: Benches) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    WRITERS["npz"](folder, {"x": np.full((32, 16), np.inf, np.float32)})
    words = "rows 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 22 more (from 0)"
    assert words in failing(folder, model, bench).failure.message


GOOD, SHORT = json.dumps([0.5] * 16), json.dumps([0.5] * 15)


@pytest.mark.parametrize(
    ("name", "lines", "words"),
    [
        ("d.jsonl", [f'{{"x": {row}}}' for row in [GOOD] * 5 + [SHORT, GOOD]],
         "line 6 of d.jsonl has in 'x' 15 numbers, where others have 16 numbers"),
        ("d.jsonl", [f'{{"x": {row}}}' for row in [SHORT, GOOD, GOOD]], "line 1 of d.jsonl"),
        ("d.jsonl", [f'{{"x": {row}}}' for row in [GOOD, GOOD, '[[1], "a"]']],
         "line 3 of d.jsonl has in 'x' lists of different lengths, or other things than numbers"),
        ("d.csv", ["x", *[f'"{row}"' for row in [GOOD] * 5 + [SHORT, GOOD]]],
         "the column 'x' has 15 numbers, where others have 16 numbers, in row 5 (from 0)"),
        ("d.csv", ["x", *[f'"{row}"' for row in [GOOD, "[1, oops]", GOOD]]], "in row 1 (from 0)"),
        ("d.csv", [",".join(f"p{n}" for n in range(16)), *[",".join(["1"] * 16)] * 3, "1,1,1," + ",1" * 12],
         "values of 'p3' are missing in row 3 (from 0)"),
    ],
)  # fmt: skip
def test_the_line_that_differs_is_named(
    tmp_path: Path, name: str, lines: list[str], words: str, model: Path, bench: Benches
) -> None:
    assert words in failing(table(tmp_path, name, *lines), model, bench).failure.message


@pytest.mark.parametrize(("bad", "words"), [
    ([[0.5] * 16, [0.5] * 15, [0.5] * 16], "lists of 15 numbers, where others have 16, in row 1 (from 0)"),
    ([[0.5] * 16, [0.5] * 16, [0.5] * 15 + [None]], "values of 'x' are missing in row 2 (from 0)"),
])  # fmt: skip
def test_the_row_of_a_parquet_that_differs_is_named(
    tmp_path: Path, bad: list[object], words: str, model: Path, bench: Benches
) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    parquet.write_table(pa.table({"x": bad}), folder / "d.parquet")
    assert words in failing(folder, model, bench).failure.message


def wide(tmp_path: Path, form: str, *, more: dict[str, list[object]], arrays: Arrays) -> Path:
    """Write a table with a column for each value of x, between an ``id`` and what there is ``more``."""
    columns = {f"p{number}": arrays["x"][:, number].tolist() for number in range(16)}
    made = pa.table({"id": [f"row {n}" for n in range(len(arrays["x"]))], **columns, **more})
    folder = tmp_path / form
    folder.mkdir(parents=True)
    if form == "csv":
        csv.write_csv(made, folder / "d.csv")
    else:
        parquet.write_table(made, folder / "d.parquet")
    return folder


@pytest.fixture
def arrays(rows: Path) -> Arrays:
    with np.load(rows / "rows.npz") as archive:
        return {name: archive[name] for name in archive.files}


def accuracy(folder: Path, reading: Reading, model: Path, bench: Benches) -> float:
    made = bench(model=model, evaluation=folder)
    made.readings["evaluation"] = reading
    return next(m.value for m in evaluate.run(Evaluate(), made).measurements if m.name == "accuracy")


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_columns_of_text_stand_aside_and_a_range_names_the_others(
    tmp_path: Path, form: str, arrays: Arrays, model: Path, bench: Benches
) -> None:
    labels: dict[str, list[object]] = {"labels": [float(label) for label in arrays["labels"]]}
    assert accuracy(wide(tmp_path, form, more=labels, arrays=arrays), PLAIN, model, bench) == 1.0
    folder = wide(tmp_path / "aged", form, more={"age": [1] * 200, **labels}, arrays=arrays)
    made = bench(model=model, evaluation=folder)
    with pytest.raises(StepFailed) as caught:
        evaluate.run(Evaluate(), made)
    failure = caught.value.failure
    assert failure.message == (
        "the dataset has 1 column of text and 17 columns of numbers for the 16 values of input 'x': "
        "['id', 'p0', 'p1', 'p2', 'p3', 'p4', 'p5', 'p6', 'p7', 'p8' and 8 more]; text is in ['id']"
    )
    assert "--map x=FIRST..LAST" in str(failure.hint)
    assert accuracy(folder, Reading(mapping={"x": "p0..p15"}), model, bench) == 1.0


@pytest.mark.parametrize(("reading", "words", "hint"), [
    (Reading(mapping={"x": "p0..p99"}), "names the column 'p0..p99'", "FIRST..LAST"),
    (Reading(mapping={"x": "p9..p0"}), "names the column 'p9..p0'", "FIRST..LAST"),
    (Reading(mapping={"x": "id..p15"}), "takes the column 'id' in, which holds string", "FIRST..LAST"),
    (Reading(mapping={"x": "p0..p14"}), "takes [?,16], the data is (32, 15)", ""),
    (Reading(mapping={"x": "p_1"}), "names the column 'p_1'", "did you mean 'p1'?"),
    (Reading(mapping={"x1": "p1"}), "names the input 'x1'", "did you mean 'x'?"),
    (Reading(labels="label"), "no column 'label' of labels", "did you mean 'labels'?"),
    (Reading(labels="klass"), "no column 'klass' of labels", "--labels COLUMN"),
    (Reading(labels="id", mapping={"x": "p0..p15"}), "these are <U", "number the classes from 0"),
    (Reading(labels="p0"), "is none, in rows 0, 1", "--labels COLUMN"),
])  # fmt: skip
def test_a_column_that_is_not_there_is_answered_with_those_that_are(
    tmp_path: Path, reading: Reading, words: str, hint: str, arrays: Arrays, model: Path, bench: Benches
) -> None:
    folder = wide(tmp_path, "csv", more={"labels": arrays["labels"].tolist()}, arrays=arrays)
    made = bench(model=model, evaluation=folder)
    made.readings["evaluation"] = reading
    with pytest.raises(StepFailed) as caught:
        evaluate.run(Evaluate(), made)
    failure = caught.value.failure
    assert words in failure.message
    assert hint in (failure.hint or "")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_labels_may_be_floats_that_are_whole(
    tmp_path: Path, dtype: type, arrays: Arrays, model: Path, bench: Benches
) -> None:
    for form in sorted(WRITERS):
        folder = tmp_path / form
        folder.mkdir()
        WRITERS[form](folder, {**arrays, "labels": arrays["labels"].astype(dtype)})
        assert accuracy(folder, PLAIN, model, bench) == 1.0


@pytest.mark.parametrize(("labels", "words", "hint"), [
    (np.eye(4)[np.zeros(32, int)], "float64 of shape (32, 4)", "argmax(axis=1)"),
    (np.array(["cat"] * 32), "<U3", "number the classes"),
    (np.zeros(32, bool), "bool", "labels.astype(int)"),
    (np.array([0.0] * 31 + [0.5]), "0.5 is none, in row 31 (from 0)", "number the classes"),
    (np.array([0.0] * 31 + [1e300]), "1e+300 is none, in row 31 (from 0)", "number the classes"),
])  # fmt: skip
def test_labels_that_are_no_class_numbers_are_answered_with_what_makes_them_such(
    tmp_path: Path, labels: Any, words: str, hint: str, model: Path, bench: Benches
) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    WRITERS["npz"](folder, {"x": np.zeros((32, 16)), "labels": labels})
    failure = failing(folder, model, bench).failure
    assert words in failure.message
    assert hint in (failure.hint or "")


@pytest.mark.parametrize(("taken", "given", "order"), [
    ([-1, 3, 4, 5], (8, 4, 5, 3), "(0, 3, 1, 2)"),
    ([-1, 4, 5, 3], (8, 3, 4, 5), "(0, 2, 3, 1)"),
    ([-1, 7, 5], (8, 5, 7), "(0, 2, 1)"),
    ([-1, 7, 5], (8, 5, 6), ""),
])  # fmt: skip
def test_rows_of_another_layout_are_answered_with_the_transposition(
    tmp_path: Path, taken: list[int], given: tuple[int, ...], order: str, bench: Benches
) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    WRITERS["npz"](folder, {"x": np.zeros(given, np.float32)})
    failure = failing(folder, saved(tmp_path / "m", wired(doubled, taken)), bench).failure
    assert failure.code is FailureCode.DATASET_SHAPE
    assert bool(order) == ("transpose" in (failure.hint or ""))
    assert order in (failure.hint or "")
