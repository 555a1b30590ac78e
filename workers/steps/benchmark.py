"""Compares a model's latency with its reference's: three arms, interleaved, with intervals."""

import json
import resource
import time
from collections.abc import Iterator

import openvino as ov

from ovfarm.failures import FailureClass, FailureCode
from ovfarm.patches import Patch
from ovfarm.recipes import Benchmark
from ovfarm.results import Measurement, Note, NoteCode, StepResult, Unit
from workers.kit import arms, data, fitting, graph, model_cache, networks, stats, synthetic, weights
from workers.kit.arms import CANDIDATE, REFERENCE_DEFAULT, REFERENCE_F32, Arm
from workers.protocol import Bench, failed

SAMPLES = "samples.json"
_MIN_ROUNDS = 12
_LOOK_EVERY = 6
_BUSY_LOAD = 1.5
# For a model that takes any batch, when none was asked for.
_BATCH = {"latency": 1, "default": 1, "throughput": 8}


def run(params: Benchmark, bench: Bench) -> StepResult:
    """Return latencies in ms, speed-ups as ratios with 95 % intervals, and a verdict; raises StepFailed.

    The arms are the reference pinned to f32, the reference at the device's default precision, and the
    candidate at the default, all under ``params.hint``; under ``throughput`` they are compared by
    inferences per second, else by latency. Rounds go on until both ratios are known to ``half_width``
    or the time budget (in seconds, warm-up included) is over. The verdict is on the ratio to the
    *default* arm: what a user would have without the optimisation.
    """
    began = time.monotonic()
    network = networks.principal(bench.inputs["model"])
    model = arms.network(bench, "model", network)
    if network == networks.ALONE:
        graph.check_inputs(model)
    batch = data.batch_size(model, params.batch or _BATCH[params.hint])
    _check_batch(params, batch)
    load = arms.Load(network, _feed(params, bench, model, batch), params.hint)
    bench.report("compile", 0, 3)
    built = [
        arms.build(REFERENCE_F32, "reference", bench, load, pin_f32=True),
        arms.build(REFERENCE_DEFAULT, "reference", bench, load, pin_f32=False),
        arms.build(CANDIDATE, "model", bench, load, pin_f32=False),
    ]
    _measure(params, bench, built, began)
    _keep(built, bench)
    loading = model_cache.looked_at(params, bench, built[-1])
    notes = (*_precision(built, halved=weights.mostly(model) == "f16"), *_what(network, model))
    return _with(_result(params, built, batch, notes), loading)


def _with(result: StepResult, more: tuple[Measurement | Note, ...]) -> StepResult:
    measurements = (*result.measurements, *(each for each in more if isinstance(each, Measurement)))
    notes = (*result.notes, *(each for each in more if isinstance(each, Note)))
    return result.model_copy(update={"measurements": measurements, "notes": notes})


def _what(network: str, model: ov.Model) -> Iterator[Note]:
    """Yield what was timed, where that is not the model as a whole."""
    if network != networks.ALONE:
        words = f"the model has several networks; {network} was timed"
        yield Note(code=NoteCode.ONE_NETWORK, message=words)
    if any(op.get_type_name() == "ReadValue" for op in model.get_ops()):
        words = "each inference starts from an empty state: what was timed is the first of a sequence"
        yield Note(code=NoteCode.EMPTY_STATE, message=words)


def _check_batch(params: Benchmark, batch: int) -> None:
    if params.batch and params.batch != batch:
        raise failed(
            FailureClass.USER,
            FailureCode.DYNAMIC_SHAPE,
            f"the model's batch is fixed at {batch}, so it cannot run with batch {params.batch}",
            hint=f"leave batch out, or set it to {batch}",
            patches=(Patch(why="the model's own batch", overrides={"benchmark.batch": batch}),),
        )


def _feed(params: Benchmark, bench: Bench, model: ov.Model, batch: int) -> data.Feed:
    """Return one batch: real rows if there are any, random ones else; the values hardly matter."""
    if "evaluation" in bench.inputs:
        samples = data.load(bench, "evaluation", model)
        return next(samples.batches(batch)).feed
    folder = bench.inputs["model"]
    home = networks.home(folder, networks.principal(folder))
    return synthetic.Synthesis(model, home, batch, params.seed).feed()


def _measure(params: Benchmark, bench: Bench, built: list[Arm], began: float) -> None:
    for done, arm in enumerate(built):
        bench.report("warm up", done, len(built))
        with graph.inferring(_smaller(params, arm)):
            arm.warm_up()
    schedule = arms.Schedule(built)
    deadline = began + params.time_budget_s
    rounds = 0
    expected = _expected_rounds(built, deadline - time.monotonic())
    while rounds < _MIN_ROUNDS or time.monotonic() < deadline:
        schedule.run(rounds)
        rounds += 1
        bench.report("measure", min(rounds, expected), max(expected, rounds))
        if rounds >= _MIN_ROUNDS and rounds % _LOOK_EVERY == 0 and _known(params, built):
            break
    bench.report("measure", rounds, rounds)


def _smaller(params: Benchmark, arm: Arm) -> tuple[Patch, ...]:
    """Return what may help a model that takes no batch of this size."""
    if params.batch:
        return (Patch(why="measure with a batch of 1", overrides={"benchmark.batch": 1}),)
    return fitting.one_row(arm.compiled.inputs)


def _expected_rounds(built: list[Arm], seconds: float) -> int:
    a_round = sum(arm.per_block * arm.paces[-1] if arm.paces else 20.0 for arm in built) / 1e3
    return max(_MIN_ROUNDS, int(seconds / a_round))


def _known(params: Benchmark, built: list[Arm]) -> bool:
    return all(ratio.half_width <= params.half_width for ratio in _ratios(params, built).values())


def _ratios(params: Benchmark, built: list[Arm]) -> dict[str, stats.Interval]:
    paces = {arm.name: arm.paces for arm in built}
    rows = stats.resampled(len(paces[CANDIDATE]), params.seed)
    return {
        name: stats.ratio_interval(paces[name], paces[CANDIDATE], rows)
        for name in (REFERENCE_F32, REFERENCE_DEFAULT)
    }


def _keep(built: list[Arm], bench: Bench) -> None:
    raw = {arm.name: arm.rounds for arm in built}
    (bench.outputs / SAMPLES).write_text(json.dumps({"unit": "ns", "rounds": raw}))


def _result(params: Benchmark, built: list[Arm], batch: int, notes: tuple[Note, ...]) -> StepResult:
    ratios = _ratios(params, built)
    rows = stats.resampled(len(built[0].rounds), params.seed)
    found = [
        Measurement(
            name="speedup",
            subject=name,
            value=ratio.value,
            unit=Unit.RATIO,
            ci_low=ratio.low,
            ci_high=ratio.high,
            samples=SAMPLES,
        )
        for name, ratio in ratios.items()
    ]
    for arm in built:
        median, pace = (stats.median_interval(by_round, rows) for by_round in (arm.block_medians, arm.paces))
        found += _latencies(arm, median, pace, batch)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
    found.append(Measurement(name="peak_memory", subject="child", value=peak, unit=Unit.BYTES))
    return StepResult(
        measurements=tuple(found),
        verdict=stats.verdict(ratios[REFERENCE_DEFAULT], params.margin),
        notes=(*notes, *_notes(params, built, batch)),
    )


def _latencies(arm: Arm, median: stats.Interval, pace: stats.Interval, batch: int) -> list[Measurement]:
    conditions = arm.conditions(batch)
    samples = [nanoseconds / 1e6 for block in arm.rounds for nanoseconds in block]
    percentiles = stats.percentiles(samples, (90, 95, 99))

    def measured(name: str, value: float, unit: Unit = Unit.MILLISECONDS) -> Measurement:
        return Measurement(name=name, subject=arm.name, value=value, unit=unit, conditions=conditions)

    return [
        measured("latency", median.value).model_copy(
            update={"ci_low": median.low, "ci_high": median.high, "samples": SAMPLES}
        ),
        *(measured(f"latency_p{rank}", value) for rank, value in percentiles.items()),
        measured("throughput", batch * 1e3 / pace.value, Unit.PER_SECOND).model_copy(
            update={"ci_low": batch * 1e3 / pace.high, "ci_high": batch * 1e3 / pace.low}
        ),
        measured("load_time", arm.load_s, Unit.SECONDS),
        measured("compile_time", arm.compile_s, Unit.SECONDS),
    ]


def _precision(built: list[Arm], *, halved: bool) -> tuple[Note, ...]:
    """Say when a device computes in another precision than weights or pin suggest: it does so in silence."""
    pinned, _, candidate = (arm.conditions(1).precision for arm in built)
    words = []
    if halved and candidate not in {"f16", ""}:
        words.append(f"the weights are FP16, and this device computes in {candidate}")
    if pinned not in {"f32", ""}:
        words.append(f"the reference was pinned to f32, and this device computes it in {pinned}")
    return tuple(Note(code=NoteCode.REDUCED_PRECISION, message=each) for each in words)


def _notes(params: Benchmark, built: list[Arm], batch: int) -> tuple[Note, ...]:
    conditions = built[-1].conditions(batch)
    notes: list[Note] = []
    if not _known(params, built):
        notes.append(
            Note(
                code=NoteCode.BUDGET_OVER,
                message=f"after {params.time_budget_s:g} s the ratios are known less well than to "
                f"± {params.half_width:.0%}; give a larger time_budget_s for more",
            )
        )
    busy = _BUSY_LOAD * (conditions.threads or 1)
    if conditions.load_average and conditions.load_average > busy + 1:
        notes.append(
            Note(
                code=NoteCode.BUSY_HOST,
                message=f"the host was busy with other things (load {conditions.load_average:.1f}); "
                "the ratios allow for it, the milliseconds do not",
            )
        )
    return tuple(notes)
