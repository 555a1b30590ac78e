"""Inputs of language models that follow from the tokens: masks, positions, and who continues whom."""

from collections.abc import Sequence

import numpy as np
import openvino as ov

from workers.kit.data.rows import Array, Feed

_TOKENS = ("input_ids", "inputs_embeds")
_MASK, _TYPES, _POSITIONS, _BEAMS = "attention_mask", "token_type_ids", "position_ids", "beam_idx"
_ORDER = (_MASK, _TYPES, _POSITIONS, _BEAMS)


def derivable(ports: Sequence[ov.Output]) -> tuple[ov.Output, ...]:
    """Return the inputs that can do without data, in the order in which they follow from each other."""
    if not any(named(port, name) for port in ports for name in _TOKENS):
        return ()
    return tuple(port for name in _ORDER for port in ports if named(port, name))


def named(port: ov.Output, name: str) -> bool:
    """Tell whether an input has this name."""
    return name in port.get_names()


def completed(feed: Feed, missing: Sequence[ov.Output], known: Sequence[ov.Output]) -> Feed:
    """Return a feed with the inputs that it lacks; ``missing`` is in the order of ``derivable``."""
    whole = dict(feed)
    tokens = next(feed[p.get_any_name()] for name in _TOKENS for p in known if named(p, name))
    ports = [*known, *missing]
    for port in missing:
        mask = next(
            (whole[p.get_any_name()] for p in ports if named(p, _MASK) and p.get_any_name() in whole), None
        )
        dtype = np.dtype(port.get_element_type().to_dtype())
        whole[port.get_any_name()] = _made(port, tokens.shape[:2], mask).astype(dtype)
    return whole


def _made(port: ov.Output, shape: tuple[int, ...], mask: Array | None) -> Array:
    if named(port, _MASK):
        return np.ones(shape)
    if named(port, _TYPES):
        return np.zeros(shape)
    if named(port, _POSITIONS):
        counted: Array = np.cumsum(np.ones(shape) if mask is None else mask, axis=1)
        positions: Array = np.maximum(counted - 1, 0)
        return positions
    return np.arange(shape[0])
