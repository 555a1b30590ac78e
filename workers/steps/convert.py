"""Reads a model and writes it as OpenVINO IR."""

import importlib
from pathlib import Path

import openvino as ov

from ovfarm import bounds
from ovfarm.failures import FailureClass, FailureCode
from ovfarm.recipes import Convert
from ovfarm.results import Measurement, Note, NoteCode, Port, StepResult, Unit
from workers.kit import graph, halves, ir, networks, programs, shaping, whole
from workers.protocol import READING, Bench, failed

_TEXT = ("tokenizer.json", "vocab.txt", "tokenizer.model", "spiece.model", "vocab.json")


def run(params: Convert, bench: Bench) -> StepResult:
    """Write the model's networks with weights in ``params.weights``; raises StepFailed.

    Weights that are narrower already stay so: a conversion never invents precision.
    """
    source = bench.inputs["model"]
    bench.report(READING, 0, 2)
    notes: list[Note] = []
    program = programs.found(source)
    # Files alone would not tell: a folder may hold ONNX beside the safetensors. The planner names a task.
    if params.task is not None:
        notes += _exported(params, source, bench.outputs)
        source = bench.outputs
    bench.report("save", 1, 2)
    half = params.weights == "fp16"
    if program is not None:
        model = programs.read(program, params, bench)
        notes += programs.notes(model, params)
        written = whole.write(model, bench.outputs, lambda _, model: _changed(params, model), half=half)
    elif source == bench.outputs and not _changes(params):
        written = whole.counted(source)
    else:
        written = whole.rewrite(source, bench.outputs, lambda _, model: _changed(params, model), half=half)
    bench.report("save", 2, 2)
    return written.result().model_copy(
        update={
            "measurements": (_size(bench.outputs),),
            "notes": (*notes, *_notes(params, written.element_types)),
            "ports": tuple(written.ports),
        }
    )


def _exported(params: Convert, source: Path, target: Path) -> tuple[Note, ...]:
    """Export a Hugging Face model; only here are its libraries imported."""
    try:
        huggingface = importlib.import_module("workers.kit.huggingface")
    except ImportError as missing:
        raise failed(
            FailureClass.INFRA,
            FailureCode.TOOLKIT_MISSING,
            "this node has not the packages that read Hugging Face models",
            hint="the operator installs them with: ./farm setup --hf",
            evidence=str(missing),
        ) from missing
    task = huggingface.export(params, source, target)
    notes = [Note(code=NoteCode.EXPORTED, message=f"exported for the task {task}")]
    tokens = any((source / name).exists() for name in _TEXT)
    if tokens and not (target / networks.TOKENIZER).exists():
        words = "its tokenizer could not become OpenVINO IR: generation needs the one of transformers"
        notes.append(Note(code=NoteCode.TOKENIZER_NOT_CONVERTED, message=words))
    return tuple(notes)


def _changes(params: Convert) -> bool:
    """Tell whether anything is left to do after an export, which has chosen FP32 or FP16 itself."""
    return bool(params.shapes or params.preprocessing or params.require_static or params.weights == "bf16")


def _changed(params: Convert, model: ov.Model) -> ov.Model:
    shaping.reshape(model, params.shapes)
    model = shaping.preprocess(model, params.preprocessing)
    if params.require_static:
        _check_bounds(params, graph.ports(model))
    if params.weights == "bf16":
        halves.to_bf16(model)
    return model


def _size(folder: Path) -> Measurement:
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return Measurement(name="size", value=size, unit=Unit.BYTES)


def _check_bounds(params: Convert, ports: tuple[Port, ...]) -> None:
    found = [p for p in ports if p.direction == "input" and bounds.unbounded(p.shape)]
    if found:
        shapes = ", ".join(f"{port.name} {port.shape}" for port in found)
        raise failed(
            FailureClass.USER,
            FailureCode.DYNAMIC_SHAPE,
            f"the target compiles inputs with bounds only, and this model has {shapes}",
            hint=bounds.hint((params.name, port) for port in found),
        )


def _notes(params: Convert, types: dict[str, int]) -> tuple[Note, ...]:
    narrow = {name: count for name, count in types.items() if name in {"f16", "bf16", *ir.LOW_BIT}}
    if params.weights == "fp32" and narrow:
        listed = ", ".join(f"{count} in {name}" for name, count in narrow.items())
        return (
            Note(
                code=NoteCode.NARROW_WEIGHTS,
                message=f"the model came with weights narrower than FP32, which stay: {listed}",
            ),
        )
    return ()
