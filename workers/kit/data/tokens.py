"""Texts as a model takes them: its own tokenizer, an OpenVINO model that lies beside it."""

import importlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import openvino as ov

from ovfarm.failures import FailureClass, FailureCode
from workers.kit import complexity
from workers.kit.data.rows import Array, Feed, bad
from workers.protocol import failed

TOKENIZER = "openvino_tokenizer.xml"
IDS, MASK = "input_ids", "attention_mask"
_PAD = "pad_token_id"


class Tokenizer:
    """Turns texts into rows of at most ``limit`` tokens, filled up to ``width`` if that is given."""

    def __init__(self, folder: Path | None, limit: int, width: int | None) -> None:
        path = folder / TOKENIZER if folder else None
        if path is None or not path.is_file():
            raise bad(
                FailureCode.TOKENIZER_MISSING,
                f"the data is text, and the model has no {TOKENIZER} beside it",
                hint="take the model from Hugging Face (hf://…), or give the tokens as a column of numbers",
            )
        model = _read(path)
        self._limit = min(limit, width or limit)
        self._width = width
        self._pad = int(model.get_rt_info([_PAD]).astype(int)) if model.has_rt_info([_PAD]) else 0
        self._compiled = ov.Core().compile_model(model, "CPU")
        self.outputs = {name for port in model.outputs for name in port.get_names()}

    def tokens(self, texts: Sequence[str]) -> Feed:
        """Return an array for each output of the tokenizer, by name; raises StepFailed."""
        try:
            result = self._compiled({0: np.array(texts)})
        except RuntimeError as refused:
            raise _unusable(str(refused)) from refused
        found = {name: np.array(result[port]) for port in self._compiled.outputs for name in port.get_names()}
        if IDS not in found or found[IDS].ndim != 2 or not found[IDS].shape[1]:
            raise _unusable(f"it makes { ({name: rows.shape for name, rows in found.items()}) }")
        starts = self._starts(found[IDS], found.get(MASK))
        return {name: self._cut(name, rows, starts) for name, rows in found.items()}

    def _starts(self, ids: Array, mask: Array | None) -> Array:
        """Return where each row's tokens begin: at 0, or behind what was put before a short text."""
        starts = np.zeros(len(ids), np.int64) if mask is None else (mask != 0).argmax(axis=1)
        first: Array = np.minimum(starts, max(ids.shape[1] - self._limit, 0))
        return first

    def _cut(self, name: str, rows: Array, starts: Array) -> Array:
        if rows.ndim != 2:
            return rows
        kept = min(rows.shape[1], self._limit)
        cut: Array = np.take_along_axis(rows, starts[:, None] + np.arange(kept), axis=1)
        more = max((self._width or kept) - kept, 0)
        wide: Array = np.pad(cut, ((0, 0), (0, more)), constant_values=self._pad if name == IDS else 0)
        return wide


def _read(path: Path) -> ov.Model:
    complexity.check(path)
    try:
        # Its operations are an extension, which the package adds to every Core from then on.
        importlib.import_module("openvino_tokenizers")
    except ImportError as missing:
        raise failed(
            FailureClass.INFRA,
            FailureCode.TOOLCHAIN,
            "this node cannot tokenize: openvino-tokenizers is not installed",
            hint="the operator installs it on all nodes: ./farm setup --hf",
        ) from missing
    try:
        return ov.Core().read_model(path)
    except (RuntimeError, ValueError) as refused:
        raise _unusable(str(refused)) from refused


def _unusable(words: str) -> Exception:
    return bad(
        FailureCode.MODEL_UNREADABLE,
        f"{TOKENIZER} cannot tokenize the texts",
        hint="convert the tokenizer again with openvino-tokenizers",
        evidence=words,
    )
