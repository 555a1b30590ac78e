"""Lines of text: plain ones, and those that are JSON objects.

Arrow's reader of JSON ends the process on deep nesting, so the standard library reads them.
"""

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from itertools import islice
from pathlib import Path

from ovfarm.failures import FailureCode
from workers.kit.data.lists import Misfits, stacked
from workers.kit.data.rows import Block, Column, Kind, Rows, bad
from workers.protocol import StepFailed

TEXT = "text"
_LONGEST = 16 << 20
Cells = dict[str, object]


class Lines:
    """A file with a row on each line that is not blank; it is read once to count them."""

    def __init__(self, path: Path, cells: Callable[[int, str], Cells]) -> None:
        self._path = path
        self._cells = cells
        first: Cells | None = None
        self._count = 0
        for number, line in self._lines():
            self._count += 1
            first = first if first is not None else cells(number, line)
        self.columns: Mapping[str, Column] = {name: _column(cell) for name, cell in (first or {}).items()}

    def _lines(self) -> Iterator[tuple[int, str]]:
        with self._path.open("rb") as file:
            for number, raw in enumerate(iter(lambda: file.readline(_LONGEST + 1), b""), 1):
                if len(raw) > _LONGEST:
                    raise _wrong(self._path, number, f"is longer than {_LONGEST} bytes")
                try:
                    line = raw.decode().strip("\r\n")
                except UnicodeDecodeError:
                    raise _wrong(self._path, number, "is not UTF-8") from None
                if line.strip():
                    yield number, line

    def length(self, names: Collection[str]) -> int:
        """Return the number of lines that are not blank."""
        del names
        return self._count

    def read(self, names: Collection[str], rows: range, size: int) -> Iterator[Block]:
        """Yield rows as ``Source.read``."""
        wanted = islice(self._lines(), rows.start, rows.stop, rows.step)
        while taken := list(islice(wanted, size)):
            cells = [(number, self._cells(number, line)) for number, line in taken]
            yield {name: self._rows(name, cells) for name in names}

    def _rows(self, name: str, cells: list[tuple[int, Cells]]) -> Rows:
        for number, row in cells:
            if row.get(name) is None:
                raise _wrong(self._path, number, f"has no {name!r}", FailureCode.DATASET_NOT_FINITE)
        found = [row[name] for _, row in cells]
        if self.columns[name].kind is Kind.TEXT:
            for number, row in cells:
                if not isinstance(row[name], str):
                    raise _wrong(self._path, number, f"has a {name!r} that is no text")
            return [str(text) for text in found]
        try:
            return stacked(found)
        except Misfits as misfits:
            words = f"has in {name!r} {misfits.words}"
            line = cells[misfits.places[0]][0]
            raise _wrong(self._path, line, words, FailureCode.DATASET_SHAPE) from None


def from_jsonl(path: Path) -> Lines:
    """Return a file of JSON objects, one a line, as a source; raises StepFailed."""

    def cells(number: int, line: str) -> Cells:
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            raise _wrong(path, number, "is not JSON, or nested too deeply") from None
        if not isinstance(found, dict):
            raise _wrong(path, number, "is not an object")
        return found

    return Lines(path, cells)


def from_text(path: Path) -> Lines:
    """Return a file of texts, one a line, as a source with the column ``text``; raises StepFailed."""
    return Lines(path, lambda _, line: {TEXT: line})


def _column(cell: object) -> Column:
    words = type(cell).__name__
    if isinstance(cell, str):
        return Column(Kind.TEXT, words)
    while isinstance(cell, list) and cell:
        cell = cell[0]
    return Column(Kind.NUMBERS if isinstance(cell, int | float) else Kind.OTHER, words)


def _wrong(
    path: Path, line: int, words: str, code: FailureCode = FailureCode.DATASET_UNREADABLE
) -> StepFailed:
    return bad(code, f"line {line} of {path.name} {words}", hint="one row is one line; in .jsonl one object")
