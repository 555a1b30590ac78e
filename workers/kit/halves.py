"""Weights in bfloat16: the range of FP32 in half the bytes, which OpenVINO's own saving does not offer."""

import numpy as np
import openvino as ov
from numpy.typing import NDArray
from openvino import opset13 as ops

_LARGEST = np.uint32(0x7F7F0000)
_MATRIX = 2


def to_bf16(model: ov.Model) -> None:
    """Keep the FP32 matrices of a model in bfloat16, rounded to the nearest, ties to even.

    Each is followed by a conversion back to FP32, which plugins fold. Vectors and scalars stay: they are
    few, and biases and scales matter more.
    """
    for op in model.get_ops():
        wide = op.get_type_name() == "Constant" and op.get_element_type() == ov.Type.f32
        if not wide or len(op.get_output_shape(0)) < _MATRIX:
            continue
        users = list(op.output(0).get_target_inputs())
        narrow = ops.constant(_rounded(np.array(op.data)), dtype=ov.Type.bf16)
        narrow.set_friendly_name(op.get_friendly_name())
        back = ops.convert(narrow, "f32")
        for user in users:
            user.replace_source_output(back.output(0))


def _rounded(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return FP32 values that bfloat16 holds: OpenVINO cuts off what is behind, so it is rounded here."""
    bits = values.view(np.uint32)
    rounded = (bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) & np.uint32(0xFFFF0000)
    # The largest numbers would round to infinity.
    over = np.isfinite(values) & ~np.isfinite(rounded.view(np.float32))
    rounded = np.where(over, (bits & np.uint32(0x80000000)) | _LARGEST, rounded)
    return np.where(np.isfinite(values), rounded, bits).astype(np.uint32).view(np.float32)
