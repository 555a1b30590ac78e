"""Attention is found however an exporter has spelled it, and nothing else is taken for it."""

from collections.abc import Callable

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops

from workers.kit.attention import attention_layers

ROWS, HEADS, TOKENS, WIDTH = 2, 4, 8, 16
Product = Callable[[ov.Node, ov.Node], ov.Node]


def whole(*numbers: int) -> ov.Node:
    return ops.constant(np.array(numbers, np.int64))


def model(weigh: Product, softmax: Callable[[ov.Node], ov.Node] = lambda x: ops.softmax(x, -1)) -> ov.Model:
    """Return attention of four heads; ``weigh`` multiplies what a softmax says with the values."""
    shape = [ROWS, HEADS, TOKENS, WIDTH]
    given = [ops.parameter(shape, ov.Type.f32, name=name) for name in ("q", "k", "v")]
    scores = ops.multiply(ops.matmul(given[0], given[1], False, True), ops.constant(np.float32(0.25)))
    return ov.Model([ops.result(weigh(softmax(scores), given[2]))], given, "attention")


def product(shares: ov.Node, values: ov.Node) -> ov.Node:
    return ops.matmul(shares, values, False, False)


def spelled_out(scores: ov.Node) -> ov.Node:
    powers = ops.exp(ops.subtract(scores, ops.reduce_max(scores, whole(-1), keep_dims=True)))
    return ops.divide(powers, ops.reduce_sum(powers, whole(-1), keep_dims=True))


def by_batches(shares: ov.Node, values: ov.Node) -> ov.Node:
    flat = [ops.reshape(x, whole(ROWS * HEADS, TOKENS, -1), special_zero=False) for x in (shares, values)]
    return ops.matmul(*flat, False, False)


def in_half(shares: ov.Node, values: ov.Node) -> ov.Node:
    return ops.matmul(ops.convert(shares, "f16"), ops.convert(values, "f16"), False, False)


def masked(shares: ov.Node, values: ov.Node) -> ov.Node:
    return product(ops.multiply(shares, ops.constant(np.ones((1, HEADS, 1, 1), np.float32))), values)


@pytest.mark.parametrize(
    "weigh", [product, by_batches, in_half, masked, lambda a, b: ops.einsum([a, b], "bhqk,bhkd->bhqd")]
)
def test_what_lies_between_softmax_and_values_does_not_hide_it(weigh: Product) -> None:
    assert attention_layers(model(weigh)) == 1


def test_a_softmax_that_is_spelled_out_is_one() -> None:
    assert attention_layers(model(product, spelled_out)) == 1


def test_the_operation_itself_is_one() -> None:
    given = [ops.parameter([ROWS, HEADS, TOKENS, WIDTH], ov.Type.f32) for _ in range(3)]
    attended = ops.scaled_dot_product_attention(*given)
    assert attention_layers(ov.Model([ops.result(attended)], given, "attention")) == 1


def weighted(shares: ov.Node, _values: ov.Node) -> ov.Node:
    return ops.matmul(shares, ops.constant(np.ones((TOKENS, 3), np.float32)), False, False)


def gated(shares: ov.Node, values: ov.Node) -> ov.Node:
    """Return what experts make of gates: the product is with weights, kept in INT8."""
    narrow = ops.convert(ops.constant(np.ones((WIDTH, 3), np.int8)), "f32")
    scaled = ops.multiply(narrow, ops.constant(np.full((1, 3), 0.1, np.float32)))
    return ops.matmul(
        ops.multiply(ops.reduce_sum(shares, whole(-1), keep_dims=True), values), scaled, False, False
    )


@pytest.mark.parametrize("weigh", [weighted, gated, lambda shares, _values: ops.relu(shares)])
def test_a_softmax_without_values_is_no_attention(weigh: Product) -> None:
    assert attention_layers(model(weigh)) == 0
