"""The statistics behind every number: intervals for shares, medians and ratios of medians."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ovfarm.results import Verdict

_Z95 = 1.959963984540054
_RESAMPLES = 2000
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


def wilson(successes: int, total: int) -> Interval:
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
    """Return the sum of 1 - cos of each row with its counterpart."""
    norms = np.linalg.norm(mine, axis=1) * np.linalg.norm(theirs, axis=1)
    cosine = np.einsum("ij,ij->i", mine, theirs) / np.where(norms == 0, 1, norms)
    return float(np.where(norms == 0, 0, 1 - cosine).sum())
