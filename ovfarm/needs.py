"""What a step needs beyond its device: the toolkit that not every node has, and memory."""

from collections.abc import Collection
from pathlib import PurePosixPath

from ovfarm.catalog import ModelFormat
from ovfarm.hardware import Need, Toolkit
from ovfarm.recipes import Compress, Convert, StepParams

_TOKENIZER = "openvino_tokenizer.xml"
_TEXTS = frozenset({".txt", ".jsonl", ".csv", ".parquet"})


def has_tokenizer(form: ModelFormat, files: Collection[str]) -> bool:
    """Tell whether a model has a tokenizer as IR beside it, or gets one when it is exported."""
    return form is ModelFormat.HUGGINGFACE or any(PurePosixPath(name).name == _TOKENIZER for name in files)


def may_hold_texts(files: Collection[str]) -> bool:
    """Tell a dataset of lines or of a table, which may have a column of texts, from arrays and images."""
    return len(files) == 1 and all(PurePosixPath(name).suffix.lower() in _TEXTS for name in files)


def equipped(need: Need, params: StepParams, memory_gib: int | None, *, tokenizes: bool) -> Need:
    """Return the need with the toolkit that a step takes, and with at least so much memory."""
    asked: dict[str, object] = {}
    if memory_gib and (need.memory_gib or 0) < memory_gib:
        asked["memory_gib"] = memory_gib
    exports = isinstance(params, Convert) and params.task is not None
    has_table = isinstance(params, Compress) and params.mode == "auto"
    if exports or has_table or tokenizes:
        asked["toolkit"] = Toolkit.HUGGINGFACE
    return need.model_copy(update=asked)
