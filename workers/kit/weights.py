"""The types that a model's weights are in, against the one that a compression was asked for."""

from collections import Counter
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import StrEnum
from math import prod
from pathlib import Path

import openvino as ov
from pydantic import JsonValue

from ovfarm.patches import Patch
from ovfarm.recipes import Compress
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


class Place(StrEnum):
    """Where a weight is used, in the words of notes: below 8 bits NNCF goes by that."""

    CONVOLUTION = "convolutions"
    EMBEDDING = "embeddings"
    LAST = "the last matrix product"
    PRODUCT = "matrix products"
    ELSEWHERE = "networks that are kept in 8 bits"
    OTHER = "other layers"


_PLACES = {
    "Gather": Place.EMBEDDING,
    "MatMul": Place.PRODUCT,
    "Convolution": Place.CONVOLUTION,
    "GroupConvolution": Place.CONVOLUTION,
    "ConvolutionBackpropData": Place.CONVOLUTION,
    "GroupConvolutionBackpropData": Place.CONVOLUTION,
}
# What stands between a weight and the layer that uses it.
_UNPACKING = frozenset({"Convert", "Subtract", "Multiply", "Reshape", "Transpose"})
Placed = Counter[tuple[Place, str]]


@dataclass(frozen=True, slots=True)
class _Weight:
    """So many numbers of one type, and the layer that uses them; ``at`` is its place in the model's order."""

    count: int
    kind: str
    user: str
    at: int
    place: Place


def placed(model: ov.Model, *, adapted: bool = False) -> Placed:
    """Return the number of weights by place and element type: of constants with two sides at least.

    Scales are none, and neither are the adapters of a model whose losses LoRA has corrected (``adapted``).
    """
    adapters = _adapters(model) if adapted else frozenset()
    weights = [weight for weight in _weights(model) if weight.user not in adapters]
    last = max((weight.at for weight in weights if weight.place is Place.PRODUCT), default=-1)
    found: Placed = Counter()
    for weight in weights:
        found[Place.LAST if weight.at == last else weight.place, weight.kind] += weight.count
    return found


def counted(model: ov.Model) -> Counter[str]:
    """Return the number of weights by element type."""
    return _by_kind(placed(model))


def _weights(model: ov.Model) -> Iterator[_Weight]:
    ordered = model.get_ordered_ops()
    order = {op.get_friendly_name(): number for number, op in enumerate(ordered)}
    for op in ordered:
        if op.get_type_name() != "Constant" or op.get_friendly_name().endswith(_BESIDE):
            continue
        sides = [int(side) for side in op.get_output_shape(0) if side > 1]
        kind = op.get_element_type().get_type_name()
        if len(sides) > 1 and kind in ir.LOW_BIT | _FLOATING:
            user = _user(op)
            name, place = user.get_friendly_name(), _PLACES.get(user.get_type_name(), Place.OTHER)
            yield _Weight(prod(sides), kind, name, order.get(name, -1), place)


def _user(constant: ov.Node) -> ov.Node:
    """Return the layer that uses a weight; of several the embedding, by which NNCF judges shared weights."""
    node = constant
    while users := [end.get_node() for end in node.output(0).get_target_inputs()]:
        node = next((user for user in users if user.get_type_name() == "Gather"), users[0])
        if node.get_type_name() not in _UNPACKING:
            break
    return node


def _adapters(model: ov.Model) -> frozenset[str]:
    """Return the matrix products that LoRA correction has put beside others: two, of the same input."""
    found: set[str] = set()
    for add in (op for op in model.get_ops() if op.get_type_name() == "Add"):
        beside, outer = (source.get_node() for source in add.input_values())
        inner = outer.input_value(0).get_node() if outer.get_input_size() else outer
        if {beside.get_type_name(), outer.get_type_name(), inner.get_type_name()} == {"MatMul"} and (
            _source(beside) == _source(inner)
        ):
            found |= {outer.get_friendly_name(), inner.get_friendly_name()}
    return frozenset(found)


def _source(product: ov.Node) -> tuple[str, int]:
    source = product.input_value(0)
    return source.get_node().get_friendly_name(), source.get_index()


def told(counts: Placed, params: Compress) -> Note | None:
    """Return what to say of weights that are not in the type of a mode of NNCF, with numbers and reasons.

    ``params`` are what NNCF was told. A patch is there only where its parameter is the reason.
    """
    by_kind, wanted = _by_kind(counts), _TYPES[params.mode]
    total, asked = by_kind.total(), by_kind[wanted]
    if not total or asked >= _NEARLY_ALL * total:
        return None
    others = {kind: count for kind, count in by_kind.items() if kind != wanted}
    rest = ", ".join(f"{_share(count, total)} in {_named(kind)}" for kind, count in sorted(others.items()))
    words = f"of {total} weights {_share(asked, total)} in {params.mode} as asked, {rest}"
    if not asked:
        words = f"NO WEIGHT IS IN {params.mode}, as was asked: of {total} weights {rest}"
    if params.mode.startswith("int8"):
        return Note(code=NoteCode.WEIGHTS_MIXED if asked else NoteCode.WEIGHTS_NOT_AS_ASKED, message=words)
    reasons = _reasons(Counter({at: n for at, n in counts.items() if at[1] != wanted}), params)
    return Note(
        code=NoteCode.WEIGHTS_MIXED if asked else NoteCode.WEIGHTS_NOT_AS_ASKED,
        message=f"{words}; the others are those of {reasons}",
        patches=tuple(_patches({place for place, kind in counts if kind != wanted}, params)),
    )


def _by_kind(counts: Placed) -> Counter[str]:
    found: Counter[str] = Counter()
    for (_, kind), count in counts.items():
        found[kind] += count
    return found


def mostly(model: ov.Model) -> str | None:
    """Return the element type that most of the weights are in, or None for a model without any."""
    kinds = counted(model)
    return max(kinds, key=kinds.__getitem__) if kinds else None


def _reasons(others: Placed, params: Compress) -> str:
    """Return the places of the weights that are not as asked, the largest first."""
    found: Counter[Place] = Counter()
    for (place, _), count in others.items():
        found[place] += count
    return ", ".join(f"{_place(place, params)} ({count})" for place, count in found.most_common())


def _place(place: Place, params: Compress) -> str:
    by_ratio = place is Place.PRODUCT and params.ratio is not None and params.ratio < 1
    return f"{place}, by ratio {params.ratio:g}" if by_ratio else place


def _patches(places: AbstractSet[Place], params: Compress) -> Iterator[Patch]:
    """Yield what brings more weights to what was asked: nothing does that for convolutions."""
    whole: dict[str, JsonValue] = {}
    if params.ratio is not None and params.ratio < 1:
        whole = {"compress.ratio": 1.0}
        if params.sensitivity_metric:
            whole["compress.sensitivity_metric"] = None
        if Place.PRODUCT in places:
            yield Patch(why="all layers that NNCF compresses so, none for accuracy's sake", overrides=whole)
    if not params.all_layers and places & {Place.EMBEDDING, Place.LAST}:
        why = "embeddings and the last layer as well"
        yield Patch(why=why, overrides={**whole, "compress.all_layers": True})


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
