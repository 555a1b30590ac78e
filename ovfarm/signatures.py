"""What a PyTorch program tells of its inputs: torch.export names, shapes and types, TorchScript names.

The programs are looked at as objects; PyTorch itself is not imported here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ovfarm.tuning import Shape

# PyTorch's names of types, and OpenVINO's.
_TYPES = {
    "float32": "f32", "float16": "f16", "bfloat16": "bf16", "float64": "f64", "int64": "i64",
    "int32": "i32", "int16": "i16", "int8": "i8", "uint8": "u8", "bool": "boolean",
}  # fmt: skip
_UNBOUNDED = 1 << 31


@dataclass(frozen=True, slots=True)
class Input:
    """One input as ``forward`` has it; None is what the program does not keep."""

    name: str
    shape: Shape | None = None
    element_type: str | None = None


def inputs(program: Any) -> tuple[Input, ...]:
    """Return the inputs of an ``ExportedProgram`` or a ``ScriptModule``; none of anything else."""
    if hasattr(program, "graph_signature"):
        return _of_exported(program)
    schema = getattr(getattr(program, "forward", None), "schema", None)
    return tuple(Input(argument.name) for argument in schema.arguments[1:]) if schema else ()


def _of_exported(program: Any) -> tuple[Input, ...]:
    values = {node.name: node.meta.get("val") for node in program.graph.nodes if node.op == "placeholder"}
    ranges = {str(symbol): bounds for symbol, bounds in program.range_constraints.items()}
    names = (str(name) for name in program.graph_signature.user_inputs)
    return tuple(_of_tensor(name, values.get(name), ranges) for name in names)


def _of_tensor(name: str, value: Any, ranges: Mapping[str, Any]) -> Input:
    if not hasattr(value, "shape"):
        return Input(name)
    shape = tuple(_size(size, ranges) for size in value.shape)
    return Input(name, shape, _TYPES.get(str(value.dtype).removeprefix("torch.")))


def of_example(example: object, names: Sequence[str]) -> tuple[Input, ...]:
    """Return what example tensors (one, several in order, or by name) tell, the first dimension free.

    Of a nest of them nothing is told.
    """
    if isinstance(example, Mapping):
        tensors = {str(name): tensor for name, tensor in example.items()}
    else:
        listed = list(example) if isinstance(example, tuple | list) else [example]
        tensors = dict(zip(names, listed, strict=True)) if len(listed) == len(names) else {}
    told = (_of_tensor(name, tensor, {}) for name, tensor in tensors.items())
    return tuple(replace(one, shape=("?", *one.shape[1:])) if one.shape else one for one in told)


def _size(size: Any, ranges: Mapping[str, Any]) -> int | str:
    """Return a dimension: fixed, or free between the bounds that it was exported with."""
    if isinstance(size, int):
        return size
    bounds = ranges.get(str(size))
    try:
        low, high = int(bounds.lower), int(bounds.upper)  # type: ignore[union-attr] # None is caught below
    except (AttributeError, TypeError, ValueError, OverflowError):
        return "?"  # an expression of other sizes, or no upper bound
    # Where nobody said how few, PyTorch says two: it treats one apart.
    return f"{0 if low == 2 else low}..{high}" if high < _UNBOUNDED else "?"


def text(shape: Shape) -> str:
    """Return a shape as OpenVINO reads it: ``[?,3,1..8]``."""
    return f"[{','.join(map(str, shape))}]"
