"""PyTorch programs: TorchScript and torch.export. Loading one runs what is in it: in a full sandbox alone.

OpenVINO is given the loaded object and never the path: by a path it would choose a reader by itself.
"""

import warnings
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import openvino as ov

from ovfarm import signatures
from ovfarm.failures import FailureClass, FailureCode
from ovfarm.recipes import Convert
from ovfarm.results import Note, NoteCode
from workers.kit import graph, ir, shaping
from workers.protocol import Bench, StepFailed, failed

_SCRIPT, _EXPORTED = "constants.pkl", "archive_format"
_MARKS = {_SCRIPT, _EXPORTED}
_HINT = (
    "check that it loads where it was made with the farm's PyTorch, or convert it there: "
    "ovfarm.convert_local(module, example_input, client=farm)"
)


def found(folder: Path) -> Path | None:
    """Return the program in ``folder``, or None when what is there is something else.

    It is an archive from its first byte on: what has a model in front of it is refused as two things.
    """
    files = [path for path in folder.rglob("*") if path.is_file()]
    if len(files) != 1:
        return None
    with files[0].open("rb") as file:
        begins = file.read(4) == b"PK\x03\x04"
    return files[0] if begins and _names(files[0]) & _MARKS else None


def _names(path: Path) -> set[str]:
    """Return the names in an archive without their folders, or nothing for what is none."""
    try:
        with zipfile.ZipFile(path) as archive:
            return {name.rpartition("/")[2] for name in archive.namelist()}
    except (zipfile.BadZipFile, ValueError, NotImplementedError, UnicodeDecodeError):
        return set()


def read(path: Path, params: Convert, bench: Bench) -> ov.Model:
    """Load a program and convert it, with the shapes and types that ``params`` give to its inputs.

    Raises StepFailed: this node loads no programs, the file is no sound program, OpenVINO cannot convert
    it, or the rank of an input is known to nobody.
    """
    if not bench.torch_programs:
        raise failed(
            FailureClass.INFRA,
            FailureCode.NODE_SANDBOX,
            "this node loads no PyTorch programs: they run code, which takes a full sandbox",
            hint="the operator sets OVFARM_TORCH_PROGRAMS=true on a node whose sandbox is full",
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch's, about its own next release
        module, inputs = _loaded(path)
        model = _converted(module, path.name)
    if len(inputs) == len(model.inputs):
        for port, given in zip(model.inputs, inputs, strict=True):
            # OpenVINO has counters in these names (``x.1``); users know those of ``forward``.
            port.get_tensor().set_names({given.name})
    graph.check_names(model, path.name)
    _settle(model, inputs, params)
    return model


def _loaded(path: Path) -> tuple[Any, tuple[signatures.Input, ...]]:
    import torch  # noqa: PLC0415 - two seconds, for those who bring such a file

    try:
        if _EXPORTED in _names(path):
            program = torch.export.load(path)
        else:
            program = torch.jit.load(path, map_location="cpu")
        return program, signatures.inputs(program)
    except MemoryError:
        raise
    except Exception as refused:  # what runs there raises what it likes
        raise _unreadable(f"{path.name} cannot be loaded", refused) from refused


def _converted(module: Any, name: str) -> ov.Model:
    try:
        return ov.convert_model(module)
    except MemoryError:
        raise
    except Exception as refused:  # its decoder calls into the module
        operations = ir.operations(str(refused))
        if not operations:
            raise _unreadable(f"OpenVINO cannot convert {name}", refused) from refused
        raise failed(
            FailureClass.USER,
            FailureCode.UNSUPPORTED_OPERATION,
            f"{name} has operations that OpenVINO cannot convert: {', '.join(operations)}",
            hint="replace these operations in the module",
            evidence=str(refused),
        ) from refused


def _settle(model: ov.Model, inputs: Sequence[signatures.Input], params: Convert) -> None:
    """Give each input its type and shape: what was asked for, else the program's own, else OpenVINO's."""
    known = {given.name: given for given in inputs}
    for port in model.inputs:
        name, node = port.get_any_name(), port.get_node()
        given = known.get(name, signatures.Input(name))
        if given.element_type:
            node.set_element_type(getattr(ov.Type, given.element_type))
        elif port.get_element_type().is_dynamic():
            node.set_element_type(_asked_type(params, name))
        if given.shape is not None:
            node.set_partial_shape(ov.PartialShape(signatures.text(given.shape)))
    try:
        model.validate_nodes_and_infer_types()
    except RuntimeError as refused:
        raise _unreadable("the program does not fit the types of its inputs", refused) from refused
    shaping.reshape(model, params.shapes)
    unknown = [port.get_any_name() for port in model.inputs if port.get_partial_shape().rank.is_dynamic]
    if unknown:
        raise failed(
            FailureClass.USER,
            FailureCode.DYNAMIC_SHAPE,
            f"TorchScript keeps no shapes, and nothing tells how many dimensions {_listed(unknown)} has",
            hint=_shapes_hint(params, unknown),
        )


def _asked_type(params: Convert, name: str) -> ov.Type:
    """Return the type of an input that the program does not tell: that of its data, else f32."""
    asked = params.preprocessing.get(name)
    return shaping.TYPES[asked.element_type] if asked and asked.element_type else ov.Type.f32


def notes(model: ov.Model, params: Convert) -> tuple[Note, ...]:
    """Return a note for inputs whose sizes beyond the batch nobody has told."""
    free = [
        port.get_any_name()
        for port in model.inputs
        if any(dimension.is_dynamic for dimension in list(port.get_partial_shape())[1:])
    ]
    if not free:
        return ()
    words = f"sizes beyond the batch are free in {_listed(free)}; {_shapes_hint(params, free)}"
    return (Note(code=NoteCode.FREE_SHAPES, message=words[:1000]),)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names[:10]))


def _shapes_hint(params: Convert, names: Sequence[str]) -> str:
    shapes = ", ".join(f'"{name}": ["?", 3, 224, 224]' for name in names[:3])
    return (
        f"give their shapes, for example --set '{params.name}.shapes={{{shapes}}}', "
        "or save the model with torch.export, which keeps them"
    )


def _unreadable(words: str, refused: Exception) -> StepFailed:
    first = (str(refused).strip().splitlines() or [type(refused).__name__])[0]
    return failed(
        FailureClass.USER,
        FailureCode.MODEL_UNREADABLE,
        f"{words}: {first[:300]}",
        hint=_HINT,
        evidence=str(refused),
    )
