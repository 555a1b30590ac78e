"""Calibration data as NNCF wants it: something to iterate over, again and again, that says how far it is."""

from collections.abc import Iterator

import nncf
import numpy as np
import openvino as ov

from workers.kit import data, graph
from workers.kit.runner import Runner
from workers.protocol import Bench

_ALREADY = "the model computes this before anything is quantized: mend it, or the calibration data"


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


def check_computes(model: ov.Model, samples: data.Samples, size: int) -> None:
    """Raise StepFailed for a model with an output of NaN alone: quantizing it would measure nothing.

    One batch is enough to see it. Single numbers that are not finite are left to those who compare.
    """
    batch = next(samples.batches(size))
    compiled = ov.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    for output, port in zip(Runner(compiled).outputs(batch.feed, batch.count), compiled.outputs, strict=True):
        if output.dtype.kind == "f" and not np.isfinite(output).any():
            graph.check_finite(output, port, _ALREADY)
