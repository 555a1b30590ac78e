"""``auto`` takes optimum-intel's configuration of a model and names it; unknown models get INT8."""

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from ovfarm.catalog import ModelFormat
from ovfarm.hardware import Toolkit
from ovfarm.jobs import JobSpec
from ovfarm.plan import SourceModel, plan
from ovfarm.recipes import Compress, Convert
from tests.core.test_plan import MODEL
from tests.coverage.architectures import BY_NAME, build
from tests.steps.conftest import Benches
from workers.protocol import Bench
from workers.steps import compress, convert

# The table's entry for it: INT4 asymmetric, groups of 64, a fifth of the layers in INT8, AWQ.
KNOWN = "meta-llama/Llama-3.1-8B"


@pytest.fixture(scope="module")
def decoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a small decoder as IR."""
    outputs = tmp_path_factory.mktemp("ir")
    source = build(BY_NAME["llama"], tmp_path_factory.mktemp("llama"))
    convert.run(Convert(task="auto"), Bench({"model": source}, outputs, lambda *_: None, {}))
    return outputs


def test_a_known_model_is_compressed_as_optimum_intel_does(decoder: Path, bench: Benches) -> None:
    result = compress.run(Compress(mode="auto", known_as=KNOWN), bench(model=decoder))
    (note,) = result.notes
    assert note.code == "auto"
    assert KNOWN in note.message
    assert "int4_asym, ratio=0.8, group_size=64" in note.message
    assert "awq=True" in note.message
    assert {"u4", "u8"} <= result.element_types.keys()


def test_a_model_is_known_by_the_name_it_was_saved_under(decoder: Path, bench: Benches) -> None:
    config = json.loads((decoder / "config.json").read_text())
    (decoder / "config.json").write_text(json.dumps({**config, "_name_or_path": KNOWN}))
    result = compress.run(Compress(mode="auto"), bench(model=decoder))
    assert KNOWN in result.notes[0].message


def test_an_unknown_model_gets_eight_bits(model: Path, bench: Benches) -> None:
    result = compress.run(Compress(mode="auto"), bench(model=model))
    assert "has no configuration for this model" in result.notes[0].message
    assert "u8" in result.element_types
    assert "u4" not in result.element_types


def test_the_planner_tells_whose_model_it_is_and_who_has_the_table() -> None:
    origin = SourceModel(1, ModelFormat.HUGGINGFACE, f"hf://{KNOWN}@{'0' * 40}")
    steps = {step.name: step for step in plan(JobSpec(model=MODEL, recipe="auto"), origin)}
    made = steps["compress"]
    assert isinstance(made.params, Compress)
    assert made.params.known_as == KNOWN
    assert made.need.toolkit is Toolkit.HUGGINGFACE


def test_auto_brings_its_own_parameters() -> None:
    with pytest.raises(ValidationError, match="ratio: mode auto brings its own"):
        Compress(mode="auto", ratio=0.5)
