"""Reads a model and writes it as OpenVINO IR."""

import importlib
from collections.abc import Iterator
from pathlib import Path

import openvino as ov

from ovfarm import bounds
from ovfarm.failures import FailureClass, FailureCode
from ovfarm.patches import Patch
from ovfarm.recipes import Convert
from ovfarm.results import Measurement, Note, NoteCode, Port, StepResult, Unit
from workers.kit import graph, halves, ir, networks, programs, shaping, whole
from workers.protocol import READING, Bench, StepFailed, failed

_WRITTEN = {"fp32": "f32", "fp16": "f16", "bf16": "bf16"}
_FLOATING = frozenset({"f64", "f32", "f16", "bf16"})
# OpenVINO keeps masks and the like in FP32.
_ALWAYS_WIDE = 0.01
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
    change = _Change(params)
    if program is not None:
        model = programs.read(program, params, bench)
        notes += programs.notes(model, params)
        written = whole.write(model, bench.outputs, change.change, half=half)
    elif source == bench.outputs and not _changes(params):
        written = whole.counted(source)
    else:
        written = whole.rewrite(source, bench.outputs, change.change, half=half)
    change.check()
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
    notes = [*huggingface.export(params, source, target)]
    tokens = any((source / name).exists() for name in _TEXT)
    if tokens and not (target / networks.TOKENIZER).exists():
        words = "its tokenizer could not become OpenVINO IR: generation needs the one of transformers"
        notes.append(Note(code=NoteCode.TOKENIZER_NOT_CONVERTED, message=words))
    return tuple(notes)


def _changes(params: Convert) -> bool:
    """Tell whether anything is left to do after an export, which has chosen FP32 or FP16 itself."""
    return bool(params.shapes or params.preprocessing or params.require_static or params.weights == "bf16")


class _Change:
    """Changes networks one by one, and knows at the end what was asked for in vain."""

    def __init__(self, params: Convert) -> None:
        self._params = params
        self._inputs: dict[str, list[str]] = {}
        self._unbounded: list[Port] = []

    def change(self, network: str, model: ov.Model) -> ov.Model:
        """Return the network with its shapes, its pre-processing and its type; raises StepFailed."""
        params, part = self._params, "" if network == networks.ALONE else network
        shapes, steps = params.shapes, params.preprocessing
        if part:
            self._inputs[network] = [name for port in model.inputs for name in port.get_names()]
            shapes = shaping.of_network(shapes, network, model)
            steps = shaping.of_network(steps, network, model)
        shaping.reshape(model, shapes)
        model = shaping.preprocess(model, steps)
        if params.require_static:
            found = [p for p in graph.ports(model) if p.direction == "input" and bounds.unbounded(p.shape)]
            self._unbounded += [port.model_copy(update={"network": part}) for port in found]
        if not part:
            self.check()
        if params.weights == "bf16":
            halves.to_bf16(model)
        return model

    def check(self) -> None:
        """Raise StepFailed for a name that no network has, and for inputs that stay without bounds."""
        known = {name for part, names in self._inputs.items() for n in names for name in (n, f"{part}:{n}")}
        for name in (*self._params.shapes, *self._params.preprocessing):
            if self._inputs and name not in known:
                raise shaping.refuse_unknown(name, self._inputs)
        if self._unbounded:
            raise _without_bounds(self._params, self._unbounded)


def _size(folder: Path) -> Measurement:
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return Measurement(name="size", value=size, unit=Unit.BYTES)


def _without_bounds(params: Convert, found: list[Port]) -> StepFailed:
    shapes = ", ".join(f"{port.name} {port.shape}" for port in found)
    return failed(
        FailureClass.USER,
        FailureCode.DYNAMIC_SHAPE,
        f"the target compiles inputs with bounds only, and this model has {shapes}"[:2000],
        hint=bounds.hint((params.name, port) for port in found),
    )


def _notes(params: Convert, types: dict[str, int]) -> tuple[Note, ...]:
    return (*_narrow(params, types), *_wide(params, types))


def _wide(params: Convert, types: dict[str, int]) -> Iterator[Note]:
    """Yield which weights stay wider than was asked, but for the few constants that always do."""
    wider = {"f64"} if params.weights == "fp32" else {"f64", "f32"}
    kept = {name: count for name, count in types.items() if name in wider}
    total = sum(count for name, count in types.items() if name in _FLOATING)
    if sum(kept.values()) > _ALWAYS_WIDE * total:
        listed = ", ".join(f"{count} are in {name}" for name, count in kept.items())
        words = f"NOT ALL WEIGHTS ARE IN {params.weights}, as was asked: of {total} weights {listed}"
        patch = Patch(why="bf16 has the range of FP32", overrides={"convert.weights": "bf16"})
        patches = (patch,) if params.weights == "fp16" and "f32" in kept else ()
        yield Note(code=NoteCode.WIDE_WEIGHTS, message=words, patches=patches)


def _narrow(params: Convert, types: dict[str, int]) -> tuple[Note, ...]:
    """Say which weights came as narrow as was asked, or narrower: those are written as they are."""
    narrow = {"f16", "bf16", *ir.LOW_BIT} - {_WRITTEN[params.weights]}
    kept = {name: count for name, count in types.items() if name in narrow}
    if not kept:
        return ()
    listed = ", ".join(f"{count} in {name}" for name, count in kept.items())
    than = "narrower than FP32" if params.weights == "fp32" else f"no wider than {params.weights}"
    words = f"the model came with weights {than}, which stay: {listed}"
    return (Note(code=NoteCode.NARROW_WEIGHTS, message=words),)
