"""Compares models of several networks part by part: each gets the same made-up inputs as its counterpart."""

from collections.abc import Iterator

import numpy as np
import openvino as ov

from ovfarm.failures import FailureClass, FailureCode
from ovfarm.recipes import Evaluate
from ovfarm.results import Conditions, Measurement, Note, NoteCode, StepResult, Unit
from workers.kit import device, gates, graph, ir, judging, networks, stats, synthetic
from workers.kit.data import Array, Feed
from workers.protocol import Bench, failed

_FEEDS = 4


def evaluated(params: Evaluate, bench: Bench) -> StepResult:
    """Return each network's distance to its counterpart in the reference; raises StepFailed.

    The cosine distance is 1 - cos of an output as one row, averaged over the inputs that were made up;
    that of the worst network is what a gate judges, unless its numbers are of another size altogether
    (``relative_l2``).
    """
    mine, theirs = (networks.networks(bench.inputs[role]) for role in ("model", "reference"))
    if mine.keys() != theirs.keys():
        raise failed(
            FailureClass.USER,
            FailureCode.MODEL_MISMATCH,
            f"the networks are {', '.join(mine)}, the reference's {', '.join(theirs)}",
        )
    note = Note(
        code=NoteCode.RANDOM_DATA,
        message=f"the {len(mine)} networks were compared one by one on {_FEEDS} made-up inputs each",
    )
    found: list[Measurement] = []
    try:
        for done, name in enumerate(mine):
            bench.report("evaluate", done, len(mine))
            found += _compared(bench, name, pin_f32=params.precision == "f32")
    except judging.CandidateBroken as broken:
        if params.max_drop is None:
            raise
        gate = judging.broken(broken, params.max_drop)
        lost = judging.drop(gate, Conditions(device=bench.openvino_device))
        return gates.leave(gate, (lost,), (note,), bench.outputs)
    bench.report("evaluate", len(mine), len(mine))
    worst = tuple(_worst(found))
    if params.max_drop is None:
        return StepResult(measurements=(*worst, *found), notes=(note,))
    gate = judging.judged_by_distance({m.name: m.value for m in worst}, params.max_drop)
    measured = (*worst, judging.drop(gate, worst[0].conditions), *found)
    return gates.leave(gate, measured, (note,), bench.outputs)


def _compared(bench: Bench, name: str, *, pin_f32: bool) -> Iterator[Measurement]:
    models = {role: _network(bench, role, name) for role in ("model", "reference")}
    compiled = {
        role: device.compiled(model, bench, pin_f32=pin_f32 or role == "reference")
        for role, model in models.items()
    }
    conditions = Conditions(
        device=bench.openvino_device,
        precision=device.told(compiled["model"]).get("INFERENCE_PRECISION_HINT", ""),
        samples=_FEEDS,
    )
    home = networks.home(bench.inputs["reference"], name)
    cosines, largest, lengths = [], 0.0, 0.0
    for seed in range(_FEEDS):
        feed = synthetic.Synthesis(models["reference"], home, 1, seed).feed()
        theirs = list(_outputs(compiled["reference"], feed))
        with judging.candidate():
            mine = list(_outputs(compiled["model"], feed))
        cosines.append(max(_distance(a, b) for a, b in zip(mine, theirs, strict=True)))
        largest = max(largest, *(float(np.abs(a - b).max()) for a, b in zip(mine, theirs, strict=True)))
        lengths = max(lengths, *map(stats.relative, mine, theirs))
    values = {
        "cosine_distance": float(np.mean(cosines)),
        "max_abs_difference": largest,
        "relative_l2": lengths,
    }
    for measured, value in values.items():
        yield Measurement(name=measured, subject=name, value=value, unit=Unit.DISTANCE, conditions=conditions)


def _network(bench: Bench, role: str, name: str) -> ov.Model:
    folder = bench.inputs[role]
    return ir.read_file(folder / networks.networks(folder)[name])


def _outputs(compiled: ov.CompiledModel, feed: Feed) -> Iterator[Array]:
    """Yield each output of one inference from the empty state, as one row of doubles."""
    request = compiled.create_infer_request()
    with graph.inferring():
        result = request.infer(feed)
    for output in compiled.outputs:
        values = np.array(result[output])
        graph.check_finite(values, output)
        yield values.astype(np.float64).reshape(1, -1)


def _distance(mine: Array, theirs: Array) -> float:
    if mine.shape != theirs.shape:
        raise failed(
            FailureClass.USER,
            FailureCode.MODEL_MISMATCH,
            f"an output has {mine.size} values, the reference's {theirs.size}",
        )
    return stats.cosine_distance(mine, theirs)


def _worst(found: list[Measurement]) -> Iterator[Measurement]:
    """Yield for each measure its worst network, as that of the whole."""
    for name in dict.fromkeys(m.name for m in found):
        worst = max((m for m in found if m.name == name), key=lambda m: m.value)
        yield worst.model_copy(update={"subject": "candidate"})
