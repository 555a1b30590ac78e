"""Weights that a checkpoint does not have are no weights: a head that was never trained is no result."""

import importlib
import shutil
from pathlib import Path

import pytest
from safetensors.numpy import load_file, save_file

from ovfarm.failures import FailureCode
from ovfarm.recipes import Convert
from ovfarm.results import NoteCode
from tests.coverage.architectures import BY_NAME, build
from tests.steps.conftest import Benches
from workers.protocol import StepFailed
from workers.steps import convert


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(BY_NAME["llama"], tmp_path_factory.mktemp("llama"))


def test_a_head_that_was_never_trained_is_refused(llama: Path, bench: Benches) -> None:
    with pytest.raises(StepFailed) as refused:
        convert.run(Convert(task="text-classification"), bench(model=llama))
    failure = refused.value.failure
    assert failure.code is FailureCode.WEIGHTS_MISSING
    assert "text-classification needs weights that the files do not have: score.weight" in failure.message
    (patch,) = failure.patches
    assert patch.overrides == {"convert.task": None}


def test_a_checkpoint_with_a_hole_is_refused(llama: Path, bench: Benches, tmp_path: Path) -> None:
    holed = shutil.copytree(llama, tmp_path / "holed")
    weights = load_file(holed / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, holed / "model.safetensors", {"format": "pt"})
    with pytest.raises(StepFailed, match=r"model\.layers\.1\.mlp\.up_proj\.weight") as refused:
        convert.run(Convert(task="auto"), bench(model=holed))
    assert refused.value.failure.code is FailureCode.WEIGHTS_MISSING
    assert not refused.value.failure.patches


def test_a_pooled_output_that_was_never_trained_is_said(bench: Benches, tmp_path: Path) -> None:
    transformers = importlib.import_module("transformers")
    values = {"vocab_size": 512, "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = transformers.BertConfig(**values, intermediate_size=64, max_position_embeddings=64)
    transformers.BertForMaskedLM(config).eval().save_pretrained(tmp_path / "bert")
    result = convert.run(Convert(task="feature-extraction"), bench(model=tmp_path / "bert"))
    (note,) = [note for note in result.notes if note.code is NoteCode.RANDOM_WEIGHTS]
    assert note.message.startswith("NOT IN THE FILES, AND DRAWN AT RANDOM: pooler.dense.")
