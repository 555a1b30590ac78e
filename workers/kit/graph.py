"""Whether a graph that was read can be worked with: names that are text, inputs that can be fed."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import openvino as ov
from numpy.typing import NDArray

from ovfarm.failures import FailureClass, FailureCode
from ovfarm.patches import Patch
from ovfarm.results import Port
from workers.kit import fitting
from workers.protocol import StepFailed, failed

_MOST_PORTS = 1000
# The types that an array of rows can have; others are packed into bytes, or not known before inference.
_FED = (
    "f64", "f32", "f16", "bf16", "i64", "i32", "i16", "i8", "u64", "u32", "u16", "u8", "boolean",
)  # fmt: skip


def check_names(model: ov.Model, file: str) -> None:
    """Raise StepFailed for names that no file can hold; name inputs and outputs that have none."""
    try:
        for number, port in enumerate((*model.inputs, *model.outputs)):
            if not port.get_names():
                port.get_tensor().set_names({_own_name(port, number)})
        named = (*(n for port in (*model.inputs, *model.outputs) for n in port.get_names()),)
        odd = [name for name in (*named, *(op.get_friendly_name() for op in model.get_ops())) if _odd(name)]
    except (UnicodeDecodeError, ValueError):
        raise _unreadable(f"{file} has names that are not UTF-8") from None
    if odd:
        raise _unreadable(f"{file} has {len(odd)} names with control characters, such as {odd[0]!r}"[:300])


def _own_name(port: ov.Output, number: int) -> str:
    return str(port.get_node().get_friendly_name()) or f"port_{number}"


def _odd(name: str) -> bool:
    """Tell a name that XML 1.0 cannot hold."""
    return any((ord(c) < 32 and c not in "\t\n\r") or c in "\ufffe\uffff" for c in name)


def _unreadable(words: str) -> StepFailed:
    return failed(
        FailureClass.USER,
        FailureCode.MODEL_UNREADABLE,
        words,
        hint="rename them where the model is exported",
    )


def ports(model: ov.Model) -> tuple[Port, ...]:
    """Return a model's inputs and outputs, as many as anybody reads."""
    return tuple(
        Port(
            direction=direction,
            name=port.get_any_name()[:1000],
            shape=port.get_partial_shape().to_string()[:1000],
            element_type=port.get_element_type().get_type_name(),
        )
        for direction, side in (("input", model.inputs), ("output", model.outputs))
        for port in side[:_MOST_PORTS]
    )


def check_inputs(model: ov.Model) -> None:
    """Raise StepFailed for a model that rows of data cannot be fed to, one row at the first dimension."""
    if not model.inputs:
        raise _unusable("it has no inputs")
    for port in model.inputs:
        name, shape = port.get_any_name(), port.get_partial_shape()
        kind = port.get_element_type().get_type_name()
        if kind == "string":
            raise _unusable(f"its input {name!r} takes strings; the farm feeds numbers")
        if kind not in _FED:
            raise _unusable(f"its input {name!r} has the type {kind}; the farm feeds {', '.join(_FED)}")
        if shape.rank.is_static and not shape.rank.get_length():
            raise _unusable(f"its input {name!r} is a single number, without a dimension for rows")
        if shape.rank.is_static and shape[0].is_static and not shape[0].get_length():
            raise _unusable(f"its input {name!r} takes batches of no rows")


def check_rows(got: tuple[int, ...], rows: int, port: ov.Output, inputs: Iterable[ov.Output]) -> None:
    """Raise StepFailed when an output has not one row for each row of the input."""
    if not got or got[0] != rows or 0 in got:
        raise failed(
            FailureClass.USER,
            FailureCode.OUTPUT_SHAPE,
            f"the output {port.get_any_name()!r} has the shape {list(got)} for {rows} rows of input",
            hint="export the model with a dynamic batch as the first dimension of inputs and outputs",
            patches=fitting.one_row(inputs) if got and got[0] == 1 else (),
        )


_BROKEN = "the optimisation broke the model: keep more of it in floating point (ignored_scope)"


def check_finite(values: NDArray[Any], port: ov.Output, hint: str = _BROKEN) -> None:
    """Raise StepFailed when an output has NaN or infinity: every distance to it would be nothing as well."""
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        bad = int(values.size - np.isfinite(values).sum())
        raise failed(
            FailureClass.USER,
            FailureCode.OUTPUT_NOT_FINITE,
            f"{bad} of {values.size} values of an output of shape {port.get_partial_shape()} are NaN or "
            "infinite",
            hint=hint,
        )


@contextmanager
def inferring(patches: tuple[Patch, ...] = ()) -> Iterator[None]:
    """Turn what OpenVINO says of a model that cannot compute on its rows into the user's failure."""
    try:
        yield
    except RuntimeError as refused:
        if "alloc" in str(refused):
            raise
        raise cannot_infer(str(refused), patches) from refused


def cannot_infer(words: str, patches: tuple[Patch, ...] = ()) -> StepFailed:
    """Return the failure of a model that cannot compute, with OpenVINO's own words."""
    return failed(
        FailureClass.USER,
        FailureCode.INFERENCE_FAILED,
        "the model cannot compute on the rows that it was given",
        hint="often a Reshape with a fixed batch: export the model with a dynamic batch, or batch=1 data",
        evidence=words,
        patches=patches,
    )


def _unusable(words: str) -> StepFailed:
    return failed(
        FailureClass.USER,
        FailureCode.MODEL_UNUSABLE,
        f"the model cannot be fed: {words}",
        hint="convert and compress work with such a model; quantize, evaluate and benchmark do not",
    )
