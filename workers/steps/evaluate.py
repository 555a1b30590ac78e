"""Measures how right a model is: accuracy on labelled data, and distance to the reference's outputs."""

from collections.abc import Iterator

import openvino as ov

from ovfarm.failures import FailureClass, FailureCode
from ovfarm.recipes import Evaluate
from ovfarm.results import Conditions, Measurement, Note, NoteCode, StepResult
from workers.kit import classification, data, device, gates, graph, ir, judging, networks, several, synthetic
from workers.kit.comparison import Comparison
from workers.kit.runner import Runner
from workers.kit.tally import Tally
from workers.protocol import Bench, failed

_BATCH = 32
_RANDOM_ROWS = 32
_FEW_ROWS = 30
# From here on a loss is said aloud. MiniLM has a distance of 0.0025 in INT8 and of 0.04 in INT4; where
# quantization ruins it, because nobody said that it is a transformer, of 0.38.
_MUCH_ACCURACY, _MUCH_DISTANCE = 0.01, 0.05
# Numbers in other directions by that much, and as long, are apart by so much of their length: √(2 · 0.05).
_MUCH_LENGTH = 0.316
_MUCH_DISAGREEMENT = 0.1


def run(params: Evaluate, bench: Bench) -> StepResult:
    """Return ``accuracy`` when there are labels, distances when there is a reference; raises StepFailed.

    Cosine distance is 1 - cos of the flattened outputs, averaged over rows (0 is equal); ``relative_l2``
    is the length of the differences as a share of the reference's; ``agreement`` is the share of rows,
    tokens or pixels with the same top class. What is no class is judged by ``r_squared``. Both models
    compute in f32 unless told otherwise. Rows are read, computed and forgotten batch by batch. With
    ``params.max_drop`` a ``drop`` is measured against the reference, and ``gate.json`` says whether
    that is too much; a gate that did not pass is no failure, and neither is
    NaN, which passes none.
    """
    several_networks = len(networks.networks(bench.inputs["model"])) > 1
    if several_networks and "reference" in bench.inputs:
        return several.evaluated(params, bench)
    model = ir.read(bench.inputs["model"])
    graph.check_inputs(model)
    samples, notes = _samples(params, bench, model)
    _check_comparable(params, bench, samples)
    compiled = device.compiled(model, bench, pin_f32=params.precision == "f32")
    conditions = Conditions(
        device=bench.openvino_device,
        precision=device.told(compiled).get("INFERENCE_PRECISION_HINT", ""),
        samples=len(samples),
    )
    original = ir.read(bench.inputs["reference"]) if "reference" in bench.inputs else None
    reference = None if original is None else Runner(device.compiled(original, bench, pin_f32=True))
    known = [classification.meaning(port) for port in (original or model).outputs]
    try:
        tally = _counted(Runner(compiled), reference, samples, Tally.of(known), bench)
    except judging.CandidateBroken as broken:
        if params.max_drop is None:
            raise
        gate = judging.broken(broken, params.max_drop)
        return gates.leave(gate, (judging.drop(gate, conditions),), notes, bench.outputs)
    return _judged(params, bench, tally, conditions, notes)


def _judged(
    params: Evaluate, bench: Bench, tally: Tally, conditions: Conditions, notes: tuple[Note, ...]
) -> StepResult:
    """Return what was counted, and leave a gate where one was asked for."""
    found = tally.measurements(conditions)
    notes += (*_precision(params, conditions), *_losses(tally, found))
    if params.max_drop is None:
        return StepResult(measurements=tuple(found), notes=notes)
    gate = judging.judged(tally.drop(params.max_drop), params.max_drop, conditions)
    return gates.leave(gate, (*found, judging.drop(gate, conditions)), notes, bench.outputs)


def _precision(params: Evaluate, conditions: Conditions) -> tuple[Note, ...]:
    """Say when a device computes in another precision than f32: it does so in silence."""
    if conditions.precision in {"f32", ""}:
        return ()
    words = f"recipe asks for {params.precision}, and this device computes in {conditions.precision}"
    return (Note(code=NoteCode.REDUCED_PRECISION, message=f"{words}; the reference is pinned to f32"),)


def _losses(tally: Tally, found: list[Measurement]) -> Iterator[Note]:
    """Say loudly what was lost, with the numbers: right answers if there are labels, else distance.

    Labels are of the first output; what other outputs there are is compared all the same.
    """
    told = {measured.name: measured.value for measured in found}
    if tally.before is not None and tally.before - told["accuracy"] > _MUCH_ACCURACY:
        words = f"accuracy fell from {tally.before:.2%} (reference) to {told['accuracy']:.2%}"
        yield Note(code=NoteCode.ACCURACY_LOST, message=f"{words} on {tally.rows} rows")
    apart = tally.compared if tally.before is None else tally.compared[1:]
    far = [output for output in apart if _far(output)]
    if not far:
        return
    numbers = [f"cosine distance {told['cosine_distance']:.3f}"] if "cosine_distance" in told else []
    numbers += [f"relative L2 {told['relative_l2']:.3f}"] if "relative_l2" in told else []
    numbers += [f"R² {told['r_squared']:.3f} of single numbers"] if any(o.one_number for o in far) else []
    numbers += [f"the same top class in {told['agreement']:.1%} of cases"] if "agreement" in told else []
    named = f" (output {', '.join(repr(o.meaning.name) for o in far)})" if len(tally.outputs) > 1 else ""
    words = f"the outputs differ from the reference's{named}: {', '.join(numbers)} ({tally.rows} rows)"
    yield Note(code=NoteCode.OUTPUTS_DIFFER, message=words[:1000])


def _far(output: Comparison) -> bool:
    if output.one_number:
        return 1 - output.fit.r_squared > _MUCH_DISTANCE
    lost = output.lost
    return (
        (output.cosine or 0.0) > _MUCH_DISTANCE
        or output.fit.relative > _MUCH_LENGTH
        or (lost.metric == "agreement" and lost.value > _MUCH_DISAGREEMENT)
    )


def _check_comparable(params: Evaluate, bench: Bench, samples: data.Samples) -> None:
    if "reference" in bench.inputs or (samples.labelled and params.max_drop is None):
        return
    if params.max_drop is not None:
        words, hint = "max_drop needs a reference to drop from, and there is none", "name a reference step"
    else:
        words = "there is nothing to compare with: no labels and no reference"
        hint = "add labels to the dataset (an array or a column 'labels', class folders), or name a reference"
    raise failed(FailureClass.USER, FailureCode.LABELS_MISSING, words, hint=hint)


def _samples(params: Evaluate, bench: Bench, model: ov.Model) -> tuple[data.Samples, tuple[Note, ...]]:
    if "evaluation" in bench.inputs:
        samples = data.load(bench, "evaluation", model).first(params.samples)
        return samples, _few(len(samples))
    rows = params.samples or _RANDOM_ROWS
    note = Note(
        code=NoteCode.RANDOM_DATA,
        message=f"there is no evaluation data, so outputs were compared on {rows} random rows",
    )
    return synthetic.samples(model, bench.inputs["model"], rows, seed=0), (note,)


def _few(rows: int) -> tuple[Note, ...]:
    if rows >= _FEW_ROWS:
        return ()
    words = f"judged on {rows} row{'s' * (rows > 1)}: one of them makes {1 / rows:.0%} of the result"
    return (Note(code=NoteCode.LITTLE_EVALUATION_DATA, message=words),)


def _counted(
    runner: Runner, reference: Runner | None, samples: data.Samples, tally: Tally, bench: Bench
) -> Tally:
    """Run all rows through the model, and through the reference if there is one."""
    size = runner.fixed or (reference.fixed if reference else None) or _BATCH
    for batch in samples.batches(size, labels=True):
        expected = None if reference is None else _outputs(reference, batch)
        with judging.candidate():
            outputs = _outputs(runner, batch)
        if batch.labels is not None:
            tally.judge(outputs, expected, batch.labels)
        if expected is not None:
            tally.compare(outputs, expected, batch)
        tally.rows += batch.count
        bench.report("evaluate", tally.rows, len(samples))
    return tally


def _outputs(runner: Runner, batch: data.Batch) -> list[data.Array]:
    outputs = runner.outputs(batch.feed, batch.count)
    for output, port in zip(outputs, runner.ports, strict=True):
        graph.check_finite(output, port)
    return outputs
