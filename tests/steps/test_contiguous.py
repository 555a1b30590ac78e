"""Weights that are stored untransposed keep the scales that are found for them."""

from pathlib import Path

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops

from ovfarm.recipes import Compress, Evaluate
from tests.steps.conftest import Benches
from tests.steps.makers import dataset, saved
from workers.kit.contiguous import contiguous_constants
from workers.steps import compress, evaluate

ROWS, INNER, OUTER = 32, 256, 128
X = np.random.default_rng(1).normal(size=(ROWS, INNER)).astype(np.float32)


def product_of(*, transposed: bool) -> ov.Model:
    """Return one matrix product of two groups of 128 channels."""
    shape = (OUTER, INNER) if transposed else (INNER, OUTER)
    weights = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    x = ops.parameter([-1, INNER], name="x", dtype=ov.Type.f32)
    x.output(0).set_names({"x"})
    y = ops.matmul(x, ops.constant(weights), transpose_a=False, transpose_b=transposed)
    return ov.Model([ops.result(y)], [x], "product")


@pytest.mark.parametrize("transposed", [True, False], ids=["transposed", "not transposed"])
@pytest.mark.parametrize("mode", ["int4_sym", "int4_asym", "nf4", "cb4"])
def test_estimated_scales_are_written_as_numbers(
    mode: str, tmp_path: Path, bench: Benches, *, transposed: bool
) -> None:
    model = saved(tmp_path / "m", product_of(transposed=transposed))
    rows = dataset(tmp_path / "rows", x=X)
    made = bench(model=model, calibration=rows)
    asked = {"mode": mode, "all_layers": True, "subset_size": 16, "scale_estimation": True}
    result = compress.run(Compress.model_validate(asked), made)
    assert "i16" not in result.element_types
    compared = evaluate.run(Evaluate(), bench(model=made.outputs, reference=model, evaluation=rows))
    (distance,) = [m.value for m in compared.measurements if m.name == "cosine_distance"]
    assert distance < 0.05


def test_openvino_still_takes_the_bits_of_a_view_for_integers() -> None:
    """When this fails OpenVINO is mended, and ``contiguous`` can go."""
    view = np.ones((2, 3), np.float16).T
    assert ops.constant(view, dtype=ov.Type.f16).get_element_type() == ov.Type.i16
    with contiguous_constants():
        assert ops.constant(view, dtype=ov.Type.f16).get_element_type() == ov.Type.f16
