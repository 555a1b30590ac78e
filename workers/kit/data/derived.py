"""Inputs of language models that follow from the tokens: masks, positions, and who continues whom."""

from collections.abc import Sequence

import numpy as np
import openvino as ov

from ovfarm.failures import FailureCode
from workers.kit.data.rows import Array, Feed, bad, rows_named

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


def check(feed: Feed, known: Sequence[ov.Output], vocabulary: int, numbers: range) -> None:
    """Raise StepFailed for tokens that a model does not have, and for what does not go along with them.

    A device computes on such rows, with what happens to lie in memory beside the tables. ``vocabulary``
    is the number of tokens, 0 where no configuration says it.
    """
    tokens = next((feed[p.get_any_name()] for name in _TOKENS for p in known if named(p, name)), None)
    if tokens is None:
        return
    for port in (p for name in (_MASK, _TYPES, _POSITIONS) for p in known if named(p, name)):
        name, along = port.get_any_name(), feed[port.get_any_name()]
        if along.ndim == 2 and along.shape != tokens.shape[:2]:
            raise bad(
                FailureCode.DATASET_SHAPE,
                f"rows of {name!r} have {along.shape[1]} values for {tokens.shape[1]} tokens",
                hint="give as many as there are tokens, or leave it out: the farm makes it",
            )
    if vocabulary and tokens.ndim == 2:
        _check_vocabulary(tokens[: len(numbers)], vocabulary, numbers)


def _check_vocabulary(tokens: Array, vocabulary: int, numbers: range) -> None:
    wrong = (tokens < 0) | (tokens >= vocabulary)
    if wrong.any():
        where = rows_named([numbers[row] for row in np.flatnonzero(wrong.any(axis=1))])
        raise bad(
            FailureCode.DATASET_SHAPE,
            f"the model has tokens 0 to {vocabulary - 1}; {int(tokens[wrong][0])} is none, in {where}",
            hint="tokenize the texts with the model's own tokenizer, or give texts: the farm does it",
        )


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
