"""Quantizes weights and activations after training (NNCF): INT8, FP8, or INT8 with accuracy control."""

import nncf
import openvino as ov

from ovfarm.failures import FailureClass, FailureCode
from ovfarm.recipes import Quantize
from ovfarm.results import Gate, Measurement, Note, NoteCode, StepResult, Unit
from workers.kit import calibration, calls, controlled, data, gates, graph, ir, networks, options, whole
from workers.kit.attention import attention_layers
from workers.kit.quantized import is_quantized
from workers.protocol import READING, Bench, failed

_FEW_ROWS = 100


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
    dataset = calibration.dataset(samples, data.batch_size(model, 1), params.subset_size, bench)
    if params.accuracy is None:
        return _saved(_quantized(model, params, dataset), (), _notes(params, model, samples), bench)
    judged = data.load(bench, "evaluation", model)
    control = params.accuracy
    original = None if control.strict else model
    accuracy = controlled.Accuracy(judged, data.batch_size(model, 32), original)
    quantized, before, after = controlled.quantize(model, params, control, dataset, accuracy)
    measured = (
        Measurement(name="accuracy_before", value=before, unit=Unit.RATIO),
        Measurement(name="accuracy_after", value=after, unit=Unit.RATIO),
    )
    if not control.strict and not is_quantized(quantized):
        return _nothing_left(measured, bench)
    lost = controlled.too_far(before, after, control, accuracy.measure)
    notes = (Note(code=NoteCode.ACCURACY_LOST, message=lost),) if lost else ()
    return _saved(quantized, measured, (*notes, *_notes(params, model, samples)), bench)


def _nothing_left(measured: tuple[Measurement, ...], bench: Bench) -> StepResult:
    """Leave a gate in place of a model that went back to floating point as a whole."""
    words = "not reached: to keep the accuracy all layers went back to floating point, so nothing is INT8"
    gates.write(Gate(passed=False, not_reached=True, words=words), bench.outputs)
    return StepResult(measurements=measured, notes=(Note(code=NoteCode.NOT_REACHED, message=words),))


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
    if len(samples) < min(params.subset_size, _FEW_ROWS):
        words = f"calibrated on {len(samples)} rows; 300 are customary, and fewer may cost accuracy"
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
