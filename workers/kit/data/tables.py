"""Parquet and CSV by Arrow, read in record batches.

Importing Arrow starts a thread, and the zygote forks: so this module is imported by children alone, and
by those alone that read a table.
"""

import json
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import compute, csv, parquet, types

from ovfarm.failures import FailureCode
from workers.kit.data.lists import Misfits, stacked
from workers.kit.data.rows import Array, Block, Column, Kind, Rows, bad, rows_named
from workers.protocol import StepFailed

# A row may be as long as this, in bytes: Arrow reads no row that does not fit a block.
_BLOCK = 16 << 20
_FEW = 64
_PARSING = csv.ParseOptions(newlines_in_values=True)
# Names of columns, how many rows at a time; what is read is a stream of record batches.
Reader = Callable[[list[str], int], Iterator[pa.RecordBatch]]


class Table:
    """A table as a source: ``count`` rows, read from the beginning each time."""

    def __init__(self, path: Path, columns: Mapping[str, Column], count: int, reader: Reader) -> None:
        self._path = path
        self.columns = columns
        self._count = count
        self._reader = reader

    def length(self, names: Collection[str]) -> int:
        """Return the rows, which all columns have in common."""
        del names
        return self._count

    def read(self, names: Collection[str], rows: range, size: int) -> Iterator[Block]:
        """Yield rows as ``Source.read``."""
        with _readable(self._path):
            held, done = None, 0
            for piece in _wanted(self._reader(list(names), size), rows):
                held = piece if held is None else pa.concat_tables([held, piece])
                while held.num_rows >= size or done + held.num_rows == len(rows) > done:
                    yield self._block(held.slice(0, size), rows[done : done + size])
                    done += min(size, held.num_rows)
                    held = held.slice(size)
            if done < len(rows):
                raise ValueError(f"it has fewer rows than it says: {done} of {len(rows)}")

    def _block(self, table: pa.Table, numbers: range) -> Block:
        return {
            name: _rows(_Cells(name, numbers), table.column(name), self.columns[name])
            for name in table.column_names
        }


def _wanted(batches: Iterator[pa.RecordBatch], rows: range) -> Iterator[pa.Table]:
    """Yield what is asked for of each batch."""
    offset = taken = 0
    for batch in batches:
        inside = rows[taken : taken + max(-(-(offset + len(batch) - rows[taken]) // rows.step), 0)]
        if inside:
            places = pa.array(range(inside.start - offset, inside.stop - offset, rows.step))
            yield pa.Table.from_batches([batch]).take(places)
        offset, taken = offset + len(batch), taken + len(inside)
        if taken == len(rows):
            return


def from_parquet(path: Path) -> Table:
    """Return a Parquet file as a source; raises StepFailed."""
    with _readable(path):
        with parquet.ParquetFile(path) as file:
            schema, count = file.schema_arrow, file.metadata.num_rows
        columns = {field.name: _column(field) for field in schema}
        if len(columns) != len(schema):
            raise ValueError("two columns have one name")

    def read(names: list[str], size: int) -> Iterator[pa.RecordBatch]:
        with parquet.ParquetFile(path) as file:
            yield from file.iter_batches(max(size, _FEW), columns=names, use_threads=False)

    return Table(path, columns, count, read)


def from_csv(path: Path) -> Table:
    """Return a CSV file with a header as a source; it is read once to count its rows. Raises StepFailed.

    A column that begins with whole numbers and goes on with others is read as floating point.
    """
    with _readable(path):
        schema = _csv(path).schema
        if doubled := [name for name, times in Counter(schema.names).items() if times > 1]:
            raise ValueError(f"two columns are named {doubled[0]!r}")
        try:
            count, lists = _counted(path, schema)
        except pa.ArrowInvalid:
            schema = pa.schema([(field.name, _widened(field.type)) for field in schema])
            count, lists = _counted(path, schema)
    columns = {field.name: _column(field) for field in schema}
    columns |= {name: Column(Kind.NUMBERS, "lists in brackets") for name in lists}

    def read(names: list[str], size: int) -> Iterator[pa.RecordBatch]:
        del size
        yield from _csv(path, schema, names)

    return Table(path, columns, count, read)


def _csv(path: Path, schema: pa.Schema = None, names: Collection[str] = ()) -> csv.CSVStreamingReader:
    return csv.open_csv(
        path,
        read_options=csv.ReadOptions(use_threads=False, block_size=_BLOCK),
        parse_options=_PARSING,
        convert_options=csv.ConvertOptions(column_types=schema, include_columns=list(names)),
    )


def _counted(path: Path, schema: pa.Schema) -> tuple[int, set[str]]:
    """Return the number of rows, and the columns of text in which each cell is a list in brackets."""
    lists = {field.name for field in schema if types.is_string(field.type)}
    count = 0
    for batch in _csv(path, schema):
        count += len(batch)
        lists = {name for name in lists if _bracketed(batch.column(name))}
    return count, lists if count else set()


def _bracketed(cells: pa.Array) -> bool:
    inside: bool | None = compute.all(compute.match_substring_regex(cells, r"^\s*\[[^\]]*\]\s*$")).as_py()
    return inside is not False


def _widened(kind: pa.DataType) -> pa.DataType:
    return pa.float64() if types.is_integer(kind) or types.is_null(kind) else kind


def _column(field: pa.Field) -> Column:
    kind = field.type
    if types.is_dictionary(kind):
        kind = kind.value_type
    words = str(field.type)[:100]
    if types.is_string(kind) or types.is_large_string(kind):
        return Column(Kind.TEXT, words)
    while _is_list(kind):
        kind = kind.value_type
    numeric = types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind)
    return Column(Kind.NUMBERS if numeric or types.is_null(kind) else Kind.OTHER, words)


def _is_list(kind: pa.DataType) -> bool:
    return any((types.is_list(kind), types.is_large_list(kind), types.is_fixed_size_list(kind)))


@dataclass(frozen=True, slots=True)
class _Cells:
    """What a message says of cells: the column that they are of, and the numbers of their rows."""

    name: str
    numbers: range

    def where(self, wrong: Array) -> str:
        """Return the rows of what is wrong: of cells, or of as many parts of each cell."""
        parts = len(wrong) // len(self.numbers)
        return rows_named(sorted({self.numbers[place // parts] for place in np.flatnonzero(wrong).tolist()}))


def _rows(told: _Cells, column: pa.ChunkedArray, known: Column) -> Rows:
    if types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    cells = column.combine_chunks()
    _check_whole(told, cells)
    if types.is_string(cells.type) or types.is_large_string(cells.type):
        texts: list[str] = cells.to_pylist()
        return texts if known.kind is Kind.TEXT else _listed(told, texts)
    return _numbers(told, cells)


def _numbers(told: _Cells, cells: pa.Array) -> Array:
    shape = [len(cells)]
    while _is_list(cells.type):
        lengths = compute.list_value_length(cells).to_numpy(zero_copy_only=False)
        values, times = np.unique(lengths, return_counts=True)
        if len(values) > 1:
            usual = values[times.argmax()]
            odd = lengths != usual
            words = f"lists of {lengths[odd][0]} numbers, where others have {usual}"
            raise _ragged(told.name, words, told.where(odd))
        shape.append(int(values[0]) if len(values) else 0)
        cells = cells.flatten()
        _check_whole(told, cells)
    found: Array = cells.to_numpy(zero_copy_only=False)
    return found.reshape(shape)


def _listed(told: _Cells, texts: list[str]) -> Array:
    """Return the numbers of lists that are written in brackets."""
    try:
        return stacked([_read(text) for text in texts])
    except Misfits as misfits:
        where = rows_named([told.numbers[place] for place in misfits.places])
        raise _ragged(told.name, misfits.words, where) from None


def _read(text: str) -> object:
    """Return the list that a cell is, or the cell where it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _check_whole(told: _Cells, cells: pa.Array) -> None:
    if cells.null_count:
        raise bad(
            FailureCode.DATASET_NOT_FINITE,
            f"values of {told.name!r} are missing in "
            + told.where(cells.is_null().to_numpy(zero_copy_only=False)),
            hint="fill them in, or leave those rows out",
        )


def _ragged(name: str, words: str, where: str) -> StepFailed:
    return bad(
        FailureCode.DATASET_SHAPE,
        f"the column {name!r} has {words}, in {where}",
        hint="bring all of its lists to one length",
    )


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except (StepFailed, MemoryError):
        raise
    except (pa.ArrowException, OSError, ValueError, KeyError, OverflowError) as refused:
        raise bad(
            FailureCode.DATASET_UNREADABLE,
            f"{path.name} is damaged: {str(refused)[:200]}",
            evidence=str(refused),
            hint="write it again with pyarrow or pandas; a CSV begins with the names of its columns",
        ) from refused
