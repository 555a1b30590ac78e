"""Arrays as NumPy writes them, ``.npy`` and ``.npz``: their headers first, then a few rows at a time.

A file is read as a stream, so that what is compressed takes no more memory than what is not.
"""

import struct
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy

from ovfarm.failures import FailureCode
from workers.kit.data.rows import Array, Block, Column, Kind, bad
from workers.protocol import StepFailed

# What the ZIP reader and the parser of an array's header raise when a file lies to them.
_DAMAGED = (
    ValueError, OSError, EOFError, AttributeError, TypeError, KeyError, SyntaxError, OverflowError,
    RuntimeError, zipfile.BadZipFile, zlib.error, struct.error, tokenize.TokenError,
)  # fmt: skip
_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
_HINT = "write it with numpy.savez(path, INPUT=array, labels=array) or numpy.save; objects are refused"
Opener = Callable[[], IO[bytes]]


@dataclass(frozen=True, slots=True)
class Stored:
    """One array in a file: its header, and where its numbers begin."""

    open: Opener
    start: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    by_columns: bool

    @property
    def row_bytes(self) -> int:
        """The bytes of one row."""
        return prod(self.shape[1:]) * self.dtype.itemsize

    def blocks(self, rows: range, size: int) -> Iterator[Array]:
        """Yield the rows, ``size`` at a time."""
        with self.open() as file:
            whole = self._whole(file) if self.by_columns and len(self.shape) > 1 else None
            for at in range(0, len(rows), size):
                wanted = rows[at : at + size]
                if whole is not None:
                    yield whole[wanted.start : wanted.stop : wanted.step]
                else:
                    yield self._span(file, wanted)

    def _span(self, file: IO[bytes], rows: range) -> Array:
        file.seek(self.start + rows.start * self.row_bytes)
        count = rows[-1] + 1 - rows.start
        found = self._numbers(file, count * self.row_bytes)
        return found.reshape(count, *self.shape[1:])[:: rows.step]

    def _whole(self, file: IO[bytes]) -> Array:
        """Return all of an array that lies column by column, of which no row lies in one piece."""
        file.seek(self.start)
        return self._numbers(file, self.shape[0] * self.row_bytes).reshape(self.shape[::-1]).T

    def _numbers(self, file: IO[bytes], length: int) -> Array:
        content = file.read(length)
        if len(content) != length:
            raise EOFError(f"{length - len(content)} bytes are missing")
        return np.frombuffer(content, self.dtype)


class Arrays:
    """The arrays of an ``.npz``, or of several ``.npy`` files, by name."""

    def __init__(self, label: str, arrays: Mapping[str, Stored]) -> None:
        self._label = label
        self._arrays = arrays
        self.columns = {name: _column(array) for name, array in arrays.items()}

    def length(self, names: Collection[str]) -> int:
        """Return the rows of these arrays; raises StepFailed when they are not of one length."""
        lengths = {name: self._arrays[name].shape[0] for name in names}
        if len(set(lengths.values())) != 1:
            raise bad(FailureCode.DATASET_SHAPE, f"the arrays differ in length: {lengths}")
        return next(iter(lengths.values()))

    def read(self, names: Collection[str], rows: range, size: int) -> Iterator[Block]:
        """Yield rows as ``Source.read``."""
        with _readable(self._label), ExitStack() as opened:
            streams = {name: self._arrays[name].blocks(rows, size) for name in names}
            for stream in streams.values():
                opened.callback(stream.close)  # type: ignore[attr-defined] # they are generators
            for _ in range(0, len(rows), size):
                block: Block = {}
                for name, stream in streams.items():
                    found = next(stream)
                    block[name] = found.tolist() if found.dtype.kind == "U" else found
                yield block


def _column(array: Stored) -> Column:
    text = array.dtype.kind == "U" and len(array.shape) == 1
    words = f"{array.dtype} {array.shape}"
    return Column(Kind.TEXT if text else Kind.ARRAY, words, array.shape, array.dtype)


def from_npz(path: Path) -> Arrays:
    """Return the arrays of an ``.npz``; raises StepFailed."""
    with _readable(path.name), zipfile.ZipFile(path) as archive:
        sizes = {entry.filename: entry.file_size for entry in archive.infolist()}
        found = {name.removesuffix(".npy"): _stored(_member(path, name), sizes[name]) for name in sizes}
    return Arrays(path.name, found)


def _member(path: Path, name: str) -> Opener:
    def opened() -> IO[bytes]:
        with zipfile.ZipFile(path) as archive:
            return archive.open(name)

    return opened


def from_npy(paths: Collection[Path]) -> Arrays:
    """Return the arrays of ``.npy`` files by the stems of their names; raises StepFailed."""
    arrays: dict[str, Stored] = {}
    for path in paths:
        if path.stem in arrays:
            raise bad(FailureCode.DATASET_UNREADABLE, f"two files are named {path.name}")
        with _readable(path.name):
            arrays[path.stem] = _stored(lambda path=path: path.open("rb"), path.stat().st_size)  # type: ignore[misc]
    return Arrays("the dataset", arrays)


def _stored(opener: Opener, size: int) -> Stored:
    """Read a header; raises what ``_DAMAGED`` lists."""
    with opener() as file:
        version = npy.read_magic(file)
        try:
            shape, by_columns, dtype = _HEADERS[version](file)
        except MemoryError:
            raise ValueError("its header is nested too deeply") from None
        start = file.tell()
    if dtype.hasobject or dtype.fields or dtype.subdtype or not all(side >= 0 for side in shape):
        raise ValueError(f"holds {dtype} of the shape {shape}, which are no plain numbers")
    if start + prod(shape) * dtype.itemsize != size:
        raise ValueError(f"its header says {dtype} {shape}, there are {size - start} bytes")
    if shape and shape[0] and not prod(shape[1:]) * dtype.itemsize:
        raise ValueError(f"its rows hold nothing: {shape}")
    return Stored(opener, start, tuple(shape), dtype, by_columns)


@contextmanager
def _readable(label: str) -> Iterator[None]:
    try:
        yield
    except StepFailed:
        raise
    except _DAMAGED as refused:
        raise bad(
            FailureCode.DATASET_UNREADABLE,
            f"{label} is damaged, or does not hold plain arrays: {str(refused)[:200]}",
            evidence=str(refused),
            hint=_HINT,
        ) from refused
