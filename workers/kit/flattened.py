"""Takes the dimension of groups from FP8 weights of which each channel is one group.

NNCF (3.4) writes them as ``[1, channels, outputs]`` and reshapes what it restores; OpenVINO (2026.4) moves a
transposition before that reshape and then cannot compile the model. Without the dimension they are what
``group_size`` -1 makes of them, bit by bit.
"""

import numpy as np
import openvino as ov
from openvino import opset13 as ops

_KIND = ov.Type.f8e4m3


def flattened(model: ov.Model) -> ov.Model:
    """Return the same model, its weights of one group for each channel written without groups."""
    for reshape in model.get_ordered_ops():
        if reshape.get_type_name() == "Reshape" and (found := _grouped(reshape)):
            scaled, constant, scale = found
            shape = list(reshape.get_output_shape(0))
            packed = np.ascontiguousarray(constant.data).view(np.uint8).reshape(-1)
            weights = ops.constant(ov.Tensor(packed, ov.Shape(shape), _KIND), shared_memory=False)
            weights.set_friendly_name(constant.get_friendly_name())
            sides = ops.constant(np.array(scale.data).reshape(scale.get_output_shape(0)[1:]))
            sides.set_friendly_name(scale.get_friendly_name())
            restored = ops.multiply(ops.convert(weights, scale.get_output_element_type(0)), sides)
            restored.set_friendly_name(scaled.get_friendly_name())
            reshape.output(0).replace(restored.output(0))
    return model


def _grouped(reshape: ov.Node) -> tuple[ov.Node, ov.Node, ov.Node] | None:
    """Return what restores weights, the weights and their scale, where a reshape takes off one group."""
    scaled = reshape.input_value(0).get_node()
    if scaled.get_type_name() != "Multiply":
        return None
    converted, scale = (source.get_node() for source in scaled.input_values())
    if (converted.get_type_name(), scale.get_type_name()) != ("Convert", "Constant"):
        return None
    constant = converted.input_value(0).get_node()
    if constant.get_type_name() != "Constant" or constant.get_output_element_type(0) != _KIND:
        return None
    one_group = [1, *reshape.get_output_shape(0)] == list(constant.get_output_shape(0))
    return (scaled, constant, scale) if one_group else None
