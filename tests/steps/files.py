"""The same rows in every format that the farm reads."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import csv, parquet

Arrays = dict[str, NDArray[Any]]
Writer = Callable[[Path, Arrays], None]


def listed(arrays: Arrays) -> pa.Table:
    return pa.table({name: array.tolist() for name, array in arrays.items()})


def as_npz(folder: Path, arrays: Arrays) -> None:
    np.savez(folder / "d.npz", **arrays)  # type: ignore[arg-type] # its stub takes a flag for an array


def as_packed_npz(folder: Path, arrays: Arrays) -> None:
    np.savez_compressed(folder / "d.npz", **arrays)  # type: ignore[arg-type] # the same


def as_npy(folder: Path, arrays: Arrays) -> None:
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)


def by_columns(folder: Path, arrays: Arrays) -> None:
    as_npy(folder, {name: np.asfortranarray(array) for name, array in arrays.items()})


def as_parquet(folder: Path, arrays: Arrays) -> None:
    parquet.write_table(listed(arrays), folder / "d.parquet", row_group_size=7)


def as_csv(folder: Path, arrays: Arrays) -> None:
    """Write lists in brackets, and numbers as they are."""
    cells = {
        n: a.tolist() if a.ndim == 1 else [json.dumps(row) for row in a.tolist()] for n, a in arrays.items()
    }
    csv.write_csv(pa.table(cells), folder / "d.csv")


def as_jsonl(folder: Path, arrays: Arrays) -> None:
    rows = zip(*(array.tolist() for array in arrays.values()), strict=True)
    lines = (json.dumps(dict(zip(arrays, row, strict=True))) for row in rows)
    (folder / "d.jsonl").write_text("\n".join(lines) + "\n")


WRITERS: dict[str, Writer] = {
    "npz": as_npz,
    "packed npz": as_packed_npz,
    "npy": as_npy,
    "npy by columns": by_columns,
    "parquet": as_parquet,
    "csv": as_csv,
    "jsonl": as_jsonl,
}
