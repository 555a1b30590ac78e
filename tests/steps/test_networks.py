"""Models of several networks: what is asked for an input reaches those that have it."""

from collections.abc import Mapping
from pathlib import Path

import openvino as ov
import pytest
from openvino import opset13 as ops

from ovfarm.recipes import Convert
from tests.steps.conftest import Benches
from workers.protocol import StepFailed
from workers.steps import convert

INPUTS = {"encoder": ("input_ids", "attention_mask"), "decoder": ("input_ids", "serving:0")}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder of two networks in optimum-intel's layout, each of which adds up its inputs."""
    (tmp_path / "package").mkdir()
    for part, names in INPUTS.items():
        given = [ops.parameter([-1, -1], name=name, dtype=ov.Type.f32) for name in names]
        for node, name in zip(given, names, strict=True):
            node.output(0).get_tensor().set_names({name})
        ov.save_model(ov.Model([ops.add(*given)], given), tmp_path / f"package/openvino_{part}_model.xml")
    (tmp_path / "package" / "config.json").write_text('{"model_type": "t5"}')
    return tmp_path / "package"


def shapes(outputs: Path, part: str) -> Mapping[str, str]:
    model = ov.Core().read_model(outputs / f"openvino_{part}_model.xml")
    return {port.get_any_name(): port.get_partial_shape().to_string() for port in model.inputs}


def test_a_shape_is_for_the_networks_that_have_the_input(folder: Path, bench: Benches) -> None:
    made = bench(model=folder)
    asked = {"input_ids": (1, 16), "encoder_model:attention_mask": (1, 16), "serving:0": (1, "1..16")}
    convert.run(Convert(shapes=asked), made)
    assert shapes(made.outputs, "encoder") == {"input_ids": "[1,16]", "attention_mask": "[1,16]"}
    assert shapes(made.outputs, "decoder") == {"input_ids": "[1,16]", "serving:0": "[1,1..16]"}


def test_one_network_is_meant_by_its_name(folder: Path, bench: Benches) -> None:
    made = bench(model=folder)
    convert.run(Convert(shapes={"decoder_model:input_ids": (2, 8)}), made)
    assert shapes(made.outputs, "encoder")["input_ids"] == "[?,?]"
    assert shapes(made.outputs, "decoder")["input_ids"] == "[2,8]"


def test_what_stays_without_bounds_is_named_with_its_network(folder: Path, bench: Benches) -> None:
    with pytest.raises(StepFailed) as refused:
        convert.run(Convert(require_static=True), bench(model=folder))
    hint = str(refused.value.failure.hint)
    assert "--set convert.shapes.encoder_model:attention_mask=[1,SIZE]" in hint
    assert "--set convert.shapes.decoder_model:input_ids=[1,SIZE]" in hint


def test_a_name_that_no_network_has_is_refused_with_those_that_there_are(
    folder: Path, bench: Benches
) -> None:
    with pytest.raises(StepFailed, match=r"no network .* 'nobody:input_ids'; .*encoder_model: input_ids"):
        convert.run(Convert(shapes={"nobody:input_ids": (1, 2)}), bench(model=folder))
