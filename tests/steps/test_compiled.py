"""Weights compressed by programs that are shared: the same bits, and fewer programs."""

import nncf
import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops

from workers.kit.compiled import compiled_once

SIZE, LAYERS = 128, 4  # more than the ten thousand weights from which NNCF compiles a program
Options = dict[str, str | int | float]
MODES: tuple[Options, ...] = (
    {"mode": "int8_asym"}, {"mode": "int8_sym"}, {"mode": "int4_sym", "group_size": 32},
    {"mode": "int4_asym", "group_size": 64}, {"mode": "int4_asym", "group_size": 32, "ratio": 0.5},
    {"mode": "nf4", "group_size": 32}, {"mode": "fp8_e4m3", "group_size": 32},
    {"mode": "cb4", "group_size": 32},
)  # fmt: skip


def network() -> ov.Model:
    dice = np.random.default_rng(0)
    x = ops.parameter([-1, SIZE], name="x", dtype=ov.Type.f32)
    last: ov.Node = x
    for _ in range(LAYERS):
        weights = dice.normal(size=(SIZE, SIZE)).astype(np.float32)
        last = ops.relu(ops.matmul(last, ops.constant(weights), transpose_a=False, transpose_b=True))
    return ov.Model([last], [x])


def constants(model: ov.Model) -> list[tuple[str, bytes]]:
    found = [op for op in model.get_ordered_ops() if op.get_type_name() == "Constant"]
    return [(op.get_element_type().get_type_name(), op.data.tobytes()) for op in found]


def compressed(options: Options) -> list[tuple[str, bytes]]:
    mode = nncf.CompressWeightsMode(options["mode"])
    every = None if "int8" in mode.value else True
    return constants(nncf.compress_weights(network(), all_layers=every, **{**options, "mode": mode}))


@pytest.mark.parametrize("options", MODES, ids=lambda options: "-".join(map(str, options.values())))
def test_shared_programs_compute_the_same_bits(options: Options) -> None:
    alone = compressed(options)
    with compiled_once():
        assert compressed(options) == alone


def test_a_program_is_compiled_once_for_all_weights_of_a_kind() -> None:
    with compiled_once() as programs:
        compressed({"mode": "int8_asym"})
    assert len(programs) == 1


def test_programs_of_several_shapes_and_types_are_not_mistaken_for_each_other() -> None:
    with compiled_once() as programs:
        first = [compressed(options) for options in MODES]
        second = [compressed(options) for options in reversed(MODES)][::-1]
    assert first == second
    assert len(programs) > len(MODES) // 2
