"""What a PyTorch program tells of its inputs: torch.export names, shapes and types, TorchScript names."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import openvino as ov

_TYPES = {
    "float32": ov.Type.f32, "float16": ov.Type.f16, "bfloat16": ov.Type.bf16, "float64": ov.Type.f64,
    "int64": ov.Type.i64, "int32": ov.Type.i32, "int16": ov.Type.i16, "int8": ov.Type.i8,
    "uint8": ov.Type.u8, "bool": ov.Type.boolean,
}  # fmt: skip
_UNBOUNDED = 1 << 31


@dataclass(frozen=True, slots=True)
class Input:
    """One input as ``forward`` has it; None is what the program does not keep."""

    name: str
    shape: ov.PartialShape | None = None
    element_type: ov.Type | None = None


def of_script(script: Any) -> tuple[Input, ...]:
    """Return the inputs of a ``torch.jit.ScriptModule``, without the module itself."""
    return tuple(Input(argument.name) for argument in script.forward.schema.arguments[1:])


def of_exported(program: Any) -> tuple[Input, ...]:
    """Return the inputs of a ``torch.export.ExportedProgram``, with the ranges that it was exported for."""
    values = {node.name: node.meta.get("val") for node in program.graph.nodes if node.op == "placeholder"}
    ranges = {str(symbol): bounds for symbol, bounds in program.range_constraints.items()}
    names = (str(name) for name in program.graph_signature.user_inputs)
    return tuple(_of_tensor(name, values.get(name), ranges) for name in names)


def _of_tensor(name: str, value: Any, ranges: Mapping[str, Any]) -> Input:
    if not hasattr(value, "shape"):
        return Input(name)
    shape = ov.PartialShape([_dimension(size, ranges) for size in value.shape])
    return Input(name, shape, _TYPES.get(str(value.dtype).removeprefix("torch.")))


def _dimension(size: Any, ranges: Mapping[str, Any]) -> ov.Dimension:
    """Return a dimension: fixed, or free between the bounds that it was exported with."""
    if isinstance(size, int):
        return ov.Dimension(size)
    bounds = ranges.get(str(size))
    try:
        low, high = int(bounds.lower), int(bounds.upper)  # type: ignore[union-attr] # None is caught below
    except (AttributeError, TypeError, ValueError, OverflowError):
        return ov.Dimension()  # an expression of other sizes, or no upper bound
    # Where nobody said how few, PyTorch says two: it treats one apart.
    return ov.Dimension(0 if low == 2 else low, high) if high < _UNBOUNDED else ov.Dimension()
