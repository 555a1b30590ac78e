"""Has NNCF's constants written in the order in which OpenVINO reads them.

``openvino.opset13.constant`` (2026.4) takes the bits of float16 numbers for integers when the array is a
view in another order, as NNCF's scales are for weights that are stored untransposed: 0.01 becomes 8478,
without a word.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from openvino import opset13


@contextmanager
def contiguous_constants() -> Iterator[None]:
    """Let every constant that is made inside be of an array in C order."""
    constant = opset13.constant

    def ordered(value: object, *more: object, **named: object) -> object:
        if isinstance(value, np.ndarray) and not value.flags.c_contiguous:
            value = value.copy(order="C")
        return constant(value, *more, **named)

    opset13.constant = ordered
    try:
        yield
    finally:
        opset13.constant = constant
