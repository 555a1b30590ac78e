"""Quantization that asks after each change how right the model still is, and checks the end itself.

NNCF returns a model also when the drop that was asked for cannot be reached; here that is a failure.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import replace

import nncf
import numpy as np
import openvino as ov

from ovfarm.failures import FailureClass, FailureCode
from ovfarm.patches import Patch
from ovfarm.recipes import Quantize
from ovfarm.tuning import AccuracyControl
from workers.kit import calls, classification, data, options, stats
from workers.kit.quantized import is_quantized
from workers.kit.runner import Runner
from workers.protocol import StepFailed, failed


class _Rows:
    """The labelled batches of a dataset, read anew each time that NNCF goes over them.

    What ``answers`` gives stands for labels where there are none: classes, or single numbers.
    """

    def __init__(self, samples: data.Samples, size: int, answers: Runner | None) -> None:
        self._samples = samples
        self._size = size
        self._answers = answers

    def __iter__(self) -> Iterator[data.Batch]:
        for batch in self._samples.batches(self._size, labels=True):
            yield batch if self._answers is None else replace(batch, labels=_answered(self._answers, batch))

    def __len__(self) -> int:
        return math.ceil(len(self._samples) / self._size)


class Accuracy:
    """Accuracy of a compiled model on labelled rows, as a function that NNCF calls.

    Where the data has no labels, the answers of ``original`` stand for them, if there is one; else
    StepFailed is raised.
    """

    def __init__(self, samples: data.Samples, size: int, original: ov.Model | None = None) -> None:
        if not samples.labelled and original is None:
            raise failed(
                FailureClass.USER,
                FailureCode.LABELS_MISSING,
                "accuracy control needs labels, and the evaluation data has none",
                hint="add an array or a column 'labels' to the dataset, or leave accuracy out",
            )
        answers = None if samples.labelled or original is None else Runner(_in_f32(original))
        self._labelled = samples.labelled
        self.measure = "accuracy" if samples.labelled else "agreement with the original"
        self.rows = _Rows(samples, size, answers)

    def __call__(self, model: ov.CompiledModel, rows: Iterable[data.Batch]) -> tuple[float, None]:
        """Return the share of rows whose highest score is at the label; NNCF gives some rows, or all.

        Of single numbers that the original has answered it is R²: there is nothing to be right about.
        """
        right = count = 0
        fit = stats.Fit()
        runner = Runner(model)
        for batch in rows:
            output, labels = _first(runner, batch), np.asarray(batch.labels)
            count += batch.count
            if self._labelled:
                right += classification.right(output, labels)
            elif classification.one_number(output):
                self.measure = "R² to the original's numbers"
                fit.add(output, labels)
            else:
                right += int((classification.top(output) == labels).sum())
        return (fit.r_squared if fit.count else right / count), None

    def of(self, model: ov.Model) -> float:
        """Return the accuracy of a model, computed in f32."""
        return self(_in_f32(model), self.rows)[0]


def _in_f32(model: ov.Model) -> ov.CompiledModel:
    return ov.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})


def _first(runner: Runner, batch: data.Batch) -> data.Array:
    """Return the first output of the rows that count."""
    return runner.outputs(batch.feed, batch.count)[0]


def _answered(runner: Runner, batch: data.Batch) -> data.Array:
    """Return what stands for labels: the top classes, or the numbers of an output that has one a row."""
    output = _first(runner, batch)
    return output if classification.one_number(output) else classification.top(output)


def quantize(
    model: ov.Model, params: Quantize, control: AccuracyControl, calibration: nncf.Dataset, accuracy: Accuracy
) -> tuple[ov.Model, float, float]:
    """Return the quantized model, the accuracy before and after.

    Raises StepFailed when too much is lost and the control is strict.
    """
    before = accuracy.of(model)
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
    if control.strict and not is_quantized(quantized):
        raise _all_given_back(before, control)
    after = accuracy.of(quantized)
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


def _all_given_back(before: float, control: AccuracyControl) -> StepFailed:
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
