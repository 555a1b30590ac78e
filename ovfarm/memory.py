"""How much memory a step will take, from the size of the model alone, before anything is opened.

Peaks that were measured on this toolchain (resident memory of the child; FP32 stacks of attention layers
of 80, 320 and 640 MB, 32 calibration rows of 32 tokens):

- a conversion takes half a gibibyte and twice the model, a compression of the weights alone 0.3 GiB and
  1.2 to 1.4 times the model;
- a compression that looks at activations (AWQ, scale estimation, LoRA correction) compiles the model
  beside it: 0.34 GiB and 2.1 times the model;
- a quantization holds the model, its copies and what was compiled of both: 0.35 GiB and 4.1 times the
  model, with accuracy control as without.

An evaluation of FP32 against itself has peaked at 4.0 times the model, a benchmark at 6.1, of which half was
the model's file, mapped: the kernel takes those pages back, so that 3 times is asked for. The others are
guesses on the safe side. AWQ counts as looking at activations, whether the job has data or not. What large
rows of calibration data take comes on top: GPTQ keeps twice the inputs of a layer for each of its own
``gptq_params.subset_size`` rows (0.5 GiB for 128 rows of 1024 by 512), and how wide layers are is not known
before the model is opened. A job that names ``limits.memory_gib`` is believed instead.
"""

from math import ceil, floor, log2

from ovfarm.catalog import ModelFormat
from ovfarm.recipes import Compress, Kind, StepParams

_GIB = 1 << 30
# Resident memory: a part that is always there in GiB, and how often the model is held.
_PEAK: dict[Kind, tuple[float, float]] = {
    Kind.CONVERT: (0.5, 2.0),
    Kind.QUANTIZE: (0.5, 4.2),
    Kind.COMPRESS: (0.3, 1.4),
    Kind.EVALUATE: (0.5, 3.0),
    Kind.BENCHMARK: (0.5, 3.0),
    Kind.CHOOSE: (0.3, 1.5),
    Kind.PACKAGE: (0.3, 1.5),
}
_WITH_ACTIVATIONS = (0.5, 2.2)
# A checkpoint is in half precision more often than not, and what comes of it in single.
_FROM_HALF = 2.0
# Below it every node will do, and needs stay as few as the devices are.
_WORTH_ASKING_GIB = 4


def estimate_gib(params: StepParams, model_bytes: int, model_format: ModelFormat | None = None) -> float:
    """Return the expected peak of a step in GiB."""
    always, times = _PEAK.get(params.kind, (0.0, 0.0))
    if isinstance(params, Compress) and (params.needs_data or params.awq or params.mode == "auto"):
        always, times = _WITH_ACTIVATIONS
    if model_format is ModelFormat.HUGGINGFACE:
        times *= _FROM_HALF
    return always + times * model_bytes / _GIB


def need_gib(params: StepParams, model_bytes: int, model_format: ModelFormat | None = None) -> int | None:
    """Return the memory that a node must have for a step, or None when any node will do."""
    expected = estimate_gib(params, model_bytes, model_format)
    return None if expected < _WORTH_ASKING_GIB else _band_gib(expected)


def _band_gib(expected: float) -> int:
    """Return the band of an estimate: eight between a power of two and the next, of whole GiB.

    There are bands so that each size of model is not a need of its own; they are narrow because machines
    have a little less than the power of two that they are sold with.
    """
    wide = max((1 << floor(log2(expected))) // 8, 1)
    return ceil(expected / wide) * wide
