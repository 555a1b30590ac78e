"""Numbers and lists as Python reads them: brought into one array, or the places of those that do not fit."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from workers.kit.data.rows import Array


class Misfits(ValueError):
    """Cells at some places that cannot stand in one array with the others; ``words`` say of the first why."""

    def __init__(self, places: list[int], words: str) -> None:
        super().__init__(words)
        self.places = places
        self.words = words


def stacked(cells: Sequence[object]) -> Array:
    """Return cells as one array of numbers; raises Misfits with those that are not like most of them."""
    if (found := _array(cells)) is not None:
        return found
    shapes = [None if (one := _array(cell)) is None else one.shape for cell in cells]
    usual = Counter(shape for shape in shapes if shape is not None).most_common(1)
    common = usual[0][0] if usual else ()
    odd = [place for place, shape in enumerate(shapes) if shape != common] or list(range(len(cells)))
    shape = shapes[odd[0]]
    if shape is None or shape == common:
        raise Misfits(odd, "lists of different lengths, or other things than numbers")
    raise Misfits(odd, f"{_numbers(shape)}, where others have {_numbers(common)}")


def _array(cells: object) -> Array | None:
    try:
        found = np.array(cells)
    except (ValueError, OverflowError):
        return None
    return found if found.dtype.kind in "biuf" else None


def _numbers(shape: tuple[int, ...]) -> str:
    return f"{' x '.join(map(str, shape))} numbers" if shape else "one number"
