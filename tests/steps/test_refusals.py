"""What NNCF stumbles over is a refusal of what was asked; what the farm's own code does wrong is a crash."""

from pathlib import Path
from typing import Any, cast

import nncf
import numpy as np
import openvino as ov
import pytest

from ovfarm.failures import FailureCode
from ovfarm.recipes import Compress, IgnoredScope, Quantize
from ovfarm.shapes import READ_BACK
from tests.steps.conftest import Benches, network
from tests.steps.test_methods import attention
from workers.kit import calibration, calls, data
from workers.protocol import StepFailed
from workers.steps import compress, quantize

RAW = {"advanced": {"activations_range_estimator_params": {"min": {"statistics_type": "raw"}}}}


def taken_before(kind: type[Quantize], **asked: Any) -> Quantize:
    """Return a step as an older release took it: its parameters are not judged again."""
    return kind.model_validate({"subset_size": 8, **asked}, context=READ_BACK)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (
            {"advanced": {"bias_correction_params": {"apply_for_all_nodes": True}}},
            "does not support apply_for",
        ),
        (RAW, "with advanced: RawReducer"),
    ],
)
def test_what_nncf_stumbles_over_names_what_was_asked(
    asked: dict[str, Any], words: str, model: Path, rows: Path, bench: Benches
) -> None:
    with pytest.raises(StepFailed, match=words) as refused:
        quantize.run(taken_before(Quantize, **asked), bench(model=model, calibration=rows))
    assert refused.value.failure.code is FailureCode.TOOL_REFUSED


def test_a_compression_that_nncf_cannot_do_is_no_crash(tmp_path: Path, bench: Benches) -> None:
    folder, rows = tmp_path / "attention", tmp_path / "tokens"
    folder.mkdir()
    rows.mkdir()
    ov.save_model(attention(), folder / "model.xml", compress_to_fp16=False)
    np.savez(rows / "rows.npz", x=np.random.default_rng(1).normal(size=(8, 8, 64)).astype(np.float32))
    asked = {"mode": "cb4", "lora_correction": True, "all_layers": True, "subset_size": 4}
    with pytest.raises(StepFailed, match="cb4 mode is invalid") as refused:
        compress.run(Compress.model_validate(asked, context=READ_BACK), bench(model=folder, calibration=rows))
    assert refused.value.failure.code is FailureCode.TOOL_REFUSED


def broken_samples() -> nncf.Dataset:
    """Return calibration data that the farm's own code fails to read."""
    return nncf.Dataset(calibration.Batches(cast("data.Samples", None), 1, 8, cast("Any", None)))


def test_a_mistake_of_our_own_is_a_crash() -> None:
    with pytest.raises(AttributeError, match="batches"), calls.refusals(Quantize(preset="performance")):
        nncf.quantize(network(), broken_samples(), subset_size=8)


def test_with_defaults_alone_there_is_nothing_to_leave_out() -> None:
    nonsense = cast("nncf.Dataset", 5)
    with pytest.raises(AttributeError), calls.refusals(Quantize()):
        nncf.quantize(network(), nonsense)
    with pytest.raises(StepFailed, match="with preset"), calls.refusals(Quantize(preset="performance")):
        nncf.quantize(network(), nonsense)


def test_names_that_are_not_there_may_be_passed_over(model: Path, rows: Path, bench: Benches) -> None:
    absent = IgnoredScope(names=("no such node",), must_match=False)
    made = bench(model=model, calibration=rows)
    result = quantize.run(Quantize(subset_size=8, ignored_scope=absent), made)
    assert result.element_types["i8"] > 0
    assert compress.run(Compress(ignored_scope=absent), bench(model=model)).element_types["u8"] > 0


def test_the_preset_can_be_left_to_nncf(model: Path, rows: Path, bench: Benches) -> None:
    auto, plain, mixed = (
        quantize.run(
            Quantize.model_validate({"subset_size": 8, "preset": preset}),
            bench(model=model, calibration=rows),
        ).canonical_digest
        for preset in ("auto", "performance", "mixed")
    )
    assert auto == plain != mixed
    assert calls.preset(Quantize(mode="fp8_e4m3")) is None
