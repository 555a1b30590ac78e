"""How large a graph is, counted before any reader builds it: some small files take minutes to read.

ONNX is walked on its wire (Protocol Buffers, "Encoding"), IR by its tags; neither is parsed.
"""

import mmap
import re
from collections.abc import Iterator
from pathlib import Path

from ovfarm.failures import FailureClass, FailureCode
from workers.protocol import failed

MAX_NODES = 100_000
# A graph inside an If inside a Loop is three deep; readers take time that doubles with each more.
MAX_DEPTH = 8
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
# ModelProto: graph 7, functions 25. FunctionProto: node 7. GraphProto: node 1. NodeProto: attribute 5.
# AttributeProto: g 6, graphs 11.
_IR_TAGS = re.compile(rb"<layer\s|<body\b|</body>")
Buffer = mmap.mmap


def check(path: Path) -> None:
    """Raise StepFailed for a graph with too many nodes, or with graphs in graphs in graphs."""
    if not path.stat().st_size:
        return
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        xml = data[:256].lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<")
        # A match keeps what it was found in, and a mapping that is kept cannot be closed: so a copy.
        for count, depth in enumerate(_ir(data[:]) if xml else _onnx(data), 1):
            if count > MAX_NODES:
                raise _too_complex(path, f"more than {MAX_NODES} operations")
            if depth > MAX_DEPTH:
                raise _too_complex(path, f"graphs nested more than {MAX_DEPTH} deep")


def _ir(data: bytes) -> Iterator[int]:
    """Yield the depth of each layer."""
    depth = 1
    for tag in _IR_TAGS.finditer(data):
        word = tag.group()
        if word.startswith(b"<layer"):
            yield depth
        else:
            depth += 1 if word.startswith(b"<body") else -1


def _onnx(data: Buffer) -> Iterator[int]:
    """Yield the depth of each node; what is no message ends the walk, and the reader says so."""
    graphs = [(*span, 1, 1) for number, *span in _fields(data, 0, len(data)) if number == 7]
    graphs += [(*span, 1, 7) for number, *span in _fields(data, 0, len(data)) if number == 25]
    while graphs:
        start, end, depth, of_nodes = graphs.pop()
        for number, begin, until in _fields(data, start, end):
            if number != of_nodes:
                continue
            yield depth
            graphs += [(*inner, depth + 1, 1) for inner in _inner(data, begin, until)]


def _inner(data: Buffer, start: int, end: int) -> Iterator[tuple[int, int]]:
    for number, begin, until in _fields(data, start, end):
        if number == 5:
            for inner, inner_begin, inner_until in _fields(data, begin, until):
                if inner in {6, 11}:
                    yield inner_begin, inner_until


def _fields(data: Buffer, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Yield number, start and end of each field of a message that holds bytes."""
    at = start
    while at < end:
        tag, at = _varint(data, at, end)
        kind = tag & 7
        if kind == _BYTES:
            length, at = _varint(data, at, end)
            if length > end - at:
                return
            yield tag >> 3, at, at + length
            at += length
        elif kind == _VARINT:
            _, at = _varint(data, at, end)
        elif kind in {_FIXED64, _FIXED32}:
            at += 8 if kind == _FIXED64 else 4
        else:
            return


def _varint(data: Buffer, at: int, end: int) -> tuple[int, int]:
    """Return a number and the place after it; at the end of the message, its end."""
    value = shift = 0
    while at < end and shift < 70:
        byte = data[at]
        value, shift, at = value | (byte & 0x7F) << shift, shift + 7, at + 1
        if byte < 0x80:
            return value, at
    return 7, end  # no field has this kind: the walk ends


def _too_complex(path: Path, words: str) -> Exception:
    return failed(
        FailureClass.USER,
        FailureCode.MODEL_TOO_COMPLEX,
        f"{path.name} has {words}",
        hint="simplify the graph where it is exported, for example by keeping loops as Loop or Scan",
    )
