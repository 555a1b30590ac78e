"""Hugging Face models become IR: every network, the tokenizers, the configuration; refusals are precise."""

import importlib
import json
import shutil
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops

from ovfarm.failures import FailureCode
from ovfarm.recipes import Benchmark, Compress, Convert, Evaluate, Package, Quantize
from ovfarm.results import StepResult, Verdict
from tests.coverage.architectures import BY_NAME, build
from tests.steps.conftest import Benches
from workers.protocol import Bench, StepFailed
from workers.steps import benchmark, compress, convert, evaluate, package, quantize

Exported = dict[str, tuple[Path, StepResult]]
_SENTENCE = "the quick brown fox"


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return the folders of a decoder, of an encoder with a decoder, and of a classifier of images."""
    return {name: build(BY_NAME[name], tmp_path_factory.mktemp(name)) for name in ("llama", "t5", "vit")}


@pytest.fixture(scope="module")
def exported(sources: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """Return what the convert step makes of each."""
    found: Exported = {}
    for name, source in sources.items():
        outputs = tmp_path_factory.mktemp(f"{name}-ir")
        bench = Bench(inputs={"model": source}, outputs=outputs, report=lambda *_: None, parts={})
        found[name] = outputs, convert.run(Convert(task="auto"), bench)
    return found


def logits(folder: Path, tokens: list[int]) -> np.ndarray:
    compiled = ov.compile_model(folder / "openvino_model.xml", "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    ids = np.array([tokens])
    feed = {
        "input_ids": ids,
        "attention_mask": np.ones_like(ids),
        "position_ids": np.arange(len(tokens))[None],
        "beam_idx": np.zeros(1, np.int32),
    }
    return np.array(compiled(feed)[0])


def test_a_decoder_keeps_its_cache_and_computes_what_the_original_does(
    sources: dict[str, Path], exported: Exported
) -> None:
    folder, result = exported["llama"]
    assert "text-generation-with-past" in result.notes[0].message
    assert {port.name for port in result.ports if port.direction == "input"} == {
        "input_ids",
        "attention_mask",
        "position_ids",
        "beam_idx",
    }
    torch, transformers = (importlib.import_module(name) for name in ("torch", "transformers"))
    original = transformers.AutoModelForCausalLM.from_pretrained(sources["llama"], local_files_only=True)
    with torch.no_grad():
        expected = original.eval()(torch.tensor([[5, 6, 7]])).logits.numpy()
    np.testing.assert_allclose(logits(folder, [5, 6, 7]), expected, atol=1e-4)


def test_tokenizers_travel_as_ir_beside_the_configuration(
    sources: dict[str, Path], exported: Exported
) -> None:
    folder, _ = exported["llama"]
    names = {path.name for path in folder.iterdir()}
    assert {"config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"} <= names
    assert {"openvino_tokenizer.xml", "openvino_detokenizer.xml"} <= names
    importlib.import_module("openvino_tokenizers")
    core = ov.Core()
    core.add_extension(str(importlib.import_module("openvino_tokenizers")._ext_path))
    tokenized = core.compile_model(folder / "openvino_tokenizer.xml", "CPU")([_SENTENCE])
    transformers = importlib.import_module("transformers")
    expected = transformers.AutoTokenizer.from_pretrained(sources["llama"])(_SENTENCE)["input_ids"]
    assert tokenized["input_ids"][0].tolist() == expected


def test_a_model_of_two_networks_goes_all_the_way(exported: Exported, bench: Benches) -> None:
    folder, result = exported["t5"]
    assert {port.network for port in result.ports} == {"encoder_model", "decoder_model"}
    made = bench(model=folder)
    smaller = compress.run(Compress(mode="int4_sym", group_size=16), made)
    assert {"u4", "i4"} & smaller.element_types.keys()
    codes = [note.code for note in smaller.notes]
    assert codes == ["eight_bits", "weights_mixed"], "the encoder stays at 8 bits"
    measured = evaluate.run(Evaluate(), bench(model=made.outputs, reference=folder))
    distances = {m.subject: m.value for m in measured.measurements if m.name == "cosine_distance"}
    assert set(distances) == {"candidate", "encoder_model", "decoder_model"}
    assert 0 < distances["candidate"] == max(distances.values()) < 0.1
    timed = benchmark.run(Benchmark(time_budget_s=0.5), bench(model=made.outputs, reference=folder))
    assert timed.verdict in set(Verdict)
    assert "decoder_model was timed" in " ".join(note.message for note in timed.notes)
    bundled = bench(model=made.outputs)
    package.run(Package(), bundled)
    manifest = json.loads((bundled.outputs / "manifest.json").read_text())
    assert {"openvino_encoder_model.bin", "openvino_tokenizer.xml", "config.json"} <= manifest["files"].keys()


def test_a_pipeline_goes_all_the_way_and_is_told_by_its_class(tmp_path: Path, bench: Benches) -> None:
    made = bench(model=build(BY_NAME["stable-diffusion"], tmp_path / "pipeline"))
    result = convert.run(Convert(task="auto"), made)
    assert "text-to-image" in result.notes[0].message
    parts = {"text_encoder", "unet", "vae_decoder", "vae_encoder"}
    assert {port.network for port in result.ports} == parts
    smaller = bench(model=made.outputs)
    assert "u8" in compress.run(Compress(), smaller).element_types
    compared = bench(model=smaller.outputs, reference=made.outputs)
    distances = {m.subject: m.value for m in evaluate.run(Evaluate(), compared).measurements}
    assert set(distances) == {"candidate", *parts}
    timed = benchmark.run(Benchmark(time_budget_s=0.5), compared)
    assert "unet was timed" in " ".join(note.message for note in timed.notes)
    loaded = importlib.import_module("optimum.intel").OVDiffusionPipeline.from_pretrained(smaller.outputs)
    (image,) = loaded("a fox", num_inference_steps=2, height=16, width=16, output_type="np").images
    assert image.shape == (16, 16, 3)


@pytest.mark.parametrize("index", ['{"_class_name": "NoSuchPipeline"}', "[]", "{}"])
def test_a_pipeline_that_nobody_knows_is_refused(tmp_path: Path, bench: Benches, index: str) -> None:
    (tmp_path / "pipeline").mkdir()
    (tmp_path / "pipeline" / "model_index.json").write_text(index)
    with pytest.raises(StepFailed) as refused:
        convert.run(Convert(task="auto"), bench(model=tmp_path / "pipeline"))
    unknown = FailureCode.ARCHITECTURE_UNSUPPORTED if "NoSuch" in index else FailureCode.MODEL_UNREADABLE
    assert refused.value.failure.code is unknown


def test_a_network_that_computes_nonsense_is_no_result(
    exported: Exported, bench: Benches, tmp_path: Path
) -> None:
    folder, _ = exported["t5"]
    broken = tmp_path / "broken"
    shutil.copytree(folder, broken)
    network = ov.Core().read_model(folder / "openvino_encoder_model.xml")
    for op in network.get_ops():
        if op.get_type_name() == "Constant" and op.get_element_type() == ov.Type.f32 and len(op.shape) > 1:
            nothing = ops.constant(np.full(list(op.shape), np.nan, np.float32))
            for user in list(op.output(0).get_target_inputs()):
                user.replace_source_output(nothing.output(0))
    ov.save_model(network, broken / "openvino_encoder_model.xml", compress_to_fp16=False)
    with pytest.raises(StepFailed) as refused:
        evaluate.run(Evaluate(), bench(model=broken, reference=folder))
    assert refused.value.failure.code is FailureCode.OUTPUT_NOT_FINITE


def test_safetensors_beside_another_model_are_not_what_is_converted(bench: Benches, tmp_path: Path) -> None:
    fixtures = Path(__file__).parents[1] / "fixtures" / "tensorflow"
    shutil.copy(fixtures / "network.tflite", tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    (tmp_path / "model.safetensors").write_bytes(b"of the same model, for other tools")
    result = convert.run(Convert(), bench(model=tmp_path))
    assert "exported" not in {note.code for note in result.notes}


def test_what_works_on_one_network_says_so(exported: Exported, bench: Benches, rows: Path) -> None:
    with pytest.raises(StepFailed) as refused:
        quantize.run(Quantize(), bench(model=exported["t5"][0], calibration=rows))
    assert refused.value.failure.code is FailureCode.SEVERAL_NETWORKS
    assert "encoder_model" in refused.value.failure.message


@pytest.mark.parametrize(("weights", "kind"), [("fp16", "f16"), ("bf16", "bf16")])
def test_weights_in_half_precision_are_half_the_size_and_close(
    sources: dict[str, Path], exported: Exported, bench: Benches, weights: str, kind: str
) -> None:
    made = bench(model=sources["llama"])
    result = convert.run(Convert.model_validate({"task": "auto", "weights": weights}), made)
    assert result.element_types[kind] > 0.9 * sum(result.element_types.values())
    sizes = [(path / "openvino_model.bin").stat().st_size for path in (made.outputs, exported["llama"][0])]
    assert sizes[0] < 0.55 * sizes[1]
    np.testing.assert_allclose(
        logits(made.outputs, [5, 6, 7]), logits(exported["llama"][0], [5, 6, 7]), atol=0.02
    )


def test_bfloat16_is_rounded_to_the_nearest(bench: Benches, model: Path) -> None:
    made = bench(model=model)
    convert.run(Convert(weights="bf16"), made)
    before, after = (_matrices(folder / "model.xml") for folder in (model, made.outputs))
    for wide, narrow in zip(before, after, strict=True):
        assert np.abs(wide - narrow).max() <= np.abs(wide).max() * 2**-8


def _matrices(path: Path) -> list[np.ndarray]:
    constants = [
        op for op in ov.Core().read_model(path).get_ordered_ops() if op.get_type_name() == "Constant"
    ]
    narrow = ov.Type.bf16
    values = []
    for op in constants:
        if len(op.shape) > 1:
            raw = op.data
            wide = (
                (raw.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
                if op.get_element_type() == narrow
                else np.array(raw)
            )
            values.append(wide)
    return values


def test_an_image_model_takes_a_static_shape(sources: dict[str, Path], bench: Benches) -> None:
    made = bench(model=sources["vit"])
    convert.run(Convert(task="auto", shapes={"pixel_values": (1, 3, 32, 32)}), made)
    network = ov.Core().read_model(made.outputs / "openvino_model.xml")
    assert network.inputs[0].get_shape() == [1, 3, 32, 32]


def test_without_state_the_cache_is_given_and_taken(sources: dict[str, Path], bench: Benches) -> None:
    result = convert.run(Convert(task="auto", stateful=False), bench(model=sources["llama"]))
    assert any("past_key_values" in port.name for port in result.ports)


def test_a_task_that_a_model_has_not_is_answered_with_those_that_it_has(
    sources: dict[str, Path], bench: Benches
) -> None:
    with pytest.raises(StepFailed) as refused:
        convert.run(Convert(task="image-classification"), bench(model=sources["llama"]))
    assert refused.value.failure.code is FailureCode.TASK_UNSUPPORTED
    assert "text-generation-with-past" in refused.value.failure.message


def test_weights_that_are_cut_short_are_the_owners(
    sources: dict[str, Path], bench: Benches, tmp_path: Path
) -> None:
    folder = tmp_path / "cut"
    shutil.copytree(sources["vit"], folder)
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    with pytest.raises(StepFailed) as refused:
        convert.run(Convert(task="auto"), bench(model=folder))
    assert refused.value.failure.code is FailureCode.WEIGHTS_MISSING


@pytest.mark.parametrize("model_type", ["gemma", "no-such-model"])
def test_a_type_that_is_not_exported_is_named(
    sources: dict[str, Path], bench: Benches, tmp_path: Path, model_type: str
) -> None:
    folder = tmp_path / "other"
    shutil.copytree(sources["llama"], folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "model_type": model_type}))
    with pytest.raises(StepFailed) as refused:
        convert.run(Convert(task="text-generation-with-past"), bench(model=folder))
    assert refused.value.failure.code is FailureCode.ARCHITECTURE_UNSUPPORTED


def test_a_model_that_cannot_be_traced_is_told_in_the_tools_words(bench: Benches, tmp_path: Path) -> None:
    whisper = BY_NAME["whisper"]
    short = replace(whisper, values={**whisper.values, "max_source_positions": 100})
    with pytest.raises(StepFailed) as refused:
        convert.run(Convert(task="auto"), bench(model=build(short, tmp_path / "short")))
    assert refused.value.failure.code is FailureCode.EXPORT_FAILED
    assert "mel input features" in (refused.value.failure.evidence or "")


def test_a_large_model_is_not_compressed_unasked(
    sources: dict[str, Path], bench: Benches, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exporter = importlib.import_module("optimum.exporters.openvino.__main__")
    monkeypatch.setattr(exporter, "_MAX_UNCOMPRESSED_SIZE", 1000)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exporter.main_export(
            str(sources["vit"]), tmp_path, task="image-classification", library_name="transformers"
        )
    assert "u8" in _types(tmp_path), "optimum-intel's own default: the trap is there"
    result = convert.run(Convert(task="auto"), bench(model=sources["vit"]))
    assert result.element_types.keys() <= {"f32", "i64"}


def _types(folder: Path) -> set[str]:
    network = ov.Core().read_model(folder / "openvino_model.xml")
    return {op.get_output_element_type(0).get_type_name() for op in network.get_ops()}
