"""What two models say to the same question, and how far apart it is."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
from numpy.typing import NDArray

Array = NDArray[Any]
Answers = Mapping[str, Array]
Asking = Callable[[Path], Answers]
# What OpenVINO does by itself is narrower: bfloat16 where there is some, a cache of u8, activations of i8
# before compressed weights. Here the model is looked at and not the device.
PLAIN = {
    "INFERENCE_PRECISION_HINT": "f32",
    "KV_CACHE_PRECISION": "f32",
    "DYNAMIC_QUANTIZATION_GROUP_SIZE": "0",
}
_CONVERTED, _COMPRESSED = 1e-3, 0.02


class Apart(Exception):
    """Two models that do not say the same; the message says where and by how much."""


class Network:
    """One network of a package, which is fed by the names of its inputs and keeps its state."""

    def __init__(self, file: Path) -> None:
        self._compiled = ov.compile_model(file, "CPU", PLAIN)
        self._request = self._compiled.create_infer_request()

    def __call__(self, **known: Array) -> dict[str, Array]:
        """Return every output by each of its names; raises Apart for an input that nobody knows."""
        feed = {}
        for port in self._compiled.inputs:
            name = next((name for name in port.get_names() if name in known), None)
            if name is None:
                raise Apart(f"the input {port.get_any_name()} is not the original's")
            feed[name] = known[name].astype(port.get_element_type().to_dtype())
        said = self._request.infer(feed)
        return {name: np.array(said[port]) for port in said for name in port.get_names()}


@dataclass(frozen=True, slots=True)
class Case:
    """A model as it is uploaded, what the original says, and how a package is asked the same."""

    name: str
    kind: str
    folder: Path
    original: Answers
    ask: Asking


def check_converted(said: Answers, original: Answers) -> None:
    """Raise Apart where an answer is off by more than 1e-3 of the original's largest value (or of 1).

    The arithmetic is the same, in another order and by other kernels; what is left is rounding in f32, which
    grows with the values. A wrong operation is off by the values themselves.
    """
    for name, (mine, theirs) in _pairs(said, original):
        off, allowed = float(np.abs(mine - theirs).max()), _CONVERTED * max(1.0, float(np.abs(theirs).max()))
        if not off <= allowed:
            raise Apart(f"converted: {name} is off by {off:.2g}, allowed {allowed:.2g}")


def check_compressed(said: Answers, original: Answers) -> None:
    """Raise Apart where the cosine distance to the original's answer is more than 0.02.

    Weights of 8 bits have a step of one in 255 of their channel's range, an error of about one in a
    hundred of a weight's spread, which is one in ten thousand as a cosine distance; it grows with the
    layers. A layer that is wrong points anywhere, near to a distance of 1. Single values may move: their
    size is no measure.
    """
    for name, (mine, theirs) in _pairs(said, original):
        length = float(np.linalg.norm(mine) * np.linalg.norm(theirs))
        distance = 1 - float(mine.ravel() @ theirs.ravel()) / length if length else float("inf")
        if not distance <= _COMPRESSED:
            raise Apart(f"compressed: {name} has the cosine distance {distance:.2g}, allowed {_COMPRESSED}")


def _pairs(said: Answers, original: Answers) -> list[tuple[str, tuple[Array, Array]]]:
    """Return the answers side by side, in doubles; raises Apart unless each has its counterpart."""
    if not said or not said.keys() <= original.keys():
        raise Apart(f"outputs {', '.join(said) or 'none'}, the original's are {', '.join(original)}")
    found = []
    for name, mine in said.items():
        theirs = original[name]
        if mine.shape != theirs.shape:
            raise Apart(f"{name} has the shape {mine.shape}, the original's {theirs.shape}")
        found.append((name, (mine.astype(np.float64), theirs.astype(np.float64))))
    return found
