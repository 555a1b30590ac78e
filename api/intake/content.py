"""What a file is, told by its first and last bytes; one file may be two things, and that is looked for."""

import pickletools
import re
import struct
from collections.abc import Sequence
from enum import StrEnum
from typing import Protocol

HEAD_BYTES = 4096
# The end of a ZIP is found from behind: a comment of 64 KiB may follow it.
TAIL_BYTES = 22 + (1 << 16)
_END_OF_ZIP, _ZIP64_LOCATOR = b"PK\x05\x06", b"PK\x06\x07"
_END_RECORD = struct.Struct("<4s4H2LH")
_TAR_MAGIC_AT = 257


class Bytes(Protocol):
    """A file that can be read at any place."""

    @property
    def size(self) -> int:
        """How many bytes there are."""
        ...

    def at(self, start: int, length: int) -> bytes:
        """Return up to ``length`` bytes from ``start``."""
        ...


class Content(StrEnum):
    """What a file can be; the values are the words in which a user is told."""

    ZIP = "a ZIP archive (PyTorch, TorchScript, torch.export and Keras files are such)"
    PICKLE = "a Python pickle"
    HDF5 = "HDF5 (Keras)"
    NPY = "a NumPy array"
    ARCHIVE = "an archive or a compressed file"
    PROGRAM = "a program"
    SAFETENSORS = "safetensors"
    IR = "OpenVINO IR"
    ONNX = "ONNX"
    TENSORFLOW = "a TensorFlow graph"
    TFLITE = "TensorFlow Lite"
    PADDLE = "a PaddlePaddle program"
    JSON = "JSON"
    OTHER = "something else"


# Weights are any bytes at all, so what is told by two of them alone would refuse one honest file in 65,536.
_MAGIC: tuple[tuple[bytes, Content], ...] = (
    (b"PK\x03\x04", Content.ZIP),
    (b"PK\x05\x06", Content.ZIP),
    (b"\x93NUMPY", Content.NPY),
    (b"\x1f\x8b\x08", Content.ARCHIVE),
    (b"BZh91AY&SY", Content.ARCHIVE),
    (b"\xfd7zXZ\x00", Content.ARCHIVE),
    (b"7z\xbc\xaf\x27\x1c", Content.ARCHIVE),
    (b"Rar!\x1a\x07", Content.ARCHIVE),
    (b"\x28\xb5\x2f\xfd", Content.ARCHIVE),
    (b"\x7fELF", Content.PROGRAM),
    (b"#!/", Content.PROGRAM),
    (b"#! /", Content.PROGRAM),
    (b"\xcf\xfa\xed\xfe", Content.PROGRAM),
    (b"\xce\xfa\xed\xfe", Content.PROGRAM),
    (b"\xca\xfe\xba\xbe", Content.PROGRAM),
    (b"\x00asm\x01\x00\x00\x00", Content.PROGRAM),
)
_HDF5 = b"\x89HDF\r\n\x1a\n"
# A user block of its own may come before it.
_HDF5_AT = (0, 512, 1024, 2048)
_LONGEST_HEADER = 100 << 20
# A GraphDef begins with a node, which begins with its name and its operation: both are words.
_GRAPH = re.compile(
    rb"\x0a[\x00-\xff]{1,5}?\x0a[\x01-\x7f][\w./^:-]{1,127}\x12[\x01-\x40][A-Z]\w{1,63}[\x1a\x22\x2a]"
)
# A ProgramDesc begins with its first block: number 0, and no parent.
_PROGRAM = re.compile(rb"\x0a[\x00-\xff]{1,5}?\x08\x00\x10\xff")


def content(file: Bytes, name: str = "") -> Content:
    """Return what a file is; what is a ZIP from behind is a ZIP, whatever it is from the front.

    The name counts only where it makes a promise: what is called JSON or safetensors is held to it.
    """
    head = file.at(0, HEAD_BYTES)
    if _ends_as_zip(file):
        return Content.ZIP
    for magic, found in _MAGIC:
        if head.startswith(magic):
            return found
    if any(head[at:].startswith(_HDF5) for at in _HDF5_AT):
        return Content.HDF5
    if head[_TAR_MAGIC_AT : _TAR_MAGIC_AT + 5] == b"ustar":
        return Content.ARCHIVE
    return Content.PROGRAM if _is_windows_program(head) else _of_bytes(file, head, name)


def _of_bytes(file: Bytes, head: bytes, name: str) -> Content:
    if is_pickle(head):
        return Content.PICKLE
    if name.endswith(".json"):
        return Content.JSON
    if name.rpartition("/")[2] == "saved_model.pb" and head[:1] == b"\x08":
        return Content.TENSORFLOW
    if name.endswith(".safetensors") or is_safetensors(head, file.size):
        return Content.SAFETENSORS
    return _of_text(head)


def _of_text(head: bytes) -> Content:
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if text.startswith(b"<") and b"<net" in text:
        return Content.IR
    if text[:1] in {b"{", b"["} and _is_text(text):
        return Content.JSON
    if head[4:8] == b"TFL3":
        return Content.TFLITE
    if _GRAPH.match(head):
        return Content.TENSORFLOW
    if _PROGRAM.match(head):
        return Content.PADDLE
    return Content.ONNX if _is_onnx(head) else Content.OTHER


def _is_text(head: bytes) -> bool:
    """Tell text, cut anywhere: UTF-8 without the control characters that weights are full of."""
    try:
        words = head[:-3].decode() if len(head) > 8 else head.decode()
    except UnicodeDecodeError as wrong:
        return wrong.start > len(head) - 8
    return all(c.isprintable() or c in "\t\r\n" for c in words)


def _is_windows_program(head: bytes) -> bool:
    at = int.from_bytes(head[0x3C:0x40], "little")
    return head.startswith(b"MZ") and head[at : at + 4] == b"PE\0\0"


def _ends_as_zip(file: Bytes) -> bool:
    """Tell whether a reader of ZIPs would find one here, with whatever in front of it.

    The end's record must name a directory that lies before it, as readers demand: four bytes that
    happen to look like its mark are no ZIP.
    """
    length = min(file.size, TAIL_BYTES)
    tail = file.at(file.size - length, length)
    at = tail.rfind(_END_OF_ZIP)
    while at >= 0:
        if len(tail) - at >= _END_RECORD.size:
            *_, size, offset, _comment = _END_RECORD.unpack_from(tail, at)
            before = file.size - length + at
            if size + offset <= before or tail[max(at - 20, 0) : at].startswith(_ZIP64_LOCATOR):
                return True
        at = tail.rfind(_END_OF_ZIP, 0, at)
    return False


def is_pickle(head: bytes) -> bool:
    """Tell a pickle: its opcodes lead, without any other byte, to one that names something to import."""
    names: list[object] = []
    try:
        for opcode, argument, _ in pickletools.genops(head):
            if opcode.name in {"GLOBAL", "INST"} and _names(str(argument).split(" ")):
                return True
            if opcode.name == "STACK_GLOBAL" and _names(names[-2:]):
                return True
            if "UNICODE" in opcode.name or "STRING" in opcode.name:
                names.append(argument)
    except (ValueError, IndexError, OverflowError, UnicodeDecodeError):
        return False
    return False


def _names(words: Sequence[object]) -> bool:
    """Tell a module and something in it."""
    return len(words) == 2 and all(re.fullmatch(r"[\w.]{1,200}", str(word)) for word in words)


def is_safetensors(head: bytes, size: int) -> bool:
    """Tell a safetensors file: the length of a header that fits, then the header, a JSON object of text."""
    length = int.from_bytes(head[:8], "little")
    if not (2 <= length <= min(size - 8, _LONGEST_HEADER) and head[8:9] == b"{"):
        return False
    return _is_text(head[8 : 8 + length])


def _is_onnx(head: bytes) -> bool:
    """Tell an ONNX ModelProto: field 1 is ir_version, a small varint; others follow in its range."""
    return len(head) > 2 and head[0] == 0x08 and head[1] < 0x80 and head[2] & 7 in {0, 2}
