"""A Hugging Face folder through a whole farm: uploaded, exported in the sandbox, compressed, packaged."""

from pathlib import Path

import openvino as ov
import pytest

from ovfarm.catalog import ModelFormat
from ovfarm.errors import Refused
from ovfarm.jobs import JobSpec
from ovfarm.states import JobState
from storage.schema import migrate
from tests.coverage.architectures import BY_NAME, build
from tests.coverage.composed import TEMPLATE
from tests.e2e.stack import Stack

_WARM = {"OVFARM_PRELOAD": "huggingface"}


def _files(folder: Path) -> dict[str, Path]:
    return {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}


def test_a_language_model_comes_back_as_a_package(tmp_path: Path) -> None:
    database_url = f"sqlite:///{tmp_path / 'farm.sqlite'}"
    migrate(database_url)
    folder = build(BY_NAME["llama"], tmp_path / "llama")
    with Stack(tmp_path / "farm", database_url, environment=_WARM) as stack:
        model = stack.client.register_model("llama", _files(folder))
        assert model.format is ModelFormat.HUGGINGFACE
        spec = JobSpec(model=model.id, recipe="int8-weights", overrides={"benchmark.time_budget_s": 0.5})
        job = stack.client.submit(spec)
        assert job.steps[0].need == "cpu/toolkit=huggingface"
        assert "./farm setup --hf" in (job.steps[0].reason or "")
        stack.worker("exporter")
        done = stack.client.wait(job.id, timeout_s=120)
        assert done.state is JobState.SUCCEEDED, done.steps
        (view,) = stack.client.models()
        assert {"input_ids", "beam_idx"} <= {port.name for port in view.ports}
        package = tmp_path / "package"
        (made,) = [found for found in stack.client.artifacts(done.id) if found.step == "package"]
        stack.client.download(made, package)
    found = {path.name for path in package.rglob("*")}
    assert {"openvino_model.xml", "openvino_tokenizer.xml", "config.json", "manifest.json"} <= found
    assert (package / "chat_template.jinja").read_text() == TEMPLATE
    (network,) = package.rglob("openvino_model.xml")
    assert "u8" in {
        op.get_output_element_type(0).get_type_name() for op in ov.Core().read_model(network).get_ops()
    }


def test_a_folder_without_safetensors_is_refused_with_the_way_to_make_them(tmp_path: Path) -> None:
    database_url = f"sqlite:///{tmp_path / 'farm.sqlite'}"
    migrate(database_url)
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with Stack(tmp_path / "farm", database_url) as stack, pytest.raises(Refused, match="safetensors"):
        stack.client.register_model("bert", {"config.json": tmp_path / "config.json"})
