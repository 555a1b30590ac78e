"""Datasets: an ``.npz`` of arrays by input name, with optional ``labels``; checked before it is used."""

import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
from numpy.typing import NDArray

from ovfarm.failures import FailureClass, FailureCode
from ovfarm.jobs import Part
from workers.protocol import StepFailed, failed

# What NumPy, the ZIP reader and the parser of an array's header raise when a file lies to them.
_UNREADABLE = (
    ValueError, OSError, EOFError, AttributeError, TypeError, KeyError, SyntaxError, OverflowError,
    MemoryError, RecursionError, NotImplementedError, zipfile.BadZipFile, zlib.error, struct.error,
    tokenize.TokenError,
)  # fmt: skip
Array = NDArray[Any]
Feed = dict[str, Array]
_LABELS = "labels"
_ROWS = {Part.ALL: slice(None), Part.EVEN: slice(0, None, 2), Part.ODD: slice(1, None, 2)}


@dataclass(frozen=True, slots=True)
class Samples:
    """Rows for each model input by name, and their labels if there are any; all of one length."""

    inputs: Feed
    labels: Array | None

    def __len__(self) -> int:
        return len(next(iter(self.inputs.values())))

    def first(self, count: int | None) -> "Samples":
        """Return the first ``count`` rows, or all."""
        labels = None if self.labels is None else self.labels[:count]
        return Samples({name: rows[:count] for name, rows in self.inputs.items()}, labels)

    def batches(self, size: int) -> Iterator[tuple[Feed, int]]:
        """Yield feeds of exactly ``size`` rows and how many of them count: the last is filled up."""
        for at in range(0, len(self), size):
            rows = {name: array[at : at + size] for name, array in self.inputs.items()}
            count = len(next(iter(rows.values())))
            yield {name: _filled(array, size) for name, array in rows.items()}, count


def _filled(rows: Array, size: int) -> Array:
    missing = size - len(rows)
    return rows if not missing else np.concatenate([rows, np.repeat(rows[-1:], missing, axis=0)])


def load(folder: Path, part: str, model: ov.Model) -> Samples:
    """Return the rows of a dataset that count, bound to the model's inputs; raises StepFailed."""
    arrays = _arrays(folder)
    rows = _ROWS[Part(part)]
    labels = arrays.pop(_LABELS, None)
    bound = _bound(arrays, model)
    lengths = {name: len(array) for name, array in bound.items()}
    if labels is not None:
        if not labels.ndim:
            raise _bad(FailureCode.DATASET_SHAPE, "labels are one number, not one for each row")
        lengths[_LABELS] = len(labels)
    if len(set(lengths.values())) != 1:
        raise _bad(FailureCode.DATASET_SHAPE, f"the arrays differ in length: {lengths}")
    samples = Samples(
        {name: array[rows] for name, array in bound.items()},
        None if labels is None else labels[rows],
    )
    if not len(samples):
        raise _bad(FailureCode.DATASET_EMPTY, "the dataset has no rows")
    for name, array in samples.inputs.items():
        _check_finite(name, array)
    return samples


def _arrays(folder: Path) -> Feed:
    files = [path for path in folder.rglob("*") if path.is_file()]
    if len(files) != 1:
        raise _bad(FailureCode.DATASET_UNREADABLE, "a dataset is one .npz file")
    try:
        with files[0].open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return {str(name): np.asarray(archive[name]) for name in archive.files}
    except _UNREADABLE as refused:
        raise _bad(
            FailureCode.DATASET_UNREADABLE,
            f"{files[0].name} is not an .npz of plain arrays",
            evidence=str(refused),
            hint="write it with numpy.savez(path, INPUT=array, labels=array); objects are refused",
        ) from refused


def _bound(arrays: Feed, model: ov.Model) -> Feed:
    inputs = model.inputs
    if len(inputs) == 1 and len(arrays) == 1:
        (array,) = arrays.values()
        return {inputs[0].get_any_name(): _fitting(array, inputs[0])}
    by_name: Feed = {}
    for port in inputs:
        name = next((name for name in port.get_names() if name in arrays), None)
        if name is None:
            raise _bad(
                FailureCode.DATASET_SHAPE,
                f"the dataset has the arrays {sorted(arrays)}, the model's inputs are "
                f"{sorted(i.get_any_name() for i in inputs)}",
                hint="name each array like the input that it is for",
            )
        by_name[port.get_any_name()] = _fitting(arrays[name], port)
    return by_name


def _fitting(array: Array, port: ov.Output) -> Array:
    """Return the rows in the input's type; raises StepFailed when shape or type cannot fit."""
    name, shape = port.get_any_name(), port.get_partial_shape()
    if not array.ndim:
        raise _bad(FailureCode.DATASET_SHAPE, f"the array for {name!r} is one number, not rows")
    wanted = f"input {name!r} takes {shape.to_string()}"
    if shape.rank.is_static and shape.rank.get_length() != array.ndim:
        raise _bad(FailureCode.DATASET_SHAPE, f"{wanted}, the data is {array.shape}")
    for dimension, size in list(zip(shape, array.shape, strict=True))[1:] if shape.rank.is_static else []:
        if not dimension.compatible(ov.Dimension(size)):
            raise _bad(FailureCode.DATASET_SHAPE, f"{wanted}, the data is {array.shape}")
    target = np.dtype(port.get_element_type().to_dtype())
    if not np.can_cast(array.dtype, target, "same_kind") and array.dtype.kind not in "biu":
        raise _bad(FailureCode.DATASET_SHAPE, f"input {name!r} takes {target}, the data is {array.dtype}")
    return np.ascontiguousarray(array, dtype=target)


def _check_finite(name: str, array: Array) -> None:
    if array.dtype.kind != "f":
        return
    bad = int(array.size - np.isfinite(array).sum())
    if bad:
        raise _bad(
            FailureCode.DATASET_NOT_FINITE,
            f"{bad} of {array.size} values of {name!r} are NaN or infinite",
            hint="calibrating on them would ruin the model in silence; clean the data",
        )


def _bad(
    code: FailureCode, message: str, *, hint: str | None = None, evidence: str | None = None
) -> StepFailed:
    return failed(FailureClass.USER, code, message, hint=hint, evidence=evidence)


def random_samples(model: ov.Model, count: int, seed: int) -> Samples:
    """Return seeded standard normal rows (zeros and ones for integers) for a model's inputs."""
    dice = np.random.default_rng(seed)
    inputs: Feed = {}
    for port in model.inputs:
        shape = port.get_partial_shape()
        if shape.rank.is_dynamic or any(dimension.is_dynamic for dimension in list(shape)[1:]):
            raise failed(
                FailureClass.USER,
                FailureCode.DYNAMIC_SHAPE,
                f"input {port.get_any_name()!r} has the shape {shape.to_string()}: random rows have no size",
                hint="give evaluation data: its shapes are used",
            )
        size = (count, *(dimension.get_length() for dimension in list(shape)[1:]))
        dtype = np.dtype(port.get_element_type().to_dtype())
        floating = dtype.kind == "f"
        try:
            rows = dice.standard_normal(size) if floating else dice.integers(0, 2, size)
        except ValueError as refused:
            raise _bad(
                FailureCode.DATASET_SHAPE, f"random rows of {size} are too large: {refused}"
            ) from refused
        inputs[port.get_any_name()] = rows.astype(dtype)
    return Samples(inputs, None)


def batch_size(model: ov.Model, wanted: int) -> int:
    """Return the batch that a model takes: its own if that is fixed, else ``wanted``."""
    shape = model.inputs[0].get_partial_shape()
    if shape.rank.is_static and shape.rank.get_length() and shape[0].is_static:
        return int(shape[0].get_length())
    return wanted
