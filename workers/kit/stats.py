"""The statistics behind every number: intervals for shares, medians and ratios of medians."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ovfarm.results import Verdict

_Z95 = 1.959963984540054
_RESAMPLES = 2000
# Below this share of their squares, the spread of numbers in single precision is their rounding.
_NO_SPREAD = 1e-13
# Single precision: of the largest number of an output, and of numbers that are all zero.
_ROUNDING, _NOTHING = 1e-7, 1e-6
Floats = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Interval:
    """A value with its 95 % interval."""

    value: float
    low: float
    high: float

    @property
    def half_width(self) -> float:
        """Half of the interval's width, relative to the value."""
        return (self.high - self.low) / 2 / self.value if self.value else float("inf")


def wilson(successes: float, total: int) -> Interval:
    """Return a share with its 95 % score interval (Wilson 1927), which stays within 0 and 1."""
    share = successes / total
    z2 = _Z95**2
    centre = (share + z2 / (2 * total)) / (1 + z2 / total)
    spread = _Z95 / (1 + z2 / total) * np.sqrt(share * (1 - share) / total + z2 / (4 * total**2))
    low, high = float(centre - spread), float(centre + spread)
    return Interval(share, max(0.0, min(low, share)), min(1.0, max(high, share)))


def resampled(rounds: int, seed: int) -> NDArray[np.intp]:
    """Return row numbers for a bootstrap over rounds: shape (resamples, rounds).

    Rounds are resampled and not single inferences, because inferences of one block share its weather
    (Efron and Tibshirani 1993, block bootstrap).
    """
    return np.random.default_rng(seed).integers(0, rounds, (_RESAMPLES, rounds))


def median_interval(blocks: Sequence[float], rows: NDArray[np.intp]) -> Interval:
    """Return the median of block medians with its bootstrap interval."""
    values = np.asarray(blocks)
    return _interval(float(np.median(values)), np.median(values[rows], axis=1))


def ratio_interval(over: Sequence[float], under: Sequence[float], rows: NDArray[np.intp]) -> Interval:
    """Return the ratio of two medians with its bootstrap interval; rounds stay paired."""
    top, bottom = np.asarray(over), np.asarray(under)
    value = float(np.median(top) / np.median(bottom))
    return _interval(value, np.median(top[rows], axis=1) / np.median(bottom[rows], axis=1))


def _interval(value: float, resamples: Floats) -> Interval:
    low, high = np.percentile(resamples, [2.5, 97.5])
    return Interval(value, min(float(low), value), max(float(high), value))


def verdict(speedup: Interval, margin: float) -> Verdict:
    """Say what an interval of a speed-up allows to say, with ``margin`` for what nobody would notice."""
    if speedup.low > 1 + margin:
        return Verdict.FASTER
    if speedup.high < 1 / (1 + margin):
        return Verdict.SLOWER
    if speedup.low >= 1 / (1 + margin) and speedup.high <= 1 + margin:
        return Verdict.EQUIVALENT
    return Verdict.INCONCLUSIVE


def percentiles(samples: Sequence[float], ranks: Sequence[int]) -> dict[int, float]:
    """Return the percentile of each rank, interpolated."""
    return dict(zip(ranks, map(float, np.percentile(samples, ranks)), strict=True))


def cosine_distance(mine: NDArray[np.float64], theirs: NDArray[np.float64]) -> float:
    """Return 1 - cos of rows with rows, averaged: 0 where they point the same way."""
    return max(cosine_distances(mine, theirs) / len(mine), 0.0)


def cosine_distances(mine: NDArray[np.float64], theirs: NDArray[np.float64]) -> float:
    """Return the sum of 1 - cos of each row with its counterpart.

    A row of zeros points nowhere: its distance is 0 to another row of zeros, and 1 to any other.
    """
    long, other = np.linalg.norm(mine, axis=1), np.linalg.norm(theirs, axis=1)
    norms = long * other
    cosine = np.einsum("ij,ij->i", mine, theirs) / np.where(norms == 0, 1, norms)
    nowhere = np.where(long == other, 0.0, 1.0)
    return float(np.where(norms == 0, nowhere, 1 - cosine).sum())


@dataclass(slots=True)
class Fit:
    """How much of what a reference's numbers tell is kept, counted as they come (R²).

    The spread of a number is that around the mean of its own column, the last side of an output: what
    tells one column from another tells no row from another. Differences of ``tolerance`` (root of the mean
    square) are none, and neither are those that rounding makes of the largest number.
    """

    tolerance: float = 0.0
    count: int = 0
    squares: float = 0.0
    residual: float = 0.0
    largest: float = 0.0
    _totals: Floats | None = None

    def add(self, mine: Floats, theirs: Floats) -> None:
        """Count numbers and their counterparts: rows of one number, or arrays with columns last."""
        mine, theirs = mine.astype(np.float64), theirs.astype(np.float64)
        if not theirs.size:
            return
        self.count += theirs.size
        self.squares += float((theirs**2).sum())
        self.residual += float(((mine - theirs) ** 2).sum())
        self.largest = max(self.largest, float(np.abs(theirs).max()))
        columns = theirs.reshape(-1, theirs.shape[-1] if theirs.ndim > 1 else 1).sum(axis=0)
        if self._totals is None:
            self._totals = columns
        elif self._totals.shape == columns.shape:
            self._totals = self._totals + columns
        else:
            # Rows of several lengths have no columns.
            self._totals = np.array([self._totals.sum() + columns.sum()])

    @property
    def relative(self) -> float:
        """Return the length of the differences as a share of the reference's (relative L2); 1 of zeros."""
        return float(np.sqrt(self.residual / self.squares)) if self.squares else float(bool(self.residual))

    @property
    def r_squared(self) -> float:
        """Return 1 - squared differences / squared spread of the reference: 1 is equal, below 0 is useless.

        Where the reference says the same for all rows, or there is one, its squares stand for the spread.
        """
        rounding = _ROUNDING * self.largest if self.squares else _NOTHING
        if not self.count or self.residual <= self.count * max(self.tolerance, rounding) ** 2:
            return 1.0
        whole = self._spread if self._spread > _NO_SPREAD * self.squares else self.squares
        return 1 - self.residual / whole if whole else 0.0

    @property
    def _spread(self) -> float:
        if self._totals is None:
            return 0.0
        return self.squares - float((self._totals**2).sum()) * len(self._totals) / self.count


def relative(mine: Floats, theirs: Floats) -> float:
    """Return the relative L2 distance of numbers to their counterparts."""
    fit = Fit()
    fit.add(mine, theirs)
    return fit.relative
