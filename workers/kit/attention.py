"""Finds attention, which NNCF quantizes in its own way only when it is told of it (``model_type``)."""

import openvino as ov

_WHOLE = frozenset({"ScaledDotProductAttention", "PagedAttentionExtension"})
# What exporters put between a softmax and its product with the values: masks, dropout, heads, half precision.
_BETWEEN = frozenset({
    "Convert", "Reshape", "Transpose", "Squeeze", "Unsqueeze", "Multiply", "Broadcast", "Select", "Slice",
})  # fmt: skip
_PRODUCTS = frozenset({"MatMul", "Einsum"})
_SOFTMAX = frozenset({"Softmax", "SoftMax"})


def attention_layers(model: ov.Model) -> int:
    """Return how many layers compute attention: a softmax whose result is multiplied with other activations.

    A softmax may be spelled out, and much may lie between it and the product; a product with weights, as
    behind the gates of experts, is none.
    """
    return sum(_is_attention(op) for op in model.get_ops())


def _is_attention(op: ov.Node) -> bool:
    kind = op.get_type_name()
    return kind in _WHOLE or ((kind in _SOFTMAX or _is_spelled_out(op)) and _weighs_values(op))


def _is_spelled_out(op: ov.Node) -> bool:
    """Tell e^x divided by its own sum."""
    if op.get_type_name() != "Divide":
        return False
    above, below = (source.get_node() for source in op.input_values())
    return (above.get_type_name(), below.get_type_name()) == ("Exp", "ReduceSum") and below.input_value(
        0
    ).get_node().get_friendly_name() == above.get_friendly_name()


def _weighs_values(softmax: ov.Node) -> bool:
    """Walk on from a softmax through what lies between to a product of two activations."""
    waiting, seen = [softmax], {softmax.get_friendly_name()}
    while waiting:
        for user in _users(waiting.pop()):
            kind, name = user.get_type_name(), user.get_friendly_name()
            if kind in _PRODUCTS and not any(map(_is_constant, user.input_values())):
                return True
            if kind in _BETWEEN and name not in seen:
                seen.add(name)
                waiting.append(user)
    return False


def _users(node: ov.Node) -> list[ov.Node]:
    return [target.get_node() for output in node.outputs() for target in output.get_target_inputs()]


def _is_constant(source: ov.Output) -> bool:
    """Tell weights, also when they are unpacked where they are used."""
    node = source.get_node()
    while node.get_type_name() in {"Convert", "Multiply", "Subtract", "Reshape", "FakeQuantize", "Transpose"}:
        node = node.input_value(0).get_node()
    return bool(node.get_type_name() == "Constant")
