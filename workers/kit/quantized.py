"""Tells a quantized model by what it computes: an 8-bit constant alone may be a mask or a table."""

from enum import IntEnum, auto
from math import prod

import openvino as ov

from workers.kit import ir

_SIMULATED = frozenset({"FakeQuantize", "FakeConvert"})
# What has weights.
_COMPUTING = frozenset(
    {
        "MatMul", "Convolution", "GroupConvolution", "ConvolutionBackpropData", "Gather", "Einsum",
        "GroupConvolutionBackpropData", "DeformableConvolution", "EmbeddingBagOffsets", "EmbeddingBagPacked",
        "LSTMCell", "LSTMSequence", "GRUCell", "GRUSequence", "RNNCell", "RNNSequence",
    }
)  # fmt: skip
# What stands between a stored weight and the layer that it is of.
_BETWEEN = frozenset(
    {
        "Convert", "Subtract", "Multiply", "Divide", "Reshape", "Transpose", "Gather", "Squeeze", "Unsqueeze",
        "Concat",
    }
)  # fmt: skip
_ORDERED = frozenset({"Subtract", "Divide"})


class _Source(IntEnum):
    """How far values of a graph are on the way from a stored weight to what it stands for."""

    COMPUTED = auto()  # from inputs of the model: no weight
    CONSTANT = auto()
    NARROW = auto()  # kept in 8 bits or fewer
    WIDENED = auto()  # converted
    RESTORED = auto()  # with the scale, or without the zero point, of many values at once


def is_quantized(model: ov.Model) -> bool:
    """Tell whether a model computes in 8 bits or fewer, or keeps weights of its layers in them."""
    sources: dict[int, _Source] = {}
    for op in model.get_ordered_ops():
        kind = op.get_type_name()
        if kind in _SIMULATED:
            return True
        given = [sources[value.get_node().get_instance_id()] for value in op.input_values()]
        if kind in _COMPUTING and {_Source.COMPUTED, _Source.RESTORED} <= set(given):
            return True
        sources[op.get_instance_id()] = _source(op, kind, given)
    return False


def _source(op: ov.Node, kind: str, given: list[_Source]) -> _Source:
    if kind == "Constant":
        narrow = op.get_output_element_type(0).get_type_name() in ir.LOW_BIT
        return _Source.NARROW if narrow and len(op.get_output_shape(0)) > 1 else _Source.CONSTANT
    if not given or kind not in _BETWEEN or _Source.COMPUTED in given:
        return _Source.COMPUTED
    if kind == "Convert":
        return _Source.WIDENED if given[0] is _Source.NARROW else given[0]
    if kind in _ORDERED or kind == "Multiply":
        return _restored(op, kind, given)
    return max(given)


def _restored(op: ov.Node, kind: str, given: list[_Source]) -> _Source:
    """Return what constants make of each other: a mask times weights restores nothing."""
    sizes = [prod(op.get_input_shape(number)) for number in (0, 1)]
    for weight, other in ((0, 1),) if kind in _ORDERED else ((0, 1), (1, 0)):
        if given[weight] >= _Source.WIDENED and sizes[other] < sizes[weight]:
            return _Source.RESTORED
    return _Source.CONSTANT
