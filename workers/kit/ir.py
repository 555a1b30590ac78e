"""Models as files: read safely, saved as IR, and counted by element type."""

import re
import zipfile
from collections import Counter
from pathlib import Path

import openvino as ov

from ovfarm.failures import FailureClass, FailureCode
from workers.kit import complexity, graph, networks
from workers.protocol import StepFailed, failed

LOW_BIT = frozenset({"i8", "u8", "i4", "u4", "i2", "u2", "nf4", "f4e2m1", "f8e4m3", "f8e5m2", "u3", "u6"})
SAVE_AS = Path("model.xml")


def read(folder: Path) -> ov.Model:
    """Return the model in ``folder``; raises StepFailed with what is wrong with it.

    ``Core.read_model`` is the only reader here: others run code that a file brings along.
    """
    return read_file(_model_file(folder))


def read_file(path: Path) -> ov.Model:
    """Return the model in one file or one SavedModel; raises StepFailed with what is wrong with it."""
    _refuse_archives(path)
    if path.suffix == ".xml" and not path.with_suffix(".bin").exists():
        raise failed(
            FailureClass.USER,
            FailureCode.WEIGHTS_MISSING,
            f"{path.name} has no {path.with_suffix('.bin').name} beside it",
            hint="upload both files of the IR",
        )
    if path.is_file():
        complexity.check(path)
    try:
        model = ov.Core().read_model(path)
    except (RuntimeError, ValueError) as refused:
        raise _without_weights(path, str(refused)) or _unreadable(path, str(refused)) from refused
    graph.check_names(model, path.name)
    return model


def _refuse_archives(path: Path) -> None:
    for file in path.rglob("*") if path.is_dir() else (path,):
        if file.is_file() and zipfile.is_zipfile(file):
            raise failed(
                FailureClass.USER,
                FailureCode.MODEL_FORMAT_REFUSED,
                f"{file.name} holds a ZIP archive, in which some formats hide programs",
                hint="export the model as plain ONNX or as OpenVINO IR",
            )


def _model_file(folder: Path) -> Path:
    """Return what is to be read: the file, or of a SavedModel the folder that holds it."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    saved = [path for path in files if path.name == "saved_model.pb"]
    if len(saved) == 1:
        return saved[0].parent
    networks.check_one(folder, "this step")
    for alone in networks.networks(folder).values():
        return folder / alone
    for suffix in (".xml", ".onnx", ".tflite", ".pdmodel", ".pb"):
        named = [path for path in files if path.suffix == suffix]
        if len(named) == 1:
            return named[0]
    if len(files) == 1:
        return files[0]
    names = ", ".join(path.name for path in files) or "nothing"
    raise failed(
        FailureClass.USER,
        FailureCode.MODEL_FORMAT_REFUSED,
        f"expected one model file or one SavedModel, found: {names}",
        hint="register one model with just its own files",
    )


def _without_weights(path: Path, words: str) -> StepFailed | None:
    """Return what to say of a Paddle program that was not read, and whose weights are not beside it."""
    weights = path.with_suffix(".pdiparams")
    if path.suffix != ".pdmodel" or weights.exists():
        return None
    return failed(
        FailureClass.USER,
        FailureCode.WEIGHTS_MISSING,
        f"{path.name} has no {weights.name} beside it",
        hint="upload both files of the model: .pdmodel and .pdiparams",
        evidence=words,
    )


def _unreadable(path: Path, words: str) -> StepFailed:
    """Say what a reader's refusal means for the user; its own words become the evidence."""
    cases: tuple[tuple[str, FailureCode, str, str], ...] = (
        (
            "outside the base directory",
            FailureCode.EXTERNAL_DATA_OUTSIDE,
            "refers to weights outside its own folder",
            "save the model again with its external data beside it, and upload all its files",
        ),
        (
            "externally stored data",
            FailureCode.WEIGHTS_MISSING,
            "refers to external weights that are missing or too short",
            "upload the external data files together with the model",
        ),
        (
            "weights",
            FailureCode.WEIGHTS_MISSING,
            "does not fit its weights file: it is missing, empty or cut short",
            "upload the .xml and the .bin that were saved together",
        ),
        (
            "unsupported_operation",
            FailureCode.UNSUPPORTED_OPERATION,
            f"has operations that OpenVINO cannot convert: {', '.join(operations(words))}",
            "replace these operations, or export the model with another opset",
        ),
    )
    shape = "unsupported_operation" if operations(words) else words
    for mark, code, message, hint in cases:
        if mark in shape:
            return failed(FailureClass.USER, code, f"{path.name} {message}", hint=hint, evidence=words)
    return failed(
        FailureClass.USER,
        FailureCode.MODEL_UNREADABLE,
        f"{path.name} is damaged, cut short, or of a format that OpenVINO does not read",
        hint="check that the file loads where it was made, then upload it again",
        evidence=words,
    )


def operations(words: str) -> list[str]:
    """Return the operations that a conversion report names as not converted."""
    if "wasn't fully converted" not in words and "doesn't contain the operation" not in words:
        return []
    named = re.findall(r"(?:with type:|[Nn]o conversion rule found for operations?:|type) ?([\w., ]+)", words)
    listed = [name.strip(" .") for found in named for name in found.split(",")]
    return list(dict.fromkeys(name for name in listed if name)) or ["unknown"]


def save(model: ov.Model, folder: Path, *, half: bool = False, name: Path = SAVE_AS) -> None:
    """Write ``model.xml`` and ``model.bin``, or a network's own names; ``half`` stores FP32 as FP16."""
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    ov.save_model(model, folder / name, compress_to_fp16=half)


def element_types(model: ov.Model) -> dict[str, int]:
    """Return the number of weights by element type (scalars and shapes are left out)."""
    counted: Counter[str] = Counter()
    for op in model.get_ops():
        if op.get_type_name() == "Constant" and len(op.get_output_shape(0)) > 1:
            counted[op.get_output_element_type(0).get_type_name()] += int(_size(op.get_output_shape(0)))
    return dict(sorted(counted.items()))


def _size(shape: ov.Shape) -> int:
    total = 1
    for dimension in shape:
        total *= dimension
    return total
