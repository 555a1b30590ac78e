"""Measures how right a model is: accuracy on labelled data, and distance to the reference's outputs."""

import numpy as np
import openvino as ov

from ovfarm.failures import FailureClass, FailureCode
from ovfarm.gates import digest
from ovfarm.recipes import Evaluate
from ovfarm.results import Conditions, Measurement, Note, StepResult, Unit
from workers.kit import data, device, gates, graph, ir, judging, networks, several, stats, synthetic
from workers.protocol import Bench, failed

_BATCH = 32
_RANDOM_ROWS = 32


def run(params: Evaluate, bench: Bench) -> StepResult:
    """Return ``accuracy`` when there are labels, distances when there is a reference; raises StepFailed.

    Cosine distance is 1 - cos of the flattened outputs, averaged over rows (0 is equal); ``agreement``
    is the share of rows with the same top class. Both models compute in f32 unless told otherwise.
    With ``params.max_drop`` a ``drop`` is measured against the reference, and ``gate.json`` says whether
    that is too much; a gate that did not pass is no failure.
    """
    several_networks = len(networks.networks(bench.inputs["model"])) > 1
    if several_networks and "reference" in bench.inputs:
        return several.evaluated(params, bench)
    model = ir.read(bench.inputs["model"])
    graph.check_inputs(model)
    samples, notes = _samples(params, bench, model)
    _check_comparable(params, bench, samples)
    compiled = device.compiled(model, bench, pin_f32=params.precision == "f32")
    outputs = _outputs(compiled, samples, bench, "evaluate")
    conditions = Conditions(
        device=bench.openvino_device,
        precision=device.told(compiled).get("INFERENCE_PRECISION_HINT", ""),
        samples=len(samples),
    )
    found: list[Measurement] = []
    if samples.labels is not None:
        found.append(_accuracy(outputs, samples.labels, conditions))
    if "reference" not in bench.inputs:
        return StepResult(measurements=tuple(found), notes=notes)
    compared = device.compiled(ir.read(bench.inputs["reference"]), bench, pin_f32=True)
    reference = _outputs(compared, samples, bench, "reference")
    found += _distances(outputs, reference, conditions)
    if params.max_drop is None:
        return StepResult(measurements=tuple(found), notes=notes)
    before = None if samples.labels is None else _accuracy(reference, samples.labels, conditions).value
    gate = judging.judged(found, before, params.max_drop, conditions)
    gates.write(gate, bench.outputs)
    found.append(judging.drop(gate, conditions))
    return StepResult(
        measurements=tuple(found), notes=(*notes, judging.note(gate)), canonical_digest=digest(gate)
    )


def _check_comparable(params: Evaluate, bench: Bench, samples: data.Samples) -> None:
    if "reference" in bench.inputs or (samples.labels is not None and params.max_drop is None):
        return
    raise failed(
        FailureClass.USER,
        FailureCode.LABELS_MISSING,
        "there is nothing to compare with: no labels and no reference"
        if params.max_drop is None
        else "max_drop needs a reference to drop from, and there is none",
        hint="add an array 'labels' to the dataset, or name a reference step"
        if params.max_drop is None
        else "name a reference step",
    )


def _samples(params: Evaluate, bench: Bench, model: ov.Model) -> tuple[data.Samples, tuple[Note, ...]]:
    if "evaluation" in bench.inputs:
        samples = data.load(bench.inputs["evaluation"], bench.parts["evaluation"], model)
        return samples.first(params.samples), ()
    rows = params.samples or _RANDOM_ROWS
    note = Note(
        code="random_data",
        message=f"there is no evaluation data, so outputs were compared on {rows} random rows",
    )
    return synthetic.samples(model, bench.inputs["model"], rows, seed=0), (note,)


def _outputs(compiled: ov.CompiledModel, samples: data.Samples, bench: Bench, stage: str) -> list[data.Array]:
    """Return each output over all rows: one array an output, rows first."""
    size = _batch(compiled)
    request = compiled.create_infer_request()
    rows: list[list[data.Array]] = [[] for _ in compiled.outputs]
    done = 0
    for feed, count in samples.batches(size):
        request.reset_state()
        with graph.inferring():
            result = request.infer(feed)
        for at, output in enumerate(compiled.outputs):
            found = np.array(result[output])
            graph.check_rows(found.shape, size, output)
            rows[at].append(found[:count])
        done += count
        bench.report(stage, done, len(samples))
    outputs = [np.concatenate(parts) for parts in rows]
    for output, port in zip(outputs, compiled.outputs, strict=True):
        _check_finite(output, port)
    return outputs


def _batch(compiled: ov.CompiledModel) -> int:
    shape = compiled.inputs[0].get_partial_shape()
    return shape[0].get_length() if shape.rank.is_static and shape[0].is_static else _BATCH


def _check_finite(output: data.Array, port: ov.Output) -> None:
    if output.dtype.kind == "f" and not np.isfinite(output).all():
        bad = int(output.size - np.isfinite(output).sum())
        raise failed(
            FailureClass.USER,
            FailureCode.OUTPUT_NOT_FINITE,
            f"{bad} of {output.size} values of an output of shape {port.get_partial_shape()} are NaN or "
            "infinite",
            hint="the optimisation broke the model: keep more of it in floating point (ignored_scope)",
        )


def _accuracy(outputs: list[data.Array], labels: data.Array, conditions: Conditions) -> Measurement:
    scores = outputs[0].reshape(len(outputs[0]), -1)
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise failed(
            FailureClass.USER,
            FailureCode.DATASET_SHAPE,
            f"labels are whole numbers, one a row; these are {labels.dtype} of shape {labels.shape}",
        )
    right = int((scores.argmax(axis=1) == labels).sum())
    share = stats.wilson(right, len(labels))
    return Measurement(
        name="accuracy",
        value=share.value,
        unit=Unit.RATIO,
        ci_low=share.low,
        ci_high=share.high,
        conditions=conditions,
    )


def _distances(
    outputs: list[data.Array], reference: list[data.Array], conditions: Conditions
) -> list[Measurement]:
    if [o.shape for o in outputs] != [r.shape for r in reference]:
        raise failed(
            FailureClass.USER,
            FailureCode.MODEL_MISMATCH,
            f"the outputs have the shapes {[o.shape for o in outputs]}, the reference's "
            f"{[r.shape for r in reference]}",
        )
    pairs = [(_flat(mine), _flat(theirs)) for mine, theirs in zip(outputs, reference, strict=True)]
    top, other_top = (first.argmax(axis=1) for first in pairs[0])
    agreeing = stats.wilson(int((top == other_top).sum()), len(top))

    def measured(name: str, value: float, unit: Unit = Unit.DISTANCE) -> Measurement:
        return Measurement(name=name, value=value, unit=unit, conditions=conditions)

    return [
        measured("max_abs_difference", max(float(np.abs(a - b).max()) for a, b in pairs)),
        measured("cosine_distance", max(stats.cosine_distance(a, b) for a, b in pairs)),
        measured("agreement", agreeing.value, Unit.RATIO).model_copy(
            update={"ci_low": agreeing.low, "ci_high": agreeing.high}
        ),
    ]


def _flat(output: data.Array) -> data.Array:
    """Return an output as rows of doubles."""
    return output.reshape(len(output), -1).astype(np.float64)
