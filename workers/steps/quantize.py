"""Quantizes weights and activations after training (NNCF): INT8, FP8, or INT8 with accuracy control."""

from collections.abc import Iterator

import nncf
import openvino as ov

from ovfarm.failures import FailureClass, FailureCode
from ovfarm.recipes import Quantize
from ovfarm.results import Gate, Measurement, Note, NoteCode, StepResult, Unit
from ovfarm.tuning import AccuracyControl
from workers.kit import calibration, calls, controlled, data, gates, graph, ir, networks, options, whole
from workers.kit.attention import attention_layers
from workers.kit.quantized import is_quantized
from workers.protocol import READING, Bench, failed

_FEW_ROWS = 100
_GIVEN_BACK = "to keep the accuracy all layers went back to floating point, so nothing is INT8"


def run(params: Quantize, bench: Bench) -> StepResult:
    """Write the quantized ``model.xml`` and ``model.bin``; raises StepFailed.

    What NNCF would accept in silence is refused: data with NaN, a model that is quantized already, and
    a drop of accuracy that could not be kept.
    """
    bench.report(READING, 0, 1)
    source = bench.inputs["model"]
    networks.check_one(source, "quantization")
    model = ir.read(source)
    if is_quantized(model):
        raise failed(
            FailureClass.USER,
            FailureCode.ALREADY_QUANTIZED,
            "the model is quantized already, and quantizing twice ruins it",
            hint="start from the floating-point model, or leave the quantize step out",
        )
    if "calibration" not in bench.inputs:
        raise failed(FailureClass.USER, FailureCode.DATASET_MISSING, "there is no calibration data")
    graph.check_inputs(model)
    samples = data.load(bench, "calibration", model)
    size = data.batch_size(model, 1)
    dataset = calibration.dataset(samples, size, params.subset_size, bench)
    notes = _notes(params, model, samples)
    if params.accuracy is not None:
        return _controlled(params, params.accuracy, model, dataset, notes, bench)
    calibration.check_computes(model, samples, size)
    return _saved(_quantized(model, params, dataset), (), notes, bench)


def _controlled(
    params: Quantize,
    control: AccuracyControl,
    model: ov.Model,
    dataset: nncf.Dataset,
    notes: tuple[Note, ...],
    bench: Bench,
) -> StepResult:
    """Return what is left of a quantization that accuracy control has looked at."""
    judged = data.load(bench, "evaluation", model)
    accuracy = controlled.Accuracy(judged, data.batch_size(model, 32), model, strict=control.strict)
    plain = controlled.unsmoothed(params, model)
    notes = (*notes, *_of_control(judged, smoothed=plain is params))
    quantized, before, after = controlled.quantize(model, plain, control, dataset, accuracy)
    measured = (
        Measurement(name="accuracy_before", value=before, unit=Unit.RATIO),
        Measurement(name="accuracy_after", value=after, unit=Unit.RATIO),
    )
    if not control.strict and not is_quantized(quantized):
        why = controlled.in_vain(before, after, control, accuracy.measure) or _GIVEN_BACK
        return _nothing_left(why, measured, notes, bench)
    lost = controlled.too_far(before, after, control, accuracy.measure)
    lost_notes = (Note(code=NoteCode.ACCURACY_LOST, message=lost),) if lost else ()
    return _saved(quantized, measured, (*lost_notes, *notes), bench)


def _of_control(judged: data.Samples, *, smoothed: bool) -> Iterator[Note]:
    if len(judged) < _FEW_ROWS:
        words = f"accuracy control looked at {len(judged)} rows, so one row is {1 / len(judged):.3f} of it"
        yield Note(code=NoteCode.LITTLE_EVALUATION_DATA, message=f"{words}; some hundreds tell more")
    if not smoothed:
        words = (
            "quantized without SmoothQuant, which NNCF gives to transformers: what it moves into the weights "
            "would stay in layers that accuracy control gives back"
        )
        yield Note(code=NoteCode.SMOOTH_QUANT_OFF, message=words)


def _nothing_left(
    why: str, measured: tuple[Measurement, ...], notes: tuple[Note, ...], bench: Bench
) -> StepResult:
    """Leave a gate in place of a model that went back to floating point as a whole."""
    words = f"not reached: {why}"
    gates.write(Gate(passed=False, not_reached=True, words=words), bench.outputs)
    return StepResult(measurements=measured, notes=(Note(code=NoteCode.NOT_REACHED, message=words), *notes))


def _quantized(model: ov.Model, params: Quantize, dataset: nncf.Dataset) -> ov.Model:
    floating = {"fp8_e4m3": nncf.QuantizationMode.FP8_E4M3, "fp8_e5m2": nncf.QuantizationMode.FP8_E5M2}
    with calls.refusals(params):
        return nncf.quantize(
            model,
            dataset,
            mode=floating.get(params.mode),
            preset=calls.preset(params),
            target_device=options.member(nncf.TargetDevice, params.target_device),
            subset_size=params.subset_size,
            fast_bias_correction=params.fast_bias_correction,
            model_type=calls.model_type(params, model),
            ignored_scope=calls.scope(params.ignored_scope),
            advanced_parameters=options.quantization(params.advanced),
        )


def _saved(
    model: ov.Model, measured: tuple[Measurement, ...], notes: tuple[Note, ...], bench: Bench
) -> StepResult:
    if not is_quantized(model):
        raise failed(
            FailureClass.USER,
            FailureCode.NOTHING_QUANTIZED,
            "nothing was quantized: the model has no layer that NNCF quantizes, or all are ignored",
            hint="look at ignored_scope, or take the recipe fp16",
        )
    bench.report("save", 0, 1)
    written = whole.rewrite(bench.inputs["model"], bench.outputs, lambda _name, _model: model)
    return written.result().model_copy(update={"measurements": measured, "notes": notes})


def _notes(params: Quantize, model: ov.Model, samples: data.Samples) -> tuple[Note, ...]:
    notes = []
    rows = min(len(samples), params.subset_size * data.batch_size(model, 1))
    if rows < _FEW_ROWS:
        words = f"calibrated on {rows} rows; 300 are customary, and fewer may cost accuracy"
        if rows < len(samples):
            words = f"subset_size {params.subset_size} of {len(samples)} rows: {words}"
        notes.append(Note(code=NoteCode.LITTLE_CALIBRATION_DATA, message=words))
    attention = attention_layers(model)
    if attention and params.model_type == "auto":
        words = f"{attention} attention layers were found, so model_type is transformer"
        notes.append(Note(code=NoteCode.TRANSFORMER, message=words))
    elif attention and params.model_type == "other":
        words = (
            f"the model has {attention} attention layers and model_type is other: "
            "such models often lose most of their accuracy; compare the distances below"
        )
        notes.append(Note(code=NoteCode.TRANSFORMER_NOT_TOLD, message=words))
    return tuple(notes)
