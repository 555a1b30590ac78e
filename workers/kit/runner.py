"""Runs rows through a compiled model, however many it takes at a time."""

import numpy as np
import openvino as ov

from workers.kit import fitting, graph
from workers.kit.data import Array, Feed


class Runner:
    """One request of a compiled model; what a stateful model remembers is forgotten between batches."""

    def __init__(self, compiled: ov.CompiledModel) -> None:
        self.ports = compiled.outputs
        self._inputs = compiled.inputs
        self._request = compiled.create_infer_request()
        shape = compiled.inputs[0].get_partial_shape()
        self.fixed = int(shape[0].get_length()) if shape.rank.is_static and shape[0].is_static else None
        self._stateful = bool(self._request.query_state())

    def outputs(self, feed: Feed, count: int) -> list[Array]:
        """Return each output for the first ``count`` rows of a feed; raises StepFailed."""
        rows = len(next(iter(feed.values())))
        size = self.fixed or rows
        parts = [self._some(feed, at, size) for at in range(0, rows, size)]
        return [np.concatenate(found)[:count] for found in zip(*parts, strict=True)]

    def _some(self, feed: Feed, at: int, size: int) -> list[Array]:
        some = {name: _exactly(array[at : at + size], size) for name, array in feed.items()}
        if self._stateful:
            self._request.reset_state()
        with graph.inferring(fitting.one_row(self._inputs)):
            result = self._request.infer(some)
        found = [np.array(result[port]) for port in self.ports]
        for array, port in zip(found, self.ports, strict=True):
            graph.check_rows(array.shape, size, port, self._inputs)
        return found


def _exactly(rows: Array, size: int) -> Array:
    return (
        rows if len(rows) == size else np.concatenate([rows, np.repeat(rows[-1:], size - len(rows), axis=0)])
    )
