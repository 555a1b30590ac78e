"""The types that a model's weights are in, against the one that a compression was asked for."""

from collections import Counter
from collections.abc import Mapping
from math import prod
from pathlib import Path

import openvino as ov

from ovfarm.results import Note, NoteCode
from workers.kit import ir, networks

# What NNCF writes for each of its modes.
_TYPES = {
    "int8_sym": "i8", "int8_asym": "u8", "int4_sym": "i4", "int4_asym": "u4", "int3_sym": "u3",
    "int2_sym": "u2", "nf4": "nf4", "cb4": "u4", "mxfp4": "f4e2m1", "mxfp8_e4m3": "f8e4m3",
    "fp8_e4m3": "f8e4m3", "fp4": "f4e2m1", "nvfp4": "f4e2m1",
}  # fmt: skip
_FLOATING = frozenset({"f64", "f32", "f16", "bf16"})
# What NNCF keeps beside weights, named after them.
_BESIDE = ("/scale", "/second_order_scale", "/zero_point")
# From this share on nothing is said.
_NEARLY_ALL = 0.99
# Where NNCF writes into a model what it was asked for.
_MODE = ["nncf", "weight_compression", "mode"]


def counted(model: ov.Model) -> Counter[str]:
    """Return the number of weights by element type: of constants with two sides at least, without scales."""
    found: Counter[str] = Counter()
    for op in model.get_ops():
        if op.get_type_name() != "Constant" or op.get_friendly_name().endswith(_BESIDE):
            continue
        sides = [int(side) for side in op.get_output_shape(0) if side > 1]
        kind = op.get_element_type().get_type_name()
        if len(sides) > 1 and kind in ir.LOW_BIT | _FLOATING:
            found[kind] += prod(sides)
    return found


def mostly(model: ov.Model) -> str | None:
    """Return the element type that most of the weights are in, or None for a model without any."""
    return max(counts, key=counts.__getitem__) if (counts := counted(model)) else None


def told(counts: Mapping[str, int], mode: str) -> Note | None:
    """Return what to say of weights that are not in the type of a mode of NNCF, with their numbers."""
    total, asked = sum(counts.values()), counts.get(_TYPES[mode], 0)
    if not total or asked >= _NEARLY_ALL * total:
        return None
    others = {kind: count for kind, count in counts.items() if kind != _TYPES[mode]}
    rest = ", ".join(f"{_share(count, total)} in {_named(kind)}" for kind, count in sorted(others.items()))
    if not asked:
        words = f"NO WEIGHT IS IN {mode}, as was asked: of {total} weights {rest}"
        return Note(code=NoteCode.WEIGHTS_NOT_AS_ASKED, message=words)
    words = f"of {total} weights {_share(asked, total)} in {mode} as asked, {rest}"
    return Note(code=NoteCode.WEIGHTS_MIXED, message=words)


def _share(count: int, total: int) -> str:
    return f"{count} ({count / total:.1%}) {'is' if count == 1 else 'are'}"


def _named(kind: str) -> str:
    return f"{kind} (floating point)" if kind in _FLOATING else kind


def falls_short(folder: Path) -> str | None:
    """Say of a compression below 8 bits that no weight is in the type that it was asked for, else None.

    Of a model with several networks some are kept in 8 bits, so that one which is below is enough.
    """
    counts: Counter[str] = Counter()
    modes: set[str] = set()
    for path in networks.networks(folder).values():
        model = ir.read_file(folder / path)
        if model.has_rt_info(_MODE) and not (mode := str(model.get_rt_info(_MODE).value)).startswith("int8"):
            modes.add(mode)
            counts.update(counted(model))
    if not modes or any(counts[_TYPES.get(mode, mode)] for mode in modes):
        return None
    return f"no weight of it is in {', '.join(sorted(modes))}"
