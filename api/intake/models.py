"""Which sets of files are models: an allow-list, by content."""

from collections.abc import Mapping

from api.intake import configs, foreign, huggingface, programs, safetensors
from api.intake.content import HEAD_BYTES, Bytes, Content, content
from api.intake.entries import entries
from api.intake.refusal import refused
from ovfarm.catalog import ModelFormat
from ovfarm.errors import InvalidInput

_FORMATS = {
    Content.TENSORFLOW: ModelFormat.TENSORFLOW,
    Content.TFLITE: ModelFormat.TFLITE,
    Content.PADDLE: ModelFormat.PADDLE,
    Content.ONNX: ModelFormat.ONNX,
}
_RUNS_CODE = "such files run code when they are opened; export the model as ONNX or OpenVINO IR"
_DATA = "leave it out of the model's files, and register it as a dataset: --data, or POST /v1/datasets"
_HINTS = {
    Content.ZIP: _RUNS_CODE,
    Content.PICKLE: f"{_RUNS_CODE}, or save weights as safetensors",
    Content.HDF5: "export the model as ONNX",
    Content.NPY: _DATA,
    Content.ARCHIVE: "unpack it and upload the files themselves",
    Content.PROGRAM: "a model needs no programs: leave it out",
}


_CODE_NAMES = (
    ".py", ".pyc", ".pyd", ".so", ".dll", ".dylib", ".sh", ".bat", ".pkl", ".pickle", ".joblib", ".pt",
    ".pth", ".ckpt", ".dill", ".npy", ".npz", ".h5", ".keras", ".mar",
)  # fmt: skip


def model_format(files: Mapping[str, Bytes], *, torch_programs: bool = False) -> ModelFormat:
    """Return the format of a set of files by name; raises InvalidInput for what the farm does not open.

    With ``torch_programs`` a TorchScript or torch.export program by itself is a model too.
    """
    program = programs.program(files) if torch_programs else None
    if program is not None:
        return program
    found = {name: content(file, name) for name, file in files.items()}
    for name, what in found.items():
        _check(name, files[name], what)
    if huggingface.is_package(found):
        return huggingface.checked(found)
    irs = [name for name, what in found.items() if what is Content.IR]
    if irs:
        return _whole_ir(irs, files, several=huggingface.is_configured(found))
    for what, known in _FORMATS.items():
        if what in found.values():
            return known
    foreign.check_described(found)
    raise InvalidInput(
        f"none of these files is a model: {', '.join(sorted(files))}"[:1000],
        pointer="/files",
        code="model_format_refused",
        hint="the farm reads Hugging Face folders (config.json and .safetensors), ONNX (with its external "
        "data), OpenVINO IR (.xml and .bin), TensorFlow (SavedModel, frozen .pb), .tflite and Paddle "
        "(.pdmodel and .pdiparams)",
    )


def _check(name: str, file: Bytes, what: Content) -> None:
    """Raise InvalidInput for a file that no model may have."""
    if what is Content.ZIP and _is_npz(file):
        raise refused(name, "is data (arrays of NumPy, .npz), which is no part of a model", _DATA)
    foreign.check(name, file, what)
    if what in _HINTS:
        raise refused(name, f"is {what}, which the farm does not open", _HINTS[what])
    if name.lower().endswith(_CODE_NAMES):
        raise refused(name, "is named like a program or a pickle", "leave it out, or export to ONNX or IR")
    if what is Content.SAFETENSORS:
        safetensors.check(name, file)
    if what is Content.JSON:
        configs.check(name, file)
    if name.endswith(".jinja"):
        configs.check_template(name, file)


def _is_npz(file: Bytes) -> bool:
    names = [entry.name for entry in entries(file)]
    return bool(names) and all(name.endswith(".npy") for name in names)


def _whole_ir(irs: list[str], files: Mapping[str, Bytes], *, several: bool) -> ModelFormat:
    """Check that each IR has its weights; more than one belongs together in a configured folder alone."""
    if len(irs) > 1 and not several:
        raise InvalidInput(
            f"these are {len(irs)} models: {', '.join(sorted(irs))}"[:1000],
            pointer="/files",
            code="model_format_refused",
            hint="register one at a time; the parts of one model come with their config.json",
        )
    for name in irs:
        _check_ir(name, files)
    return ModelFormat.IR


def _check_ir(name: str, files: Mapping[str, Bytes]) -> None:
    if b"<!" in files[name].at(0, HEAD_BYTES).replace(b"<!--", b""):
        raise refused(name, "declares a document type, which no IR has", "save the model with openvino")
    weights = name.removesuffix(".xml") + ".bin"
    if weights not in files:
        raise InvalidInput(
            f"{name} has no weights: {weights} is missing",
            pointer="/files",
            code="weights_missing",
            hint="upload both files of the IR under the same name",
        )
