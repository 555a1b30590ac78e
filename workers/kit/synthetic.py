"""Rows for a model when nobody has given any: by the names that exporters use and what its config says.

The values hardly matter for latencies and distances, the shapes and ranges do: an index beyond the
vocabulary ends an inference.
"""

from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov

from ovfarm.failures import FailureClass, FailureCode
from ovfarm.patches import Patch
from workers.kit import fitting
from workers.kit.data import Array, Feed, Samples, drawn
from workers.kit.described import Described, described
from workers.protocol import failed

_TOKENS = 32
_WAVE = 4000
_ENOUGH_BYTES = 1 << 30
_OF_BYTES = {np.dtype(np.uint8), np.dtype(np.int8)}
_OF_TOKENS = ("_id", "token")


def samples(network: ov.Model, folder: Path, rows: int, seed: int) -> Samples:
    """Return rows for a network whose inputs all have rows; raises StepFailed."""
    return drawn(Synthesis(network, folder, rows, seed).feed(), network)


class Synthesis:
    """Makes seeded rows for the inputs of one network, of a model that ``about`` describes."""

    def __init__(self, network: ov.Model, folder: Path, rows: int, seed: int) -> None:
        self._about = described(folder)
        self._known = (folder / "config.json").exists()
        self._network = network
        self._rows = rows
        self._dice = np.random.default_rng(seed)

    def feed(self) -> Feed:
        """Return an array for each input, rows first; raises StepFailed where a size cannot be told."""
        return {port.get_any_name(): self._values(port) for port in self._network.inputs}

    def _values(self, port: ov.Output) -> Array:
        name = port.get_any_name()
        shape = self._shape(port)
        dtype = np.dtype(port.get_element_type().to_dtype())
        if np.prod(shape, dtype=float) * dtype.itemsize > _ENOUGH_BYTES:
            raise _refused(FailureCode.DATASET_SHAPE, f"random rows of {shape} for {name!r} are too large")
        return self._filled(name, shape, dtype).astype(dtype)

    def _filled(self, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        if name.endswith("mask"):
            return np.ones(shape)
        if name == "position_ids":
            return np.broadcast_to(np.arange(shape[-1]), shape)
        if name in {"beam_idx", "token_type_ids"}:
            # Every row starts from the empty state, so any of them will do.
            return np.zeros(shape)
        if dtype.kind == "f":
            return self._dice.standard_normal(shape)
        if dtype in _OF_BYTES and not any(word in name for word in _OF_TOKENS):
            # Pixels, or quantized values: nearly nothing is seen of a model that is shown 0 and 1 alone.
            return self._dice.integers(np.iinfo(dtype).min, np.iinfo(dtype).max + 1, shape)
        return self._dice.integers(0, max(self._about.vocab_size, 2), shape)

    def _shape(self, port: ov.Output) -> tuple[int, ...]:
        partial = port.get_partial_shape()
        if partial.rank.is_dynamic:
            raise self._unknown(port)
        sizes = []
        for at, dimension in enumerate(partial):
            if dimension.is_static:
                sizes.append(dimension.get_length())
            elif at == 0:
                sizes.append(self._rows)
            else:
                sizes.append(_within(dimension, self._size(port, at, len(partial))))
        return tuple(sizes)

    def _size(self, port: ov.Output, at: int, rank: int) -> int:
        name = port.get_any_name()
        if not self._known:
            raise self._unknown(port)
        if name in {"pixel_values", "sample"}:
            return _of_image(self._about, at, rank, latent=name == "sample")
        if name == "input_values":
            return _WAVE
        if name == "input_features":
            return self._about.num_mel_bins if at == 1 else 2 * self._about.max_source_positions
        return _TOKENS

    def _unknown(self, port: ov.Output) -> Exception:
        shape = port.get_partial_shape().to_string()
        return _refused(
            FailureCode.DYNAMIC_SHAPE,
            f"input {port.get_any_name()!r} has the shape {shape}: random rows have no size",
            hint="give evaluation data: its shapes are used",
            patches=fitting.sized(self._network),
        )


def _of_image(about: Described, at: int, rank: int, *, latent: bool) -> int:
    if at == rank - 3:
        return about.num_channels or 3
    size = about.sample_size if latent else about.image_size
    if isinstance(size, tuple):
        return size[at - rank + len(size)] if len(size) > 1 else size[0]
    return size or (8 if latent else 224)


def _within(dimension: ov.Dimension, size: int) -> int:
    """Return a size that a bounded dimension allows."""
    high = int(dimension.get_max_length())
    wanted = min(size, high) if high > 0 else size
    return max(wanted, int(dimension.get_min_length()), 1)


def _refused(
    code: FailureCode, message: str, *, hint: str | None = None, patches: tuple[Patch, ...] = ()
) -> Exception:
    return failed(FailureClass.USER, code, message, hint=hint, patches=patches)
