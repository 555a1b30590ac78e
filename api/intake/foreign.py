"""Models of other tools: what each is told by, and the way from it to something that the farm reads."""

from collections.abc import Mapping
from enum import StrEnum

from api.intake import programs
from api.intake.content import HEAD_BYTES, Bytes, Content
from api.intake.entries import entries
from api.intake.programs import Saved
from api.intake.refusal import refused
from ovfarm.errors import InvalidInput

_LOCAL = "ovfarm.convert_local(module, example_input, client=farm)"


class Tool(StrEnum):
    """What other tools have written; the values are the words in which a user is told."""

    KERAS = "a Keras model"
    HDF5 = "HDF5, in which Keras keeps models and weights"
    TORCHSERVE = "an archive of TorchServe"
    CORE_ML = "a Core ML model"
    GGUF = "a GGUF model"
    PADDLE_JSON = "a program of Paddle 3 in its newer form (PIR)"


Kind = Saved | Tool
_RUNS = f"it runs code when it is loaded; convert it where it was made with {_LOCAL}, or export it with "
_PROGRAM = f"{_RUNS}torch.onnx.export; an operator may allow such files (OVFARM_TORCH_PROGRAMS=true)"
_SAVED_MODEL = 'write a SavedModel with keras.models.load_model(path).export("folder") and upload the folder'
_WAYS: dict[Kind, str] = {
    Saved.SCRIPT: _PROGRAM,
    Saved.EXPORTED: _PROGRAM,
    Saved.COMPILED: f"convert the module that it was compiled from: {_LOCAL}",
    Saved.MODULE: f"{_RUNS}torch.onnx.export",
    Saved.WEIGHTS: f"load them into their module and use {_LOCAL}; of a Hugging Face model upload the "
    "folder that save_pretrained writes: config.json and safetensors",
    Tool.KERAS: _SAVED_MODEL,
    Tool.HDF5: f"{_SAVED_MODEL}; weights alone are loaded into their model first",
    Tool.TORCHSERVE: f"take the model out of it; a program or a module: {_LOCAL}",
    Tool.CORE_ML: "there is no way back from Core ML: export the model that it was made of as ONNX",
    Tool.GGUF: "its weights are quantized already; take the model that it was made of, in safetensors or "
    "ONNX",
    Tool.PADDLE_JSON: "save it again with the variable FLAGS_enable_pir_api=0 set, which writes .pdmodel and "
    ".pdiparams",
}
_KERAS_NAMES = {"config.json", "metadata.json", "model.weights.h5"}


def check(name: str, file: Bytes, what: Content) -> None:
    """Raise InvalidInput for a file that another tool has written, with the way out."""
    kind = _kind(file, what)
    if kind is not None:
        raise refused(name, f"is {kind}, which the farm does not open", _WAYS[kind])


def _kind(file: Bytes, what: Content) -> Kind | None:
    head = file.at(0, HEAD_BYTES)
    if head.startswith(b"GGUF"):
        return Tool.GGUF
    if what is Content.HDF5:
        return Tool.HDF5
    if what is Content.ZIP:
        return _of_archive(file)
    if what is Content.JSON:
        return Tool.PADDLE_JSON if _is_pir(head) else None
    if what is Content.ONNX:
        return Tool.CORE_ML if _is_core_ml(head) else None
    return programs.saved(file, what)


def _of_archive(file: Bytes) -> Kind | None:
    names = {entry.name for entry in entries(file)}
    if names >= _KERAS_NAMES:
        return Tool.KERAS
    return Tool.TORCHSERVE if "MAR-INF/MANIFEST.json" in names else programs.saved(file, Content.ZIP)


def _is_pir(head: bytes) -> bool:
    start = b"".join(head[:200].split())
    return start.startswith(b'{"base_code":{') and b'"magic":"pir"' in start


def _is_core_ml(head: bytes) -> bool:
    """Tell Core ML's Model from ONNX's, which begins alike: its second field holds messages, not a name."""
    if head[2:3] != b"\x12":
        return False
    # A length of one or two bytes, then the first input: a message that begins with its name.
    at = 4 if head[3:4] < b"\x80" else 5
    return head[at : at + 1] == b"\x0a" and head[at + 2 : at + 3] == b"\x0a"


def check_described(found: Mapping[str, Content]) -> None:
    """Raise InvalidInput for safetensors with nothing that says of what model they are."""
    described = any(name.rpartition("/")[2] == "config.json" for name in found)
    if described or Content.SAFETENSORS not in found.values():
        return
    raise InvalidInput(
        "these are weights (safetensors) without the model that they belong to",
        pointer="/files",
        code="model_format_refused",
        hint="upload the whole folder that save_pretrained writes, with its config.json; the module of other "
        f"weights: {_LOCAL}",
    )
