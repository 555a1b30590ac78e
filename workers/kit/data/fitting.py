"""Whether rows fit an input: their shape, their type, their values."""

from math import prod
from typing import Any

import numpy as np
import openvino as ov

from ovfarm.failures import FailureCode
from ovfarm.patches import Patch
from workers.kit.data.rows import Array, bad, rows_named


def check(port: ov.Output, shape: tuple[int, ...], dtype: np.dtype[np.generic]) -> None:
    """Raise StepFailed when rows of this shape and type cannot be fed to an input."""
    name, taken = port.get_any_name(), port.get_partial_shape()
    if not shape:
        raise bad(FailureCode.DATASET_SHAPE, f"the array for {name!r} is one number, not rows")
    if not _fits(taken, shape):
        words = f"input {name!r} takes {taken.to_string()}, the data is {shape}"
        hint, patches = _turned(name, taken, shape)
        raise bad(FailureCode.DATASET_SHAPE, words, hint=hint, patches=patches)
    target = np.dtype(port.get_element_type().to_dtype())
    if not np.can_cast(dtype, target, "same_kind") and dtype.kind not in "biu":
        raise bad(FailureCode.DATASET_SHAPE, f"input {name!r} takes {target}, the data is {dtype}")


def _fits(taken: ov.PartialShape, shape: tuple[int, ...]) -> bool:
    """Tell whether rows have an input's shape, the number of rows aside."""
    if taken.rank.is_dynamic:
        return True
    return taken.rank.get_length() == len(shape) and all(
        dimension.compatible(ov.Dimension(size))
        for dimension, size in list(zip(taken, shape, strict=True))[1:]
    )


# What is last comes first in each row, or the other way round: pictures of the other layout.
_TURNS = {3: ((0, 2, 1),), 4: ((0, 3, 1, 2), (0, 2, 3, 1))}
_LAYOUTS = {(0, 3, 1, 2): ("NHWC", "NCHW"), (0, 2, 3, 1): ("NCHW", "NHWC")}


def _turned(
    name: str, taken: ov.PartialShape, shape: tuple[int, ...]
) -> tuple[str | None, tuple[Patch, ...]]:
    """Return what to say, and the change that helps, where rows would fit if they were transposed."""
    for order in _TURNS.get(len(shape), ()):
        if _fits(taken, tuple(shape[axis] for axis in order)):
            hint = f"the rows fit when they are transposed: array.transpose{order}"
            if order not in _LAYOUTS:
                return hint, ()
            data, model = _LAYOUTS[order]
            wanted = {name: {"layout": data, "model_layout": model}}
            why = f"the model takes {data} and turns it itself, with no other preprocessing"
            return hint, (Patch(why=why, overrides={"convert.preprocessing": wanted}),)
    return None, ()


def sides(port: ov.Output) -> list[int] | None:
    """Return the shape of one row of an input, or None when a part of it is open."""
    shape = port.get_partial_shape()
    if shape.rank.is_dynamic or any(side.is_dynamic for side in list(shape)[1:]):
        return None
    return [side.get_length() for side in list(shape)[1:]]


def spread(rows: Array, port: ov.Output) -> Array:
    """Return numbers or flat lists in the shape of an input, where it has as many and is all static."""
    lengths = sides(port)
    if lengths is None or rows.ndim > 2 or prod(rows.shape[1:]) != prod(lengths):
        return rows
    return rows.reshape(len(rows), *lengths)


def fitting(rows: Array, port: ov.Output, numbers: range) -> Array:
    """Return rows in an input's type; raises StepFailed when they do not fit, or are not finite.

    ``numbers`` are those of the rows in the dataset, for who has to look for them there.
    """
    check(port, rows.shape, rows.dtype)
    target = np.dtype(port.get_element_type().to_dtype())
    _check_range(rows, target, port, numbers)
    with np.errstate(over="ignore", invalid="ignore"):
        found = np.ascontiguousarray(rows, dtype=target)
    if found.dtype.kind == "f" and not (finite := np.isfinite(found)).all():
        where = _where(~finite, numbers)
        raise bad(
            FailureCode.DATASET_NOT_FINITE,
            f"values of {port.get_any_name()!r} are NaN or infinite in {where}",
        )
    return found


def _where(wrong: Array, numbers: range) -> str:
    """Return the rows that hold something wrong, of those that were looked at so far."""
    places = np.flatnonzero(wrong.reshape(len(wrong), -1).any(axis=1))
    looked = f"; rows {numbers[0]} to {numbers[-1]} were looked at" if len(numbers) > 1 else ""
    return rows_named([numbers[place] for place in places]) + looked


def _check_range(rows: Array, target: np.dtype[Any], port: ov.Output, numbers: range) -> None:
    """Raise StepFailed for whole numbers that an input's type does not hold: NumPy would wrap them round."""
    if target.kind not in "biu" or not rows.size:
        return
    low, high = (0, 1) if target.kind == "b" else (np.iinfo(target).min, np.iinfo(target).max)
    for value in (rows.min(), rows.max()):
        if not low <= int(value) <= high:
            raise bad(
                FailureCode.DATASET_SHAPE,
                f"input {port.get_any_name()!r} takes {port.get_element_type().get_type_name()}, which holds "
                f"{low} to {high}; the data has {int(value)} in {_where(rows == value, numbers)}",
                hint="give the values as the model takes them, or another input type "
                "(convert.preprocessing, element_type)",
            )


def filled(rows: Array, size: int) -> Array:
    """Return ``size`` rows: the last is repeated."""
    missing = size - len(rows)
    return rows if not missing else np.concatenate([rows, np.repeat(rows[-1:], missing, axis=0)])
