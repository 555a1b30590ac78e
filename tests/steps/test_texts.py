"""Texts through a model's own tokenizer, and the inputs that follow from the tokens."""

import json
from pathlib import Path
from typing import Literal

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops

from ovfarm.datasets import Reading
from ovfarm.failures import FailureCode
from ovfarm.recipes import Benchmark, Evaluate, Quantize
from tests.steps.conftest import Benches
from workers.kit import data, ir
from workers.protocol import StepFailed
from workers.steps import benchmark, evaluate, quantize

pytest.importorskip("openvino_tokenizers", reason="the Hugging Face part is not installed")
WORDS = ("[PAD]", "[UNK]", "good", "bad", "film", "a", "the")
LINES = ["a good film", "bad", "the bad film", "good good"] * 10
LABELS = [0, 1, 1, 0] * 10
PAD, GOOD, BAD, FILM, A = 0, 2, 3, 4, 5
Side = Literal["left", "right"]
DERIVED = ("attention_mask", "token_type_ids", "position_ids")


def classifier(*, length: int = -1) -> ov.Model:
    """Return a model that counts good and bad words where the mask is 1, and minds all other inputs."""
    tables = np.zeros((len(WORDS), 2), np.float32)
    tables[GOOD, 0] = tables[BAD, 1] = 1

    def given(name: str, kind: ov.Type = ov.Type.i64, *shape: int) -> ov.Node:
        port = ops.parameter(shape or [-1, length], kind, name=name)
        port.output(0).get_tensor().set_names({name})
        return port

    ids, mask, types, places = map(given, ("input_ids", *DERIVED))
    beams = given("beam_idx", ov.Type.i32, -1)
    scores = ops.gather(ops.constant(tables), ids, ops.constant(0))
    weights = ops.multiply(
        ops.convert(mask, "f32"), ops.convert(ops.add(types, ops.constant(np.int64(1))), "f32")
    )
    counted = ops.reduce_sum(
        ops.multiply(scores, ops.unsqueeze(weights, ops.constant([2]))), ops.constant([1]), keep_dims=False
    )
    far = ops.reduce_max(ops.convert(places, "f32"), ops.constant([1]), keep_dims=True)
    mixed = ops.matmul(counted, ops.constant(np.eye(2, dtype=np.float32)), False, False)
    turned = ops.gather(ops.add(mixed, far), beams, ops.constant(0))
    return ov.Model([ops.result(turned)], [ids, mask, types, places, beams], "words")


def tokenizer(folder: Path, side: Side = "right") -> None:
    from openvino_tokenizers import convert_tokenizer
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel({word: at for at, word in enumerate(WORDS)}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="[PAD]", unk_token="[UNK]", padding_side=side
    )
    ov.save_model(convert_tokenizer(fast), folder / "openvino_tokenizer.xml")


def language_model(folder: Path, *, length: int = -1, side: Side = "right") -> Path:
    folder.mkdir()
    ov.save_model(classifier(length=length), folder / "model.xml", compress_to_fp16=False)
    tokenizer(folder, side)
    return folder


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    folder = tmp_path / "lines"
    folder.mkdir()
    (folder / "d.txt").write_text("\n".join(LINES) + "\n\n")
    return folder


@pytest.fixture
def table(tmp_path: Path) -> Path:
    folder = tmp_path / "table"
    folder.mkdir()
    rows = [
        f'{number},"{line}",{label}' for number, (line, label) in enumerate(zip(LINES, LABELS, strict=True))
    ]
    (folder / "d.csv").write_text("\n".join(["id,review,stars", *rows]) + "\n")
    return folder


READING = Reading(mapping={"input_ids": "review"}, labels="stars")


@pytest.mark.parametrize("side", ["left", "right"])
def test_texts_judge_calibrate_and_are_timed(
    tmp_path: Path, side: Side, table: Path, lines: Path, bench: Benches
) -> None:
    model = language_model(tmp_path / "lm", side=side)
    made = bench(model=model, reference=model, evaluation=table, calibration=lines)
    made.readings["evaluation"] = READING
    found = {m.name: m.value for m in evaluate.run(Evaluate(), made).measurements}
    assert found["accuracy"] == found["agreement"] == 1.0
    assert quantize.run(Quantize(subset_size=10), made).element_types["i8"] >= 4
    assert benchmark.run(Benchmark(time_budget_s=1), made).verdict is not None


def feed(model: Path, rows: Path, bench: Benches, reading: Reading, size: int = 2) -> data.Feed:
    made = bench(model=model, evaluation=rows)
    made.readings["evaluation"] = reading
    return next(data.load(made, "evaluation", ir.read(model)).batches(size)).feed


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_batch_is_padded_as_the_tokenizer_does(
    tmp_path: Path, side: Side, lines: Path, bench: Benches
) -> None:
    found = feed(language_model(tmp_path / "lm", side=side), lines, bench, Reading())
    short = [PAD, PAD, BAD] if side == "left" else [BAD, PAD, PAD]
    assert found["input_ids"].tolist() == [[A, GOOD, FILM], short]
    assert found["attention_mask"].tolist() == [[1, 1, 1], [int(word != PAD) for word in short]]
    assert found["position_ids"].tolist() == [[0, 1, 2], [0, 0, 0]]
    assert found["token_type_ids"].tolist() == [[0, 0, 0]] * 2
    assert found["beam_idx"].tolist() == [0, 1]
    assert found["beam_idx"].dtype == np.int32


@pytest.mark.parametrize(("side", "short"), [("left", [PAD, BAD]), ("right", [BAD, PAD])])
def test_a_long_text_is_cut_behind(
    tmp_path: Path, side: Side, short: list[int], lines: Path, bench: Benches
) -> None:
    found = feed(language_model(tmp_path / "lm", side=side), lines, bench, Reading(max_tokens=2))
    assert found["input_ids"].tolist() == [[A, GOOD], short]


def test_a_fixed_length_is_filled(tmp_path: Path, lines: Path, bench: Benches) -> None:
    found = feed(language_model(tmp_path / "lm", length=5), lines, bench, Reading(), size=1)
    assert found["input_ids"].tolist() == [[A, GOOD, FILM, PAD, PAD]]
    assert found["attention_mask"].tolist() == [[1, 1, 1, 0, 0]]


def test_tokens_that_are_given_need_no_tokenizer(tmp_path: Path, bench: Benches) -> None:
    model = language_model(tmp_path / "lm")
    (model / "openvino_tokenizer.xml").unlink()
    (model / "openvino_tokenizer.bin").unlink(missing_ok=True)
    folder = tmp_path / "tokens"
    folder.mkdir()
    (folder / "d.jsonl").write_text('{"input_ids": [5, 2, 4]}\n{"input_ids": [3, 0, 0]}\n')
    found = feed(model, folder, bench, Reading())
    assert found["attention_mask"].tolist() == [[1, 1, 1], [1, 1, 1]]
    assert found["position_ids"].tolist() == [[0, 1, 2], [0, 1, 2]]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ('{"input_ids": [5, 2, 4]}\n{"input_ids": [3, 7, 0]}\n', r"tokens 0 to 6; 7 is none, in row 1"),
        ('{"input_ids": [-1, 2, 4]}\n{"input_ids": [3, 0, 0]}\n', r"tokens 0 to 6; -1 is none, in row 0"),
        (
            '{"input_ids": [5, 2, 4], "attention_mask": [1, 1]}\n' * 2,
            "rows of 'attention_mask' have 2 values for 3 tokens",
        ),
    ],
)
def test_what_would_be_read_from_beside_the_tables_is_refused(
    rows: str, words: str, tmp_path: Path, bench: Benches
) -> None:
    model = language_model(tmp_path / "lm")
    (model / "config.json").write_text(json.dumps({"vocab_size": len(WORDS)}))
    folder = tmp_path / "tokens"
    folder.mkdir()
    (folder / "d.jsonl").write_text(rows)
    with pytest.raises(StepFailed, match=words) as caught:
        feed(model, folder, bench, Reading())
    assert caught.value.failure.code is FailureCode.DATASET_SHAPE


def test_without_a_tokenizer_it_is_said(tmp_path: Path, lines: Path, bench: Benches) -> None:
    model = language_model(tmp_path / "lm")
    (model / "openvino_tokenizer.xml").unlink()
    with pytest.raises(StepFailed, match=r"no openvino_tokenizer\.xml beside it") as caught:
        feed(model, lines, bench, Reading())
    assert caught.value.failure.code is FailureCode.TOKENIZER_MISSING


def test_a_damaged_tokenizer_is_said_to_be_one(tmp_path: Path, lines: Path, bench: Benches) -> None:
    model = language_model(tmp_path / "lm")
    (model / "openvino_tokenizer.xml").write_text("<net")
    with pytest.raises(StepFailed, match="cannot tokenize") as caught:
        feed(model, lines, bench, Reading())
    assert caught.value.failure.code is FailureCode.MODEL_UNREADABLE
