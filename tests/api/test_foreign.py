"""Models of other tools, as those tools write them: each is refused with a way to what is read."""

import hashlib
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

import ovfarm
from api.intake.entries import entries, stored
from api.intake.models import model_format
from ovfarm.catalog import ModelFormat
from ovfarm.client import Client
from ovfarm.errors import InvalidInput
from tests.api.conftest import Server
from tests.api.test_intake import InMemory
from tests.steps.torch_networks import convolution, rows, saved

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures" / "foreign"
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
# By file: what its owner is told that it is, and what the hint must name.
WAYS = {
    "network.keras": ("a Keras model", '.export("folder")'),
    "network.h5": ("HDF5", '.export("folder")'),
    "network.weights.h5": ("HDF5", "weights alone"),
    "network.json": ("Paddle 3", "FLAGS_enable_pir_api=0"),
    "network.mar": ("TorchServe", "take the model out"),
    "network.mlmodel": ("Core ML", "as ONNX"),
    "package.mlmodel": ("Core ML", "as ONNX"),
    "network.gguf": ("GGUF", "safetensors or ONNX"),
}


def told(files: dict[str, bytes], **allowed: bool) -> InvalidInput:
    with pytest.raises(InvalidInput) as refused:
        model_format({name: InMemory(data) for name, data in files.items()}, **allowed)
    assert refused.value.code == "model_format_refused"
    return refused.value


@pytest.mark.parametrize("disguise", ["", "model.onnx", "model.bin"])
@pytest.mark.parametrize("name", WAYS)
def test_the_way_out_is_told_under_any_name(name: str, disguise: str) -> None:
    what, way = WAYS[name]
    refusal = told({disguise or name: (FIXTURES / name).read_bytes()})
    assert what in refusal.message
    assert way in (refusal.hint or "")


def test_paddles_newer_program_is_told_beside_its_weights() -> None:
    files = {name: (FIXTURES / name).read_bytes() for name in ("network.json", "network.pdiparams")}
    assert "FLAGS_enable_pir_api=0" in (told(files).hint or "")


def test_data_among_a_models_files_is_told_as_data() -> None:
    refusal = told({path.name: path.read_bytes() for path in (FIXTURES.parent / "paddle").iterdir()})
    assert refusal.message == "answers.npz is data (arrays of NumPy, .npz), which is no part of a model"
    assert "register it as a dataset: --data" in (refusal.hint or "")


def pickled(path: Path, made: str, **options: Any) -> bytes:
    import torch

    module = convolution()
    if made == "module":
        module = torch.nn.Sequential(torch.nn.Conv2d(1, 8, 3), torch.nn.ReLU())
    torch.save(module if made == "module" else module.state_dict(), path, **options)
    return path.read_bytes()


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("name", ["model.pt", "pytorch_model.bin", "model.pth", "model.onnx"])
def test_a_state_dict_is_told_from_a_module(name: str, zipped: bool, tmp_path: Path) -> None:  # noqa: FBT001 - a case
    way = {"_use_new_zipfile_serialization": zipped}
    weights = told({name: pickled(tmp_path / "weights", "state_dict", **way)})
    assert "a state_dict" in weights.message
    assert "convert_local" in (weights.hint or "")
    assert "safetensors" in (weights.hint or "")
    module = told({name: pickled(tmp_path / "module", "module", **way)})
    assert "a pickled PyTorch module" in module.message
    assert "convert_local" in (module.hint or "")


def test_safetensors_need_their_config(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file(convolution().state_dict(), tmp_path / "model.safetensors")
    refusal = told({"model.safetensors": (tmp_path / "model.safetensors").read_bytes()})
    assert "without the model" in refusal.message
    assert "config.json" in (refusal.hint or "")


@pytest.mark.parametrize(
    ("way", "known"),
    [
        ("scripted", ModelFormat.TORCHSCRIPT),
        ("traced", ModelFormat.TORCHSCRIPT),
        ("exported", ModelFormat.TORCH_EXPORT),
    ],
)
def test_programs_are_told_by_content_and_taken_where_allowed(
    way: str, known: ModelFormat, tmp_path: Path
) -> None:
    saved("convolution", way, tmp_path / "model.pt")
    data = (tmp_path / "model.pt").read_bytes()
    for name in ("model.pt", "model.pt2", "model.onnx", "m"):
        assert model_format({name: InMemory(data)}, torch_programs=True) is known
        refusal = told({name: data})
        assert known.value.partition("_")[0] in refusal.message.lower()
        for out in ("convert_local", "torch.onnx.export", "OVFARM_TORCH_PROGRAMS=true"):
            assert out in (refusal.hint or "")


def test_a_program_is_a_model_by_itself_alone(tmp_path: Path) -> None:
    saved("convolution", "traced", tmp_path / "model.pt")
    data = (tmp_path / "model.pt").read_bytes()
    assert "convert_local" in (told({"a.pt": data, "b.pt": data}, torch_programs=True).hint or "")
    told({"m.onnx": b"\x08\x07\x12\x00" + data}, torch_programs=True)
    told({"m.pt": data[:-30]}, torch_programs=True)


def test_machine_code_is_no_program(tmp_path: Path) -> None:
    saved("convolution", "exported", tmp_path / "model.pt2")
    with zipfile.ZipFile(tmp_path / "model.pt2", "a") as archive:
        archive.writestr("model/data/aotinductor/model/kernel.so", b"\x7fELF")
    refusal = told({"model.pt2": (tmp_path / "model.pt2").read_bytes()}, torch_programs=True)
    assert "AOTInductor" in refusal.message


def test_only_the_directory_of_an_archive_is_read(tmp_path: Path) -> None:
    """Of 64 MiB of weights a few kilobytes are looked at, in a ZIP of 64 bits as well."""

    class Counted(InMemory):
        read = 0

        def at(self, start: int, length: int) -> bytes:
            self.read += min(length, self.size - start)
            return super().at(start, length)

    with zipfile.ZipFile(tmp_path / "z", "w") as archive:
        archive.writestr("m/data.pkl", b"N.")
        with archive.open("m/data/0", "w", force_zip64=True) as weights:
            weights.write(bytes(64 << 20))
    file = Counted((tmp_path / "z").read_bytes())
    found = entries(file)
    assert [entry.name for entry in found] == ["m/data.pkl", "m/data/0"]
    assert stored(file, found[0], 100) == b"N."
    assert file.read < 1 << 18


@pytest.mark.usefixtures("programs_allowed")
def test_the_api_takes_programs_where_its_operator_says_so(
    http: httpx.Client, upload: Callable[[bytes], str], tmp_path: Path
) -> None:
    saved("convolution", "traced", tmp_path / "model.pt")
    digest = upload((tmp_path / "model.pt").read_bytes())
    answer = http.post("/v1/models", json={"name": "m", "files": {"model.pt": digest}})
    assert (answer.status_code, answer.json()["format"]) == (201, "torchscript")


def test_the_api_refuses_them_otherwise(
    http: httpx.Client, upload: Callable[[bytes], str], tmp_path: Path
) -> None:
    saved("convolution", "exported", tmp_path / "model.pt2")
    digest = upload((tmp_path / "model.pt2").read_bytes())
    answer = http.post("/v1/models", json={"name": "m", "files": {"model.pt2": digest}})
    assert (answer.status_code, answer.json()["code"]) == (422, "model_format_refused")
    assert "OVFARM_TORCH_PROGRAMS=true" in answer.json()["hint"]


def test_what_was_converted_elsewhere_is_registered_as_ir(server: Server) -> None:
    with Client(server.url) as farm:
        view = ovfarm.convert_local(convolution(), rows("convolution"), client=farm, name="small")
        assert (view.format, view.name) == (ModelFormat.IR, "small")
        assert sorted(view.manifest.files) == ["model.bin", "model.xml"]
        assert [model.id for model in farm.models()] == [view.id]


@pytest.fixture
def upload(http: httpx.Client) -> Callable[[bytes], str]:
    def put(content: bytes) -> str:
        digest = hashlib.sha256(content).hexdigest()
        http.put(f"/v1/blobs/{digest}", content=content).raise_for_status()
        return digest

    return put


@pytest.fixture
def programs_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the variable before the server reads it."""
    monkeypatch.setenv("OVFARM_TORCH_PROGRAMS", "true")
