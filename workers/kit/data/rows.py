"""What a dataset is to a step: columns of one length, read a few rows at a time and in order."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ovfarm.failures import FailureClass, FailureCode
from ovfarm.patches import Patch
from workers.protocol import StepFailed, failed

Array = NDArray[Any]
Feed = dict[str, Array]
# The rows of one column: numbers, texts, or pictures that are not decoded yet.
Rows = Array | list[str] | list[Path]
Block = dict[str, Rows]
# So many rows or columns are named in a message, and the others counted.
_SHOWN = 10
_LONGEST_NAME = 60


class Kind(Enum):
    """What the rows of a column are."""

    ARRAY = auto()  # of the shape and type that are known before they are read
    NUMBERS = auto()  # a number, or a list of them that may stand for a shape of as many
    TEXT = auto()
    IMAGE = auto()
    OTHER = auto()


@dataclass(frozen=True, slots=True)
class Column:
    """What is known of a column before it is read; ``words`` say what it holds, for people."""

    kind: Kind
    words: str
    shape: tuple[int, ...] = ()
    dtype: np.dtype[Any] | None = None


class Source(Protocol):
    """A dataset as it lies on the disk; everything here raises StepFailed."""

    @property
    def columns(self) -> Mapping[str, Column]:
        """The columns by name, in the order of the file."""
        ...

    def length(self, names: Collection[str]) -> int:
        """Return the rows that these columns have in common."""
        ...

    def read(self, names: Collection[str], rows: range, size: int) -> Iterator[Block]:
        """Yield these rows of these columns, ``size`` at a time; only the last block may be smaller."""
        ...


def named(names: Iterable[str]) -> str:
    """Return names for people, the first ones in their order: "['p0', 'p1' and 62 more]"."""
    found = [repr(name[:_LONGEST_NAME]) for name in names]
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return f"[{', '.join(found[:_SHOWN])}{more}]"


def rows_named(numbers: Sequence[int]) -> str:
    """Return rows for who has to look for them: "row 7 (from 0)", "rows 3, 7, 9 and 4 more (from 0)"."""
    if len(numbers) == 1:
        return f"row {numbers[0]} (from 0)"
    shown, more = ", ".join(map(str, numbers[:_SHOWN])), len(numbers) - _SHOWN
    return f"rows {shown} and {more} more (from 0)" if more > 0 else f"rows {shown} (from 0)"


def bad(
    code: FailureCode,
    message: str,
    *,
    hint: str | None = None,
    evidence: str | None = None,
    patches: tuple[Patch, ...] = (),
) -> StepFailed:
    """Return the failure of a dataset, which its owner has to mend."""
    return failed(FailureClass.USER, code, message, hint=hint, evidence=evidence, patches=patches)
