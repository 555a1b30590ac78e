"""Quantizes weights and activations to INT8 after training (NNCF post-training quantization)."""

from collections.abc import Iterator

import nncf
import openvino as ov

from ovfarm.failures import FailureClass, FailureCode
from ovfarm.recipes import Quantize
from ovfarm.results import Note, StepResult
from workers.kit import calls, data, ir
from workers.protocol import Bench, failed

_TARGETS = {
    "any": nncf.TargetDevice.ANY,
    "cpu": nncf.TargetDevice.CPU,
    "gpu": nncf.TargetDevice.GPU,
    "npu": nncf.TargetDevice.NPU,
    "cpu_spr": nncf.TargetDevice.CPU_SPR,
}
_PRESETS = {
    "performance": nncf.QuantizationPreset.PERFORMANCE,
    "mixed": nncf.QuantizationPreset.MIXED,
}


def run(params: Quantize, bench: Bench) -> StepResult:
    """Write the quantized ``model.xml`` and ``model.bin``; raises StepFailed.

    What NNCF would accept in silence is refused: data with NaN, and a model that is quantized already.
    """
    bench.report("read", 0, 1)
    model = ir.read(bench.inputs["model"])
    if ir.quantized(model):
        raise failed(
            FailureClass.USER,
            FailureCode.ALREADY_QUANTIZED,
            "the model is quantized already, and quantizing twice ruins it",
            hint="start from the floating-point model, or leave the quantize step out",
        )
    if "calibration" not in bench.inputs:
        raise failed(FailureClass.USER, FailureCode.DATASET_MISSING, "there is no calibration data")
    samples = data.load(bench.inputs["calibration"], bench.parts["calibration"], model)
    size = data.batch_size(model, 1)
    batches = _Batches(samples, size, min(params.subset_size, -(-len(samples) // size)), bench)
    with calls.refusals():
        quantized = nncf.quantize(
            model,
            nncf.Dataset(batches),
            preset=_PRESETS[params.preset],
            target_device=_TARGETS[params.target_device],
            subset_size=params.subset_size,
            fast_bias_correction=params.fast_bias_correction,
            model_type=nncf.ModelType.TRANSFORMER if params.model_type else None,
            ignored_scope=calls.scope(params.ignored_scope),
        )
    return _saved(quantized, params, samples, bench)


class _Batches:
    """The calibration data as NNCF wants it: something to iterate over, again and again."""

    def __init__(self, samples: data.Samples, size: int, total: int, bench: Bench) -> None:
        self._samples = samples
        self._size = size
        self._total = total
        self._bench = bench

    def __iter__(self) -> Iterator[data.Feed]:
        for done, (feed, _) in enumerate(self._samples.batches(self._size), start=1):
            self._bench.report("calibrate", min(done, self._total), self._total)
            yield feed


def _saved(model: ov.Model, params: Quantize, samples: data.Samples, bench: Bench) -> StepResult:
    if not ir.quantized(model):
        raise failed(
            FailureClass.USER,
            FailureCode.NOTHING_QUANTIZED,
            "nothing was quantized: the model has no layer that NNCF quantizes, or all are ignored",
            hint="look at ignored_scope, or take the recipe fp16",
        )
    bench.report("save", 0, 1)
    ir.save(model, bench.outputs)
    return StepResult(
        notes=_notes(params, samples),
        canonical_digest=ir.canonical_digest(bench.outputs),
        element_types=ir.element_types(model),
    )


def _notes(params: Quantize, samples: data.Samples) -> tuple[Note, ...]:
    if len(samples) >= min(params.subset_size, 100):
        return ()
    return (
        Note(
            code="little_calibration_data",
            message=f"calibrated on {len(samples)} rows; 300 are customary, and fewer may cost accuracy",
        ),
    )
