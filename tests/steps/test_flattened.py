"""FP8 weights of one group for each channel compile, and are what one group a channel is."""

from pathlib import Path

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops

from ovfarm.recipes import Compress
from tests.steps.conftest import Benches
from tests.steps.makers import saved
from workers.kit import ir
from workers.steps import compress

X = np.random.default_rng(1).normal(size=(4, 128)).astype(np.float32)


def network(*, transposed: bool) -> ov.Model:
    """Return two matrix products: the first with one group of 128 channels, the second with two."""
    dice = np.random.default_rng(0)
    x = ops.parameter([-1, 128], name="x", dtype=ov.Type.f32)
    x.output(0).set_names({"x"})
    y: ov.Node = x
    for inner, outer in ((128, 256), (256, 8)):
        shape = (outer, inner) if transposed else (inner, outer)
        weights = ops.constant(dice.normal(size=shape).astype(np.float32))
        y = ops.matmul(y, weights, transpose_a=False, transpose_b=transposed)
    return ov.Model([ops.result(y)], [x], "network")


def computed(model: ov.Model) -> np.ndarray:
    return np.array(ov.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(X)[0])


@pytest.mark.parametrize("transposed", [True, False], ids=["transposed", "not transposed"])
@pytest.mark.parametrize("asked", [{"mode": "fp8_e4m3"}, {"mode": "int4_sym", "backup_mode": "fp8_e4m3"}])
def test_what_nncf_writes_compiles_and_is_close(
    asked: dict[str, str], tmp_path: Path, bench: Benches, *, transposed: bool
) -> None:
    original = network(transposed=transposed)
    made = bench(model=saved(tmp_path / "m", original))
    whole = asked["mode"] == "fp8_e4m3"
    result = compress.run(Compress.model_validate({**asked, "all_layers": whole or None}), made)
    assert result.element_types["f8e4m3"] >= 256 * 8
    expected, found = computed(original), computed(ir.read(made.outputs))
    assert np.linalg.norm(found - expected) < (0.1 if whole else 0.25) * np.linalg.norm(expected)


def test_one_group_is_what_is_written_without_groups(tmp_path: Path, bench: Benches) -> None:
    models = []
    for size in (128, -1):
        made = bench(model=saved(tmp_path / f"m{size}", network(transposed=False)))
        compress.run(Compress.model_validate({"mode": "fp8_e4m3", "group_size": size}), made)
        models.append(ir.read(made.outputs))
    first = [
        next(op for op in model.get_ordered_ops() if op.get_output_element_type(0) == ov.Type.f8e4m3)
        for model in models
    ]
    assert [list(op.get_output_shape(0)) for op in first] == [[128, 256]] * 2
    assert first[0].data.tobytes() == first[1].data.tobytes()
