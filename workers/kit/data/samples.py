"""The rows of a dataset as a model takes them: batches of feeds, and labels for who asks."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import openvino as ov

from ovfarm.failures import FailureCode
from workers.kit.data.binding import Binding, bind
from workers.kit.data.rows import Array, Block, Column, Feed, Kind, Rows, Source, bad, rows_named

# From here on a float does not hold each whole number.
_EXACT = 2**53
_CLASSES = "number the classes from 0 as the model's scores are; or name another column: --labels COLUMN"


@dataclass(frozen=True, slots=True)
class Batch:
    """A feed of as many rows as were asked for, of which the first ``count`` are real."""

    feed: Feed
    count: int
    labels: Array | None


@dataclass(frozen=True, slots=True)
class Samples:
    """The rows of a source that count, bound to a model's inputs."""

    source: Source
    binding: Binding
    rows: range
    label_column: str | None = None

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def labelled(self) -> bool:
        """Whether there is a label for each row."""
        return self.label_column is not None

    def first(self, count: int | None) -> "Samples":
        """Return the first ``count`` rows, or all."""
        return replace(self, rows=self.rows[:count])

    def batches(self, size: int, *, labels: bool = False) -> Iterator[Batch]:
        """Yield all rows in batches of ``size``, the last filled up; raises StepFailed at the first bad one.

        ``labels`` reads the labels too, where there are some.
        """
        column = self.label_column if labels else None
        names = self.binding.columns | ({column} if column else set())
        for number, block in enumerate(self.source.read(names, self.rows, size)):
            rows = self.rows[number * size :][:size]
            found = None if column is None else _checked(block[column], rows)
            yield Batch(self.binding.feed(block, size, rows), len(rows), found)


def _checked(labels: Rows, numbers: range) -> Array:
    """Return the labels of a batch as whole numbers; raises StepFailed when they are none."""
    found = np.asarray(labels)
    if found.dtype.kind == "f" and (found.ndim == 1 or found.size == len(found)):
        found = _whole(found, numbers)
    if not found.size or found.dtype.kind not in "iu":
        raise bad(
            FailureCode.DATASET_SHAPE,
            "labels are whole numbers, one for each row, token or pixel; "
            f"these are {found.dtype} of shape {found.shape}",
            hint=_mended(found),
        )
    return found.reshape(len(found)) if found.size == len(found) else found


def _whole(labels: Array, numbers: range) -> Array:
    """Return floats that are whole as integers; raises StepFailed for others."""
    whole = np.isfinite(labels) & (np.abs(labels) < _EXACT)
    whole[whole] = labels[whole] == np.floor(labels[whole])
    if not whole.all():
        rows = (~whole).reshape(len(labels), -1).any(axis=1)
        where = rows_named([numbers[place] for place in np.flatnonzero(rows).tolist()])
        words = f"labels are whole numbers; {labels[~whole][0]} is none, in {where}"
        raise bad(FailureCode.DATASET_SHAPE, words, hint=_CLASSES)
    return labels.astype(np.int64)


def _mended(labels: Array) -> str:
    """Say what makes class numbers of labels."""
    if labels.ndim == 1:
        return (
            "take labels.astype(int) where they are true and false" if labels.dtype.kind == "b" else _CLASSES
        )
    if labels.ndim == 2 and labels.shape[1] == 1:
        return "take the one number of each row: labels[:, 0].astype(int)"
    return "if they are one-hot, take labels.argmax(axis=1); else name the column of labels: --labels COLUMN"


class _Drawn:
    """Arrays in memory as a source."""

    def __init__(self, arrays: Feed) -> None:
        self._arrays = arrays
        self.columns = {
            name: Column(Kind.ARRAY, "", array.shape, array.dtype) for name, array in arrays.items()
        }

    def length(self, names: object) -> int:
        del names
        return len(next(iter(self._arrays.values())))

    def read(self, names: object, rows: range, size: int) -> Iterator[Block]:
        del names
        for at in range(0, len(rows), size):
            yield {name: array[at : at + size] for name, array in self._arrays.items()}


def drawn(arrays: Feed, model: ov.Model) -> Samples:
    """Return rows that are in memory, bound to a model's inputs."""
    source = _Drawn(arrays)
    return Samples(source, bind(source, model), range(len(next(iter(arrays.values())))))


def batch_size(model: ov.Model, wanted: int) -> int:
    """Return the batch that a model takes: its own if that is fixed, else ``wanted``."""
    shape = model.inputs[0].get_partial_shape()
    if shape.rank.is_static and shape.rank.get_length() and shape[0].is_static:
        return int(shape[0].get_length())
    return wanted
