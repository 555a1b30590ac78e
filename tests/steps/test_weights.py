"""What a compression says of the types that its weights are in, and what a choice makes of it."""

from pathlib import Path

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops

from ovfarm.advice import patched
from ovfarm.failures import FailureCode
from ovfarm.recipes import Choose, Compress, Convert, IgnoredScope
from ovfarm.results import Gate, Note, NoteCode, StepResult
from tests.steps.conftest import Benches, network
from tests.steps.makers import dataset, linear, saved, wired
from tests.steps.runs import Given
from workers.kit import gates, ir, weights
from workers.protocol import StepFailed
from workers.steps import choose, compress, convert

PASSING = Gate(passed=True, metric="agreement", value=0.0, bound=0.1, words="nothing was lost")


def named(result: StepResult) -> dict[str, Note]:
    return {note.code: note for note in result.notes}


def layers(*names: str) -> ov.Model:
    """Return a chain of layers of 64 by 64, each under its name."""
    dice = np.random.default_rng(0)
    x = ops.parameter([-1, 64], ov.Type.f32, name="x")
    y: ov.Node = x
    for name in names:
        y = ops.matmul(
            y, ops.constant(dice.normal(size=(64, 64)).astype(np.float32)), False, False, name=name
        )
    return ov.Model([ops.result(y)], [x], "layers")


def picture() -> ov.Model:
    """Return two convolutions, which NNCF keeps in 8 bits."""
    dice = np.random.default_rng(0)
    y: ov.Node = ops.parameter([-1, 8, 8, 8], ov.Type.f32, name="x")
    x = y
    for _ in range(2):
        kernel = ops.constant(dice.normal(size=(8, 8, 3, 3)).astype(np.float32))
        y = ops.convolution(y, kernel, [1, 1], [1, 1], [1, 1], [1, 1])
    return ov.Model([ops.result(y)], [x], "picture")


@pytest.mark.parametrize("content", [picture, lambda: wired(linear)], ids=["convolutions", "one layer"])
@pytest.mark.parametrize("mode", ["int4_asym", "int4_sym", "nf4"])
def test_four_bits_that_are_eight_are_called_so(
    content: object, mode: str, tmp_path: Path, bench: Benches
) -> None:
    model = saved(tmp_path / "m", content())  # type: ignore[operator] # makers of models
    result = compress.run(Compress.model_validate({"mode": mode}), bench(model=model))
    note = named(result)[NoteCode.WEIGHTS_NOT_AS_ASKED]
    total = 2 * 8 * 8 * 9 if "picture" in str(content) else 64
    assert f"NO WEIGHT IS IN {mode}" in note.message
    assert f"of {total} weights {total} (100.0%) are in u8" in note.message


def test_the_shares_of_each_type_are_told(tmp_path: Path, bench: Benches) -> None:
    model = saved(tmp_path / "m", layers("a", "b", "c", "d"))
    asked = {"mode": "int4_sym", "group_size": 32}
    last = compress.run(Compress.model_validate(asked), bench(model=model))
    assert named(last)[NoteCode.WEIGHTS_MIXED].message == (
        "of 16384 weights 12288 (75.0%) are in int4_sym as asked, 4096 (25.0%) are in u8; "
        "the others are those of the last matrix product (4096)"
    )
    floating = compress.run(Compress.model_validate({**asked, "backup_mode": "none"}), bench(model=model))
    assert "4096 (25.0%) are in f32 (floating point)" in named(floating)[NoteCode.WEIGHTS_MIXED].message
    whole = compress.run(Compress.model_validate({**asked, "all_layers": True}), bench(model=model))
    assert whole.notes == ()


def sentence() -> ov.Model:
    """Return an embedding, four layers, and a last one."""
    dice = np.random.default_rng(0)
    x = ops.parameter([-1, 4], ov.Type.i64, name="x")
    table = ops.constant(dice.normal(size=(100, 64)).astype(np.float32))
    y: ov.Node = ops.gather(table, x, ops.constant(0))
    for _ in range(5):
        y = ops.matmul(y, ops.constant(dice.normal(size=(64, 64)).astype(np.float32)), False, False)
    return ov.Model([ops.result(y)], [x], "sentence")


def small_share(note: Note | None) -> float:
    return float(note.message.partition("(")[2].partition("%")[0]) if note else 100.0


@pytest.mark.parametrize("metric", [None, "weight_quantization_error"])
def test_what_ratio_keeps_is_said_and_offered(metric: str | None, tmp_path: Path) -> None:
    given = Given(tmp_path, saved(tmp_path / "m", sentence()))
    step = {"kind": "compress", "mode": "int4_asym", "group_size": 32, "ratio": 0.5}
    spec = given.spec([{"kind": "convert"}, {**step, "name": "small", "sensitivity_metric": metric}])
    before = given.notes(spec)[NoteCode.WEIGHTS_MIXED]
    for words in (
        "embeddings (6400)",
        "the last matrix product (4096)",
        "matrix products, by ratio 0.5 (12288)",
    ):
        assert words in before.message
    by_ratio, whole = before.patches
    assert by_ratio.overrides["small.ratio"] == 1.0
    assert whole.overrides["small.all_layers"] is True
    after = [given.notes(patched(spec, patch)).get(NoteCode.WEIGHTS_MIXED) for patch in before.patches]
    assert [small_share(note) for note in (before, *after)] == [15.2, 61.0, 100.0]


def test_all_layers_are_offered_where_they_help_alone(tmp_path: Path) -> None:
    given = Given(tmp_path, saved(tmp_path / "m", sentence()))
    step = {"kind": "compress", "mode": "int4_asym", "group_size": 32}
    (patch,) = given.notes(given.spec([step]))[NoteCode.WEIGHTS_MIXED].patches
    assert patch.overrides == {"compress.all_layers": True}
    halved = given.notes(given.spec([{**step, "ratio": 0.5, "all_layers": True}]))
    assert [patch.overrides for patch in halved[NoteCode.WEIGHTS_MIXED].patches] == [{"compress.ratio": 1.0}]


@pytest.mark.parametrize("asked", [{}, {"ratio": 0.8}, {"all_layers": True}])
def test_convolutions_are_offered_no_option_that_leaves_them_as_they_are(
    asked: dict[str, object], tmp_path: Path
) -> None:
    given = Given(tmp_path, saved(tmp_path / "m", picture()))
    step = {"kind": "compress", "mode": "int4_asym", **asked}
    note = given.notes(given.spec([{"kind": "convert"}, step]))[NoteCode.WEIGHTS_NOT_AS_ASKED]
    assert "the others are those of convolutions (1152)" in note.message
    assert [patch.recipe for patch in note.patches] == ["int8-weights"]


@pytest.mark.parametrize("small_adapters", [True, False])
def test_adapters_are_no_weights_of_the_model(
    tmp_path: Path, bench: Benches, *, small_adapters: bool
) -> None:
    model = saved(tmp_path / "m", layers("a", "b", "c", "d"))
    rows = dataset(tmp_path / "d", x=np.random.default_rng(1).normal(size=(8, 64)).astype(np.float32))
    asked = Compress.model_validate(
        {
            "mode": "int4_sym", "group_size": 32, "lora_correction": True, "subset_size": 8,
            "advanced": {"lora_correction_params": {"use_int8_adapters": small_adapters}},
        }
    )  # fmt: skip
    result = compress.run(asked, bench(model=model, calibration=rows))
    assert named(result)[NoteCode.WEIGHTS_MIXED].message.startswith(
        "of 16384 weights 12288 (75.0%) are in int4_sym as asked, 4096 (25.0%) are in u8;"
    )


def test_groups_that_do_not_fit_stay_in_floating_point_if_they_are_ignored(
    tmp_path: Path, bench: Benches
) -> None:
    """NNCF's own fallback; the hint of the failure promises nothing else."""
    model = saved(tmp_path / "m", network(hidden=96))
    asked = Compress(mode="int4_sym", group_size=16, all_layers=True, group_size_fallback="ignore")
    assert compress.run(asked, bench(model=model)).notes == ()
    result = compress.run(
        asked.model_copy(update={"group_size": 64}), bench(model=saved(tmp_path / "n", layers_of_two()))
    )
    assert "(floating point)" in named(result)[NoteCode.WEIGHTS_MIXED].message


def layers_of_two() -> ov.Model:
    """Return a layer of 64 channels, which groups of 64 fit, and one of 96."""
    dice = np.random.default_rng(0)
    x = ops.parameter([-1, 64], ov.Type.f32, name="x")
    y: ov.Node = x
    for shape in ((64, 96), (96, 8)):
        y = ops.matmul(y, ops.constant(dice.normal(size=shape).astype(np.float32)), False, False)
    return ov.Model([ops.result(y)], [x], "two")


def test_eight_bits_are_as_asked(tmp_path: Path, bench: Benches) -> None:
    result = compress.run(Compress(), bench(model=saved(tmp_path / "m", picture())))
    assert result.notes == ()


def chosen(tmp_path: Path, bench: Benches, params: Compress, model: Path) -> StepResult:
    half, small = bench(model=model), bench(model=model)
    convert.run(Convert(weights="fp16"), half)
    compress.run(params, small)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        gates.write(PASSING, tmp_path / name)
    made = bench(
        **{"model-0": half.outputs, "model-1": small.outputs, "reference": model},
        **{"gate-0-0": tmp_path / "one", "gate-1-0": tmp_path / "two"},
    )
    return choose.run(Choose(of=("fp16", "int4")), made)


def test_a_rung_that_is_not_what_it_is_called_is_not_taken(tmp_path: Path, bench: Benches) -> None:
    model = saved(tmp_path / "m", picture())
    result = chosen(tmp_path, bench, Compress(mode="int4_asym", ratio=0.8), model)
    assert result.chosen is not None
    assert result.chosen.gate == "fp16"
    assert [judged.passed for judged in result.chosen.judged] == [True, False]
    words = "int4: not taken although it passed: no weight of it is in int4_asym"
    assert words in named(result)[NoteCode.CHOSEN].message


@pytest.mark.parametrize(
    "params", [Compress(mode="int4_asym", group_size=32), Compress(mode="int8_sym")], ids=["int4", "int8"]
)
def test_a_rung_that_is_what_it_is_called_is_taken(params: Compress, tmp_path: Path, bench: Benches) -> None:
    result = chosen(tmp_path, bench, params, saved(tmp_path / "m", layers("a", "b", "c")))
    assert result.chosen is not None
    assert result.chosen.gate == "int4"


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """Return a model of two networks, of which the decoder generates."""
    folder = tmp_path / "package"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    ov.save_model(layers("a", "b"), folder / "openvino_encoder_model.xml", compress_to_fp16=False)
    ov.save_model(layers("c", "d"), folder / "openvino_decoder_model.xml", compress_to_fp16=False)
    return folder


def test_what_is_ignored_stays_in_each_of_several_networks(package: Path, bench: Benches) -> None:
    ignored = IgnoredScope(names=("a",), patterns=("d.*",))
    asked = Compress(mode="int4_sym", group_size=32, all_layers=True, ignored_scope=ignored)
    made = bench(model=package)
    result = compress.run(asked, made)
    for network_, kind in (("encoder", "u8"), ("decoder", "i4")):
        model = ir.read_file(made.outputs / f"openvino_{network_}_model.xml")
        assert weights.counted(model) == {kind: 4096, "f32": 4096}
    assert named(result)[NoteCode.WEIGHTS_MIXED].message == (
        "of 16384 weights 4096 (25.0%) are in int4_sym as asked, "
        "8192 (50.0%) are in f32 (floating point), 4096 (25.0%) are in u8; the others are those of "
        "networks that are kept in 8 bits (8192), the last matrix product (4096)"
    )


def test_what_no_network_has_is_a_mistake(package: Path, bench: Benches) -> None:
    ignored = IgnoredScope(names=("a", "nowhere"), types=("Convolution", "MatMul"), patterns=("c", "z+"))
    with pytest.raises(StepFailed, match="none of the networks has: Convolution, nowhere, z\\+") as caught:
        compress.run(Compress(ignored_scope=ignored), bench(model=package))
    assert caught.value.failure.code is FailureCode.IGNORED_SCOPE


@pytest.mark.parametrize(("first", "then"), [("fp16", "bf16"), ("bf16", "fp16"), ("fp16", "fp32")])
def test_sixteen_bits_of_one_kind_do_not_become_the_other_in_silence(
    first: str, then: str, model: Path, bench: Benches
) -> None:
    half, again = bench(model=model), None
    made = convert.run(Convert.model_validate({"weights": first}), half)
    assert made.notes == ()
    again = convert.run(Convert.model_validate({"weights": then}), bench(model=half.outputs))
    kind = {"fp16": "f16", "bf16": "bf16"}[first]
    assert f"which stay: {16 * 64 + 64 * 4} in {kind}" in named(again)[NoteCode.NARROW_WEIGHTS].message
