"""How much memory a step will take, from the size of the model alone, before anything is opened.

Peaks that were measured on this toolchain: a conversion takes half a gibibyte and twice the model, a
compression 0.3 GiB and 1.4 times the model. The others are guesses on the safe side: a benchmark holds
three compiled models. A job that names ``limits.memory_gib`` is believed instead.
"""

from math import ceil, log2

from ovfarm.catalog import ModelFormat
from ovfarm.recipes import Kind

_GIB = 1 << 30
# Resident memory: a part that is always there in GiB, and how often the model is held.
_PEAK: dict[Kind, tuple[float, float]] = {
    Kind.CONVERT: (0.5, 2.0),
    Kind.QUANTIZE: (0.5, 3.0),
    Kind.COMPRESS: (0.3, 1.4),
    Kind.EVALUATE: (0.5, 3.0),
    Kind.BENCHMARK: (0.5, 3.0),
    Kind.CHOOSE: (0.3, 1.5),
    Kind.PACKAGE: (0.3, 1.5),
}
# A checkpoint is in half precision more often than not, and what comes of it in single.
_FROM_HALF = 2.0
# Below it every node will do, and needs stay as few as the devices are.
_WORTH_ASKING_GIB = 4


def estimate_gib(kind: Kind, model_bytes: int, model_format: ModelFormat | None = None) -> float:
    """Return the expected peak of a step in GiB."""
    always, times = _PEAK.get(kind, (0.0, 0.0))
    if model_format is ModelFormat.HUGGINGFACE:
        times *= _FROM_HALF
    return always + times * model_bytes / _GIB


def need_gib(kind: Kind, model_bytes: int, model_format: ModelFormat | None = None) -> int | None:
    """Return the memory that a node must have for a step, or None when any node will do."""
    expected = estimate_gib(kind, model_bytes, model_format)
    if expected < _WORTH_ASKING_GIB:
        return None
    # In bands, so that each size of model is not a need of its own.
    return 1 << ceil(log2(expected))
