"""What is said of data that does not fit: which rows, which columns, and what would mend it."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from ovfarm.failures import FailureCode
from ovfarm.recipes import Evaluate
from tests.steps.conftest import Benches
from tests.steps.files import WRITERS
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
