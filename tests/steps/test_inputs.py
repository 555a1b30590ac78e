"""Inputs that no row of data can be fed to are refused by name, before anything is computed."""

from collections.abc import Callable
from pathlib import Path

import openvino as ov
import pytest
from openvino import opset13 as ops

from ovfarm.failures import FailureClass, FailureCode
from ovfarm.recipes import Benchmark, Convert, Evaluate, Quantize
from tests.steps.conftest import Benches
from tests.steps.makers import linear, saved
from workers.protocol import StepFailed
from workers.steps import benchmark, convert, evaluate, quantize

Step = Callable[[Path, Path, Benches], object]
STEPS: dict[str, Step] = {
    "quantize": lambda model, rows, bench: quantize.run(Quantize(), bench(model=model, calibration=rows)),
    "evaluate": lambda model, rows, bench: evaluate.run(
        Evaluate(), bench(model=model, reference=model, evaluation=rows)
    ),
    "evaluate-nothing": lambda model, _, bench: evaluate.run(Evaluate(), bench(model=model, reference=model)),
    "benchmark": lambda model, _, bench: benchmark.run(
        Benchmark(time_budget_s=0.05), bench(model=model, reference=model)
    ),
}


def typed(kind: str) -> ov.Model:
    """Return a network with an input x of a type, [?,16]."""
    x = ops.parameter([-1, 16], getattr(ov.Type, kind), name="x")
    x.output(0).get_tensor().set_names({"x"})
    y = linear(ops.convert(x, "f32"))
    y.output(0).get_tensor().set_names({"y"})
    return ov.Model([ops.result(y)], [x], "typed")


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("kind", ["dynamic", "u4", "i4", "nf4", "u1", "f8e4m3", "string"])
def test_types_that_are_no_numbers_of_bytes_are_refused(
    kind: str, step: str, tmp_path: Path, rows: Path, bench: Benches
) -> None:
    model = saved(tmp_path / "m", typed(kind)) if kind != "string" else strings(tmp_path / "m")
    with pytest.raises(StepFailed) as caught:
        STEPS[step](model, rows, bench)
    failure = caught.value.failure
    assert (failure.failure_class, failure.code) == (FailureClass.USER, FailureCode.MODEL_UNUSABLE)
    assert "'x'" in failure.message
    assert kind in failure.message


def strings(folder: Path) -> Path:
    x = ops.parameter([-1], ov.Type.string, name="x")
    x.output(0).get_tensor().set_names({"x"})
    y = ops.shape_of(x)
    y.output(0).get_tensor().set_names({"y"})
    return saved(folder, ov.Model([ops.result(y)], [x], "strings"))


@pytest.mark.parametrize(
    "kind",
    ["f64", "f32", "f16", "bf16", "i64", "i32", "i16", "i8", "u64", "u32", "u16", "u8", "boolean"],
)
def test_all_others_are_fed(kind: str, tmp_path: Path, bench: Benches) -> None:
    model = saved(tmp_path / "m", typed(kind))
    assert evaluate.run(Evaluate(), bench(model=model, reference=model)).measurements


@pytest.mark.parametrize("kind", ["dynamic", "u4"])
def test_such_a_model_is_converted_all_the_same(kind: str, tmp_path: Path, bench: Benches) -> None:
    made = bench(model=saved(tmp_path / "m", typed(kind)))
    convert.run(Convert(), made)
    assert (made.outputs / "model.xml").exists()
