"""Every method of NNCF that the farm offers, on small real models."""

from dataclasses import replace
from pathlib import Path
from typing import get_args

import nncf
import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops
from pydantic import ValidationError

from ovfarm.failures import FailureCode
from ovfarm.recipes import Compress, CompressMode, Convert, Package, Quantize, Recipe
from ovfarm.tuning import AccuracyControl, AdvancedQuantization, SmoothQuant
from tests.steps.conftest import Benches, network
from workers.kit import ir, options
from workers.kit.attention import attention_layers
from workers.protocol import StepFailed
from workers.steps import compress, package, quantize


def attention(tokens: int = 8, width: int = 64, *, seed: int = 0) -> ov.Model:
    """Return attention and a gated layer: x [?, tokens, width] in, y of the same shape out."""
    dice = np.random.default_rng(seed)

    def weights() -> ov.Node:
        return ops.constant((dice.normal(size=(width, width)) / width**0.5).astype(np.float32))

    x = ops.parameter([-1, tokens, width], ov.Type.f32, name="x")
    x.output(0).get_tensor().set_names({"x"})

    def linear(given: ov.Node) -> ov.Node:
        return ops.matmul(given, weights(), False, True)

    scores = ops.softmax(ops.matmul(linear(x), linear(x), False, True), -1)
    mixed = linear(ops.matmul(scores, linear(x), False, False))
    y = ops.add(mixed, linear(ops.multiply(ops.swish(linear(mixed)), linear(mixed))))
    y.output(0).get_tensor().set_names({"y"})
    return ov.Model([ops.result(y)], [x], "attention")


@pytest.fixture
def attentive(tmp_path: Path) -> tuple[Path, Path]:
    """Return the folders of an attention layer and of data for it."""
    model, rows = tmp_path / "attention", tmp_path / "tokens"
    model.mkdir()
    rows.mkdir()
    ov.save_model(attention(), model / "model.xml", compress_to_fp16=False)
    x = np.random.default_rng(1).normal(size=(32, 8, 64)).astype(np.float32)
    np.savez(rows / "rows.npz", x=x)
    return model, rows


@pytest.mark.parametrize("mode", get_args(CompressMode))
def test_weights_take_each_mode(mode: str, attentive: tuple[Path, Path], bench: Benches) -> None:
    small = {} if mode.startswith(("int8", "auto")) else {"all_layers": True}
    if not mode.startswith(("int8", "auto", "mx", "nv")):
        small["group_size"] = 32  # type: ignore[assignment] # two kinds of values
    made = bench(model=attentive[0])
    result = compress.run(Compress.model_validate({"mode": mode, **small}), made)
    narrow = {
        name: count for name, count in result.element_types.items() if name not in {"f32", "f16", "i64"}
    }
    assert sum(narrow.values()) >= 4 * 64 * 64 // 2, result.element_types
    compiled = ov.compile_model(ir.read(made.outputs), "CPU")
    assert np.isfinite(compiled(np.ones((1, 8, 64), np.float32))[0]).all()


DATA_AWARE = (
    {"awq": True}, {"scale_estimation": True}, {"lora_correction": True},
    {"awq": True, "scale_estimation": True}, {"sensitivity_metric": "max_activation_variance", "ratio": 0.5},
    {"backup_mode": "none", "ratio": 0.5}, {"backup_mode": "int8_sym", "ratio": 0.5},
)  # fmt: skip


@pytest.mark.parametrize("asked", DATA_AWARE, ids="+".join)
def test_data_aware_options_are_used(
    asked: dict[str, object], attentive: tuple[Path, Path], bench: Benches
) -> None:
    params = Compress.model_validate(
        {"mode": "int4_sym", "group_size": 32, "all_layers": True, "subset_size": 8, **asked}
    )
    made = bench(model=attentive[0], calibration=attentive[1])
    result = compress.run(params, made)
    assert result.element_types.get("i4", 0) > 0
    plain = bench(model=attentive[0])
    without = {"mode": "int4_sym", "group_size": 32, "all_layers": True}
    compress.run(Compress.model_validate(without), plain)
    assert (made.outputs / "model.bin").read_bytes() != (plain.outputs / "model.bin").read_bytes()


def test_gptq_works_on_layers_one_after_the_other(tmp_path: Path, bench: Benches) -> None:
    dice = np.random.default_rng(0)
    x = ops.parameter([-1, 8, 64], ov.Type.f32, name="x")
    x.output(0).get_tensor().set_names({"x"})
    y: ov.Node = x
    for _ in range(2):
        weights = ops.constant((dice.normal(size=(64, 64)) / 8).astype(np.float32))
        y = ops.relu(ops.matmul(y, weights, False, True))
    folder, rows = tmp_path / "layers", tmp_path / "rows"
    folder.mkdir()
    rows.mkdir()
    ov.save_model(ov.Model([ops.result(y)], [x], "layers"), folder / "model.xml", compress_to_fp16=False)
    np.savez(rows / "rows.npz", x=dice.normal(size=(16, 8, 64)).astype(np.float32))
    asked = {"mode": "int4_sym", "group_size": 32, "all_layers": True, "subset_size": 8, "gptq": True}
    made = bench(model=folder, calibration=rows)
    assert compress.run(Compress.model_validate(asked), made).element_types["i4"] > 0


def test_what_nncf_cannot_do_to_a_model_is_said(attentive: tuple[Path, Path], bench: Benches) -> None:
    """Its GPTQ takes the layers apart, and loses the inputs of this one: a fault of its own."""
    asked = {"mode": "int4_sym", "group_size": 32, "all_layers": True, "subset_size": 8, "gptq": True}
    with pytest.raises(StepFailed) as refused:
        compress.run(Compress.model_validate(asked), bench(model=attentive[0], calibration=attentive[1]))
    assert refused.value.failure.code is FailureCode.TOOL_REFUSED
    assert "one by one" in str(refused.value.failure.hint)


def test_a_group_that_does_not_fit_is_adjusted_when_that_is_asked(model: Path, bench: Benches) -> None:
    asked = {"mode": "int4_sym", "group_size": 48, "all_layers": True}
    with pytest.raises(StepFailed) as refused:
        compress.run(Compress.model_validate(asked), bench(model=model))
    assert refused.value.failure.code is FailureCode.GROUP_SIZE
    assert "group_size_fallback=adjust" in str(refused.value.failure.hint)
    adjusted = Compress.model_validate(
        {**asked, "group_size_fallback": "adjust", "advanced": {"min_adjusted_group_size": 4}}
    )
    assert compress.run(adjusted, bench(model=model)).element_types["i4"] > 0


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"mode": "int8_sym", "awq": True}, "awq: these belong to the modes below 8 bits"),
        ({"mode": "int4_sym", "gptq": True, "lora_correction": True}, "exclude each other"),
        ({"mode": "int4_sym", "group_size": 0}, "group_size: -1 is one group"),
        ({"mode": "int5"}, "Input should be 'int8_sym'"),
        ({"mode": "adaptive_codebook"}, "Input should be"),
    ],
)
def test_what_does_not_go_together_is_refused_before_the_job(asked: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Compress.model_validate(asked)


@pytest.mark.parametrize("mode", ["fp8_e4m3", "fp8_e5m2"])
def test_fp8_is_a_mode_of_quantization(mode: str, model: Path, rows: Path, bench: Benches) -> None:
    asked = Quantize.model_validate({"mode": mode, "subset_size": 20})
    made = bench(model=model, calibration=rows)
    result = quantize.run(asked, made)
    assert result.element_types[mode.replace("fp8_", "f8")] > 0


def test_attention_is_seen_and_said(attentive: tuple[Path, Path], bench: Benches) -> None:
    assert attention_layers(attention()) == 1
    assert attention_layers(network()) == 0
    model, rows = attentive
    seen = quantize.run(Quantize(subset_size=16), bench(model=model, calibration=rows))
    assert "transformer" in {note.code for note in seen.notes}
    other = quantize.run(Quantize(subset_size=16, model_type="other"), bench(model=model, calibration=rows))
    assert "transformer_not_told" in {note.code for note in other.notes}
    assert seen.canonical_digest != other.canonical_digest
    assert Quantize.model_validate({"model_type": None}).model_type == "other"


def test_accuracy_is_kept_or_it_is_a_failure(model: Path, rows: Path, bench: Benches) -> None:
    asked = Quantize(subset_size=50, accuracy=AccuracyControl(max_drop=0.05))
    result = quantize.run(asked, bench(model=model, calibration=rows, evaluation=rows))
    told = {measured.name: measured.value for measured in result.measurements}
    assert told["accuracy_before"] == 1.0
    assert told["accuracy_before"] - told["accuracy_after"] <= 0.05
    relative = AccuracyControl(
        max_drop=0.5, drop_type="relative", max_num_iterations=1, ranking_subset_size=50
    )
    quantize.run(Quantize(accuracy=relative), bench(model=model, calibration=rows, evaluation=rows))


def test_accuracy_control_without_labels_is_refused(
    model: Path, rows: Path, tmp_path: Path, bench: Benches
) -> None:
    unlabelled = tmp_path / "unlabelled"
    unlabelled.mkdir()
    np.savez(unlabelled / "d.npz", x=np.zeros((4, 16), np.float32))
    made = bench(model=model, calibration=rows, evaluation=unlabelled)
    with pytest.raises(StepFailed) as refused:
        quantize.run(Quantize(accuracy=AccuracyControl()), made)
    assert refused.value.failure.code is FailureCode.LABELS_MISSING
    with pytest.raises(ValidationError, match="FP8 has no accuracy control"):
        Quantize(mode="fp8_e4m3", accuracy=AccuracyControl())


def test_advanced_options_change_what_comes_out(model: Path, rows: Path, bench: Benches) -> None:
    usual = quantize.run(Quantize(subset_size=20), bench(model=model, calibration=rows)).canonical_digest
    for advanced in (
        {"disable_bias_correction": True, "overflow_fix": "enable"},
        {
            "activations_range_estimator_params": {
                "max": {"statistics_type": "quantile", "quantile_outlier_prob": 0.1}
            }
        },
        {"weights_quantization_params": {"per_channel": False}},
        {"quantize_outputs": True},
    ):
        asked = Quantize.model_validate({"subset_size": 20, "advanced": advanced})
        assert quantize.run(asked, bench(model=model, calibration=rows)).canonical_digest != usual, advanced


def test_the_defaults_are_those_of_nncf() -> None:
    assert options.quantization(AdvancedQuantization()) == nncf.AdvancedQuantizationParameters()
    assert options.compression(Compress(mode="int4_sym")) == nncf.AdvancedCompressionParameters()
    assert options.restorer(AccuracyControl()) == nncf.AdvancedAccuracyRestorerParameters()
    strong = options.quantization(AdvancedQuantization(smooth_quant_alphas=SmoothQuant(matmul=0.5)))
    assert strong.smooth_quant_alphas.matmul == 0.5


def test_statistics_are_measured_once_and_give_the_same_model(
    attentive: tuple[Path, Path], bench: Benches
) -> None:
    model, rows = attentive
    asked = Compress(mode="int4_sym", group_size=32, all_layers=True, scale_estimation=True)
    first = bench(model=model, calibration=rows)
    compress.run(asked.model_copy(update={"mode": "int4_asym", "keep_statistics": True}), first)
    assert any((first.outputs / "statistics").iterdir())
    stages: list[str] = []
    again = replace(
        bench(model=model, calibration=rows, statistics=first.outputs),
        report=lambda stage, *_: stages.append(stage),
    )
    reused = compress.run(asked.model_copy(update={"statistics": "first"}), again)
    assert "calibrate" not in stages
    assert not (again.outputs / "statistics").exists()
    measured = replace(bench(model=model, calibration=rows), report=lambda stage, *_: stages.append(stage))
    assert compress.run(asked, measured).canonical_digest == reused.canonical_digest
    assert "calibrate" in stages


def test_what_is_kept_beside_a_model_is_no_part_of_it(attentive: tuple[Path, Path], bench: Benches) -> None:
    model, rows = attentive
    asked = Compress(mode="int4_asym", group_size=32, all_layers=True, scale_estimation=True)
    plain, kept = (bench(model=model, calibration=rows) for _ in range(2))
    without = compress.run(asked, plain)
    assert (
        compress.run(asked.model_copy(update={"keep_statistics": True}), kept).canonical_digest
        == without.canonical_digest
    )
    bundled = bench(model=kept.outputs)
    package.run(Package(), bundled)
    assert not (bundled.outputs / "statistics").exists()


def test_statistics_are_of_an_earlier_compression_that_kept_them() -> None:
    first = Compress(name="first", mode="int4_asym", gptq=True)
    second = Compress(name="second", model="convert", mode="int4_sym", gptq=True, statistics="first")
    with pytest.raises(ValidationError, match="earlier compress steps with keep_statistics: none"):
        Recipe(name="r", steps=(Convert(), first, second))
    with pytest.raises(ValidationError, match="options that need calibration data"):
        Compress(mode="int4_asym", keep_statistics=True)
