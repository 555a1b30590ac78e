"""Reads a model and writes it as OpenVINO IR."""

from ovfarm.recipes import Convert
from ovfarm.results import Measurement, Note, StepResult, Unit
from workers.kit import graph, ir, programs, shaping
from workers.protocol import READING, Bench


def run(params: Convert, bench: Bench) -> StepResult:
    """Write ``model.xml`` and ``model.bin`` with weights in ``params.weights``; raises StepFailed.

    Weights that are narrower already stay so: a conversion never invents precision.
    """
    bench.report(READING, 0, 2)
    program = programs.found(bench.inputs["model"])
    model = programs.read(program, params, bench) if program else ir.read(bench.inputs["model"])
    ports = graph.ports(model)
    loose = programs.notes(model, params) if program else ()
    shaping.reshape(model, params.shapes)
    model = shaping.preprocess(model, params.preprocessing)
    bench.report("save", 1, 2)
    ir.save(model, bench.outputs, half=params.weights == "fp16")
    saved = ir.read(bench.outputs)
    types = ir.element_types(saved)
    bench.report("save", 2, 2)
    return StepResult(
        measurements=(_size(bench),),
        notes=(*loose, *_notes(params, types)),
        canonical_digest=ir.canonical_digest(bench.outputs),
        element_types=types,
        ports=ports,
    )


def _size(bench: Bench) -> Measurement:
    size = sum(path.stat().st_size for path in bench.outputs.iterdir())
    return Measurement(name="size", value=size, unit=Unit.BYTES)


def _notes(params: Convert, types: dict[str, int]) -> tuple[Note, ...]:
    narrow = {name: count for name, count in types.items() if name in {"f16", "bf16", *ir.LOW_BIT}}
    if params.weights == "fp32" and narrow:
        listed = ", ".join(f"{count} in {name}" for name, count in narrow.items())
        return (
            Note(
                code="narrow_weights",
                message=f"the model came with weights narrower than FP32, which stay: {listed}",
            ),
        )
    return ()
