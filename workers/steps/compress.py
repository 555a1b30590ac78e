"""Compresses the weights alone to 8 bits or fewer (NNCF weight compression)."""

from collections import Counter
from dataclasses import replace
from math import gcd
from pathlib import Path

import nncf
import openvino as ov

from ovfarm.failures import FailureClass, FailureCode
from ovfarm.patches import Patch
from ovfarm.recipes import Compress
from ovfarm.results import Note, NoteCode, StepResult
from workers.kit import (
    calibration,
    calls,
    data,
    defaults,
    graph,
    ignoring,
    networks,
    options,
    weights,
    whole,
)  # fmt: skip
from workers.kit.compiled import compiled_once
from workers.kit.flattened import flattened
from workers.kit.quantized import is_quantized
from workers.protocol import Bench, StepFailed, failed

_FLAGS = ("awq", "scale_estimation", "gptq", "lora_correction")


def run(params: Compress, bench: Bench) -> StepResult:
    """Write the compressed ``model.xml`` and ``model.bin``; raises StepFailed."""
    source = bench.inputs["model"]
    if "calibration" in bench.inputs and params.mode != "auto":
        networks.check_one(source, "compression with calibration data")
    count = len(networks.networks(source))
    passes: tuple[defaults.Pass, ...] = (defaults.Pass(params),)
    notes: tuple[Note, ...] = ()
    if params.mode == "auto":
        passes, note = defaults.resolved(params, source, with_data=_has_data(bench), alone=count <= 1)
        notes = (note,)
    work = _Work(params, passes, bench, count)
    written = whole.rewrite(source, bench.outputs, work.change)
    if work.total > 1:
        work.unseen.check()
    if not work.compressed:
        raise failed(
            FailureClass.USER,
            FailureCode.NOTHING_QUANTIZED,
            f"none of the {sum(written.element_types.values())} weights was compressed: no layer qualifies, "
            "or all are ignored",
            hint="look at ignored_scope and all_layers",
        )
    mixed = weights.told(work.counts, passes[0].params)
    notes = (*notes, *work.notes, *((mixed,) if mixed else ()))
    return written.result().model_copy(update={"notes": notes})


def _has_data(bench: Bench) -> bool:
    """Tell whether activations can be measured: rows of data fit one network."""
    return "calibration" in bench.inputs and len(networks.networks(bench.inputs["model"])) <= 1


class _Work:
    """Compresses one network after the other: those that do the work as asked, the others to INT8."""

    def __init__(self, params: Compress, passes: tuple[defaults.Pass, ...], bench: Bench, total: int) -> None:
        self.params = params
        self.passes = passes
        self.bench = bench
        self.total = max(total, 1)
        self.done = 0
        self.compressed = False
        self.notes: list[Note] = []
        self.counts: weights.Placed = Counter()
        self.unseen = ignoring.Unseen(params.ignored_scope)

    def change(self, name: str, model: ov.Model) -> ov.Model:
        """Return the compressed network; raises StepFailed."""
        self.bench.report("compress", self.done, self.total)
        self.done += 1
        if is_quantized(model):
            raise failed(
                FailureClass.USER,
                FailureCode.ALREADY_QUANTIZED,
                "the model's weights are compressed or quantized already",
                hint="start from the floating-point model, or leave the compress step out",
            )
        passes = self._for(name)
        for one in passes:
            model = self._passed(model, self._ignoring(one, name, model))
        self.compressed = self.compressed or is_quantized(model)
        self.counts += self._placed(model, apart=passes is not self.passes)
        return model

    def _placed(self, model: ov.Model, *, apart: bool) -> weights.Placed:
        """Return where the weights of a network are; of one that is kept in 8 bits they are in one place."""
        if not apart:
            return weights.placed(model, adapted=self.params.lora_correction)
        kinds = weights.counted(model)
        return Counter({(weights.Place.ELSEWHERE, kind): count for kind, count in kinds.items()})

    def _passed(self, model: ov.Model, params: Compress) -> ov.Model:
        try:
            with calls.refusals(params), compiled_once():
                return flattened(_compressed(model, params, self.bench, self._ignored(params, model)))
        except nncf.InvalidGroupSizeError as refused:
            raise _group_size(self.params, params, model, str(refused)) from refused

    def _ignored(self, params: Compress, model: ov.Model) -> nncf.IgnoredScope | None:
        """Return NNCF's ignored scope: what it names may be in another one of several networks."""
        ignored = calls.scope(params.ignored_scope)
        if ignored is None or self.total == 1:
            return ignored
        self.unseen.look(model)
        return replace(ignored, validate=False)

    def _for(self, name: str) -> tuple[defaults.Pass, ...]:
        """Return what is done to a network: below 8 bits only those that generate keep their quality."""
        eight = all(one.params.mode.startswith("int8") for one in self.passes)
        if eight or self.total == 1 or networks.generates(name):
            return self.passes
        words = f"{name} is compressed to int8_asym: only the networks that generate go below 8 bits"
        self.notes.append(Note(code=NoteCode.EIGHT_BITS, message=words))
        return (defaults.Pass(Compress(name=self.params.name, ignored_scope=self.params.ignored_scope)),)

    def _ignoring(self, one: defaults.Pass, name: str, model: ov.Model) -> Compress:
        """Return the parameters with what optimum-intel's configuration leaves alone, where that is there."""
        scope, absent = defaults.present(one.scope, model)
        if absent:
            words = f"optimum-intel's ignored scope names what {name} does not have: {' '.join(absent)}"
            self.notes.append(Note(code=NoteCode.AUTO, message=words[:1000]))
        ignored = defaults.merged(one.params.ignored_scope, scope)
        return one.params.model_copy(update={"ignored_scope": ignored})


def _compressed(
    model: ov.Model, params: Compress, bench: Bench, ignored: nncf.IgnoredScope | None
) -> ov.Model:
    metric = params.sensitivity_metric
    backup = params.backup_mode
    flags = {name: getattr(params, name) or None for name in _FLAGS}
    below_eight_bits = not params.mode.startswith("int8")
    return nncf.compress_weights(
        model,
        mode=nncf.CompressWeightsMode(params.mode),
        ratio=params.ratio,
        group_size=params.group_size,
        all_layers=params.all_layers,
        backup_mode=None if backup is None else nncf.BackupMode(backup),
        sensitivity_metric=None if metric is None else nncf.SensitivityMetric(metric),
        dataset=_dataset(model, params, bench),
        subset_size=params.subset_size,
        ignored_scope=ignored,
        advanced_parameters=options.compression(params, _statistics(params, bench))
        if below_eight_bits
        else None,
        **flags,
    )


def _statistics(params: Compress, bench: Bench) -> Path | None:
    """Return where NNCF finds what was measured before, or where it is to leave it."""
    earlier = bench.inputs.get(networks.STATISTICS)
    if earlier and (earlier / networks.STATISTICS).is_dir():
        return earlier / networks.STATISTICS
    return bench.outputs / networks.STATISTICS if params.keep_statistics else None


def _dataset(model: ov.Model, params: Compress, bench: Bench) -> nncf.Dataset | None:
    if params.mode.startswith("int8") or not _has_data(bench):
        return None
    graph.check_inputs(model)
    samples = data.load(bench, "calibration", model)
    return calibration.dataset(samples, data.batch_size(model, 1), params.subset_size, bench)


def _group_size(asked: Compress, params: Compress, model: ov.Model, words: str) -> StepFailed:
    """Return the failure; ``asked`` is what the user wrote, ``params`` what it stands for."""
    fitting = _fitting_group(model)
    why = "one group a channel" if fitting == -1 else "the largest that divides the channels of every layer"
    adjust = f"--set {asked.name}.group_size_fallback=adjust"
    sizes = f"--set {asked.name}.group_size={fitting} divides them all; -1 makes one group a channel; or"
    patch = Patch(why=why, overrides={"compress.group_size": fitting})
    # The mode auto brings its own group size and takes no other.
    auto = asked.mode == "auto"
    return failed(
        FailureClass.USER,
        FailureCode.GROUP_SIZE,
        f"group_size {params.group_size or 128} does not divide the channels of every layer",
        hint=f"{adjust} makes smaller groups where they are needed" if auto else f"{sizes} {adjust}",
        evidence=words,
        patches=() if auto else (patch,),
    )


def _fitting_group(model: ov.Model) -> int:
    """Return the largest power of two that divides the channels of all matrix weights, or -1."""
    common = 0
    for op in model.get_ops():
        if op.get_type_name() == "MatMul":
            shape = op.input(1).get_partial_shape()
            if shape.is_static and op.input_value(1).get_node().get_type_name() in {
                "Constant",
                "Convert",
            }:
                transposed = op.get_attributes()["transpose_b"]
                common = gcd(common, shape[-1 if transposed else -2].get_length())
    largest = common & -common
    return largest if largest > 1 else -1
