"""One output of a model against the same output of its reference, counted batch by batch."""

from dataclasses import dataclass, field, replace

import numpy as np

from ovfarm.failures import FailureClass, FailureCode
from ovfarm.results import Metric
from workers.kit import stats
from workers.kit.classification import Kind, Meaning, one_number
from workers.kit.data import Array, Batch
from workers.protocol import failed

# Scores of which less of the spread is left are not those of the reference, though the highest be the same.
_LEFT = 0.5
# Rows are compared some at a time: doubles of all scores of a language model would fill the memory.
_VALUES = 1 << 20


@dataclass(frozen=True, slots=True)
class Drop:
    """How much of a metric is lost, 0 being nothing, in words that the number of rows follows."""

    metric: Metric
    value: float
    words: str


@dataclass(slots=True)
class Comparison:
    """Agreement and distance of one output so far; ``items`` are its rows, tokens or pixels with classes."""

    meaning: Meaning
    rows: int = 0
    items: int = 0
    agreeing: int = 0
    certain: bool = True
    single: bool = True
    largest: float = 0.0
    cosines: float = 0.0
    directions: int = 0
    fit: stats.Fit = field(init=False)

    def __post_init__(self) -> None:
        self.fit = stats.Fit(self.meaning.tolerance)

    def add(self, mine: Array, theirs: Array, mask: Array | None = None) -> None:
        """Count rows; of tokens only those count where ``mask`` [rows, tokens] has ones."""
        real = mask if mask is not None and mine.ndim > 2 and mine.shape[:2] == mask.shape else None
        self.rows += len(mine)
        self.single &= one_number(mine)
        axis = self.meaning.classes(mine.shape)
        if self.meaning.kind is Kind.WHOLE:
            self._agree(mine == theirs, real)
        elif axis is not None:
            self.certain &= self.meaning.certain(mine.shape)
            self._agree(mine.argmax(axis) == theirs.argmax(axis), real if axis > 1 else None)
        size = max(1, _VALUES // max(1, mine.size // len(mine)))
        for at in range(0, len(mine), size):
            part = slice(at, at + size)
            self._measure(mine[part], theirs[part], None if real is None else real[part])

    def _agree(self, same: Array, real: Array | None) -> None:
        counted = same if real is None else same[real]
        self.items += counted.size
        self.agreeing += int(counted.sum())

    def _measure(self, mine: Array, theirs: Array, real: Array | None) -> None:
        mine, theirs = mine.astype(np.float64), theirs.astype(np.float64)
        if real is not None:
            mine[~real] = theirs[~real] = 0
        self.largest = max(self.largest, float(np.abs(mine - theirs).max()))
        if self.meaning.kind is Kind.WHOLE:
            return
        self.fit.add(*((mine, theirs) if real is None else (mine[real], theirs[real])))
        if not one_number(mine):
            self.directions += len(mine)
            self.cosines += stats.cosine_distances(
                mine.reshape(len(mine), -1), theirs.reshape(len(theirs), -1)
            )

    @property
    def one_number(self) -> bool:
        """Whether each row has one number, and no class number."""
        return self.single and bool(self.fit.count)

    @property
    def agreement(self) -> float | None:
        """The share of items with the reference's class; None where there are none."""
        return self.agreeing / self.items if self.items else None

    @property
    def cosine(self) -> float | None:
        """The cosine distance of rows, averaged; None of single numbers, whose direction is a sign."""
        return max(self.cosines / self.directions, 0.0) if self.directions else None

    @property
    def lost(self) -> Drop:
        """What is lost of that by which the output is judged: agreement of classes, else R²."""
        return self._of_classes() if self._decides else self._of_numbers()

    @property
    def _decides(self) -> bool:
        return self.certain and bool(self.items)

    def drop(self, max_drop: float) -> Drop:
        """Return what is lost: of classes those that differ, else what is missing from R² = 1.

        Classes that agree well enough are lost all the same where half of the scores' spread is.
        """
        found = self.lost
        if found.metric == "agreement" and found.value <= max_drop and self.fit.count:
            numbers = self._of_numbers()
            return numbers if numbers.value > 1 - _LEFT else found
        return found

    def _of_classes(self) -> Drop:
        value = 1 - (self.agreement or 0.0)
        return Drop("agreement", value, f"the top class differs from the reference's for {value:.4f}")

    def _of_numbers(self) -> Drop:
        value = 1 - self.fit.r_squared
        has = "an output has one number a row" if self.single else "judged by its numbers"
        if self._decides:
            has = "the scores are far from the reference's, though most of the top classes are the same"
        return Drop("r_squared", value, f"{has}: R² to the reference's is {value:.4f} below 1")


def add(comparisons: list[Comparison], outputs: list[Array], reference: list[Array], batch: Batch) -> None:
    """Count the rows of a batch; raises StepFailed for outputs of other shapes."""
    if [o.shape for o in outputs] != [r.shape for r in reference]:
        raise failed(
            FailureClass.USER,
            FailureCode.MODEL_MISMATCH,
            f"the outputs have the shapes {[o.shape for o in outputs]}, the reference's "
            f"{[r.shape for r in reference]}",
        )
    mask = _mask(batch)
    for found, mine, theirs in zip(comparisons, outputs, reference, strict=True):
        found.add(mine, theirs, mask)


def worst(comparisons: list[Comparison], max_drop: float | None = None) -> Drop:
    """Return the largest drop of the outputs, by its name where there are several."""
    drops = [(one.meaning.name, one.lost if max_drop is None else one.drop(max_drop)) for one in comparisons]
    name, found = max(drops, key=lambda named: named[1].value)
    return found if len(drops) == 1 else replace(found, words=f"output {name!r}: {found.words}")


def _mask(batch: Batch) -> Array | None:
    """Return which tokens of the rows that count are no padding; None where nothing says so."""
    for name in ("decoder_attention_mask", "attention_mask"):
        mask = batch.feed.get(name)
        if mask is not None and mask.ndim == 2 and mask[: batch.count].any():
            return np.asarray(mask[: batch.count] != 0)
    return None
