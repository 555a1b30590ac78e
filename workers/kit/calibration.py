"""Calibration data as NNCF wants it: something to iterate over, again and again, that says how far it is."""

from collections.abc import Iterator

import nncf

from workers.kit import data
from workers.protocol import Bench


class Batches:
    """The first ``total`` batches of ``size`` rows are what is asked for; the rest is there if wanted."""

    def __init__(self, samples: data.Samples, size: int, total: int, bench: Bench) -> None:
        self._samples = samples
        self._size = size
        self._total = total
        self._bench = bench

    def __iter__(self) -> Iterator[data.Feed]:
        for done, batch in enumerate(self._samples.batches(self._size), start=1):
            self._bench.report("calibrate", min(done, self._total), self._total)
            yield batch.feed


def dataset(samples: data.Samples, size: int, subset: int, bench: Bench) -> nncf.Dataset:
    """Return a dataset of batches of ``size`` rows, of which NNCF takes up to ``subset``."""
    return nncf.Dataset(Batches(samples, size, min(subset, -(-len(samples) // size)), bench))
