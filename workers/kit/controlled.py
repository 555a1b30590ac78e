"""Quantization that asks after each change how right the model still is, and checks the end itself.

NNCF returns a model also when the drop that was asked for cannot be reached; here that is a failure.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import nncf
import openvino as ov

from ovfarm import rules
from ovfarm.failures import FailureClass, FailureCode
from ovfarm.patches import Patch
from ovfarm.recipes import Quantize
from ovfarm.tuning import AccuracyControl
from workers.kit import calls, classification, comparison, data, graph, options
from workers.kit.judging import CandidateBroken, candidate
from workers.kit.quantized import is_quantized
from workers.kit.runner import Runner
from workers.kit.tally import Tally
from workers.protocol import StepFailed, failed

_OFF = -1.0
_BROKEN = "the quantization broke the model: keep more of it in floating point (ignored_scope)"
_ORIGINAL_BROKEN = "the model computes this before anything is quantized: mend it, or the evaluation data"


@dataclass(frozen=True, slots=True)
class _Asked:
    """A batch, and the original's outputs for it where it has no labels."""

    batch: data.Batch
    answers: list[data.Array] | None


class _Rows:
    """The batches of a dataset, read anew each time that NNCF goes over them."""

    def __init__(self, samples: data.Samples, size: int, original: Runner | None) -> None:
        self._samples = samples
        self._size = size
        self._original = original

    def __iter__(self) -> Iterator[_Asked]:
        for batch in self._samples.batches(self._size, labels=True):
            original = self._original
            yield _Asked(batch, None if original is None else _finite(original, batch, _ORIGINAL_BROKEN))

    def __len__(self) -> int:
        return math.ceil(len(self._samples) / self._size)


class Accuracy:
    """Accuracy of a compiled model on labelled rows, as a function that NNCF calls.

    Where the data has no labels, the outputs of ``original`` stand for them unless the control is
    ``strict``; then StepFailed is raised.
    """

    def __init__(self, samples: data.Samples, size: int, original: ov.Model, *, strict: bool) -> None:
        if not samples.labelled and strict:
            raise failed(
                FailureClass.USER,
                FailureCode.LABELS_MISSING,
                "accuracy control needs labels, and the evaluation data has none",
                hint="add an array or a column 'labels' to the dataset, or leave accuracy out",
            )
        self._known = [classification.meaning(port) for port in original.outputs]
        self.measure = "accuracy" if samples.labelled else "agreement with the original"
        self.rows = _Rows(samples, size, None if samples.labelled else Runner(_in_f32(original)))

    def __call__(self, model: ov.CompiledModel, rows: Iterable[_Asked]) -> tuple[float, None]:
        """Return the share of labels that are right; NNCF gives some rows, or all.

        Without labels it is what the worst output has kept: the share of the original's top classes, or
        R² where it has no classes. Of a model that computes NaN it is 0, and NNCF goes on.
        """
        runner = Runner(model)
        try:
            return self._kept(runner, rows, _BROKEN), None
        except CandidateBroken:
            return 0.0, None

    def of(self, model: ov.Model, hint: str = _BROKEN) -> float:
        """Return the accuracy of a model, computed in f32; raises StepFailed for NaN."""
        return self._kept(Runner(_in_f32(model)), self.rows, hint)

    def _kept(self, runner: Runner, rows: Iterable[_Asked], hint: str) -> float:
        tally = Tally.of(self._known)
        for asked in rows:
            with candidate():
                outputs = _finite(runner, asked.batch, hint)
            if asked.answers is not None:
                tally.compare(outputs, asked.answers, asked.batch)
            elif asked.batch.labels is not None:
                tally.judge(outputs, None, asked.batch.labels)
        if tally.accuracy is not None:
            return tally.accuracy
        lost = comparison.worst(tally.outputs)
        if lost.metric == "r_squared":
            self.measure = "R² to the original's numbers"
        return 1 - lost.value


def _in_f32(model: ov.Model) -> ov.CompiledModel:
    return ov.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})


def _finite(runner: Runner, batch: data.Batch, hint: str) -> list[data.Array]:
    """Return the outputs of the rows that count; raises StepFailed for NaN."""
    outputs = runner.outputs(batch.feed, batch.count)
    for output, port in zip(outputs, runner.ports, strict=True):
        graph.check_finite(output, port, hint)
    return outputs


def unsmoothed(params: Quantize, model: ov.Model) -> Quantize:
    """Return a quantization without SmoothQuant where it would be NNCF's choice and not the user's.

    What SmoothQuant has moved from activations into weights stays when their layers go back to floating
    point, and such a transformer is right less often than the original.
    """
    chosen = list(rules.given(params, ["advanced.smooth_quant_alphas"]))
    if params.accuracy is None or chosen or calls.model_type(params, model) is None:
        return params
    off = params.advanced.smooth_quant_alphas.model_copy(update={"matmul": _OFF})
    advanced = params.advanced.model_copy(update={"smooth_quant_alphas": off})
    return params.model_copy(update={"advanced": advanced})


def quantize(
    model: ov.Model, params: Quantize, control: AccuracyControl, calibration: nncf.Dataset, accuracy: Accuracy
) -> tuple[ov.Model, float, float]:
    """Return the quantized model, the accuracy before and after.

    Raises StepFailed when too much is lost and the control is strict.
    """
    before = accuracy.of(model, _ORIGINAL_BROKEN)
    with calls.refusals(params):
        quantized = nncf.quantize_with_accuracy_control(
            model,
            calibration,
            nncf.Dataset(accuracy.rows),
            accuracy,
            max_drop=control.max_drop,
            drop_type=options.member(nncf.DropType, control.drop_type),
            preset=calls.preset(params),
            target_device=options.member(nncf.TargetDevice, params.target_device),
            subset_size=params.subset_size,
            fast_bias_correction=params.fast_bias_correction,
            model_type=calls.model_type(params, model),
            ignored_scope=calls.scope(params.ignored_scope),
            advanced_quantization_parameters=options.quantization(params.advanced),
            advanced_accuracy_restorer_parameters=options.restorer(control),
        )
    after = accuracy.of(quantized)
    if control.strict and not is_quantized(quantized):
        raise _all_given_back(before, after, control, accuracy.measure)
    if control.strict and (words := too_far(before, after, control, accuracy.measure)):
        raise _refused(words, before, after, control)
    return quantized, before, after


def too_far(before: float, after: float, control: AccuracyControl, measure: str) -> str | None:
    """Say what was lost of which measure when it is more than was allowed."""
    allowed = control.max_drop if control.drop_type == "absolute" else control.max_drop * before
    if before - after <= allowed + 1e-9:
        return None
    return (
        f"{measure} fell from {before:.4f} to {after:.4f}, which is more than max_drop "
        f"{control.max_drop:g} ({control.drop_type})"
    )


def in_vain(before: float, after: float, control: AccuracyControl, measure: str) -> str | None:
    """Say that a model is not the original although every layer of it went back to floating point."""
    if too_far(before, after, control, measure) is None:
        return None
    return (
        f"all layers went back to floating point, and {measure} is still {after:.4f} where the original's is "
        f"{before:.4f}: what SmoothQuant moved into the weights stays there"
    )


def _all_given_back(before: float, after: float, control: AccuracyControl, measure: str) -> StepFailed:
    if words := in_vain(before, after, control, measure):
        return failed(
            FailureClass.USER,
            FailureCode.ACCURACY_DROP,
            words,
            hint="leave smooth_quant_alphas out: accuracy control is then done without SmoothQuant",
            patches=(
                Patch(
                    why="quantize without SmoothQuant",
                    overrides={"quantize.advanced.smooth_quant_alphas.matmul": _OFF},
                ),
            ),
        )
    more = max(2 * control.max_drop, 0.02)
    return failed(
        FailureClass.USER,
        FailureCode.ACCURACY_DROP,
        f"max_drop {control.max_drop:g} ({control.drop_type}) below {before:.4f} is kept only with every "
        "layer given back to floating point, so nothing is left quantized",
        hint="allow a larger max_drop, give more calibration data, or take the recipe int8-weights",
        patches=(Patch(why="allow a larger drop", overrides={"quantize.accuracy.max_drop": more}),),
    )


def _refused(words: str, before: float, after: float, control: AccuracyControl) -> StepFailed:
    lost = before - after if control.drop_type == "absolute" else 1 - after / before
    # Rounded up: the same quantization loses the same again.
    enough = min(math.ceil(lost * 1000) / 1000 + 0.001, 0.999)
    return failed(
        FailureClass.USER,
        FailureCode.ACCURACY_DROP,
        words,
        hint="allow a larger max_drop, give more calibration data, or take the recipe int8-weights",
        patches=(
            Patch(why="allow what was lost just now", overrides={"quantize.accuracy.max_drop": enough}),
        ),
    )
