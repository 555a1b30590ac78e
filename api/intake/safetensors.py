"""The header of a safetensors file, checked before anything maps the file into memory.

The rules are those of the format's own description: an object of tensors with type, shape and the
bytes' place, which lie one after the other and end with the file.
"""

import json
from math import prod

from api.intake.content import Bytes
from api.intake.refusal import refused
from ovfarm.errors import InvalidInput

MAX_HEADER = 10 << 20
_BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "I16": 16, "U16": 16, "F16": 16,
    "BF16": 16, "I32": 32, "U32": 32, "F32": 32, "F64": 64, "I64": 64, "U64": 64, "C64": 64, "F4": 4,
    "F6_E2M3": 6, "F6_E3M2": 6,
}  # fmt: skip
_HINT = "save the weights again with safetensors and upload the file it wrote"


def check(name: str, file: Bytes) -> None:
    """Raise InvalidInput when the header does not describe exactly the bytes that follow it."""
    length = int.from_bytes(file.at(0, 8), "little")
    if length > MAX_HEADER:
        raise _bad(name, f"has a header of {length} bytes; at most {MAX_HEADER} are read")
    if 8 + length > file.size:
        raise _bad(name, "ends within its header")
    body = file.size - 8 - length
    spans = sorted(_span(name, key, value) for key, value in _tensors(name, file.at(8, length)))
    end = 0
    for begin, until in spans:
        if begin != end:
            raise _bad(name, "has tensors that overlap, or bytes between them")
        end = until
    if end != body:
        raise _bad(name, f"has {body} bytes of tensors, its header says {end}")


def _tensors(name: str, header: bytes) -> list[tuple[str, object]]:
    try:
        found = json.loads(header)
    except (ValueError, RecursionError):
        raise _bad(name, "has a header that is not JSON") from None
    if not isinstance(found, dict):
        raise _bad(name, "has a header that is no object")
    return [(key, value) for key, value in found.items() if key != "__metadata__"]


def _span(name: str, key: str, value: object) -> tuple[int, int]:
    if not isinstance(value, dict):
        raise _bad(name, f"describes the tensor {key[:80]!r} as something else")
    bits, shape, offsets = _BITS.get(str(value.get("dtype"))), *map(_counts, _places(value))
    if bits is None or shape is None or offsets is None or len(offsets) != 2:
        raise _bad(name, f"describes the tensor {key[:80]!r} without a type, a shape or a place")
    begin, end = offsets
    if prod(shape) * bits != (end - begin) * 8:
        raise _bad(name, f"gives the tensor {key[:80]!r} {end - begin} bytes, which is not its size")
    return begin, end


def _places(value: dict[str, object]) -> tuple[object, object]:
    return value.get("shape"), value.get("data_offsets")


def _counts(value: object) -> list[int] | None:
    """Return a list of sizes, or None when it is anything else."""
    if not isinstance(value, list):
        return None
    return value if all(type(item) is int and 0 <= item < 1 << 60 for item in value) else None


def _bad(name: str, words: str) -> InvalidInput:
    return refused(name, words, _HINT, "safetensors_refused")
