"""What is in a ZIP, read from its directory alone, in bounded bytes; nothing is unpacked."""

import struct
from dataclasses import dataclass

from api.intake.content import TAIL_BYTES, Bytes

# The directory of a large model has some thousand entries of a hundred bytes.
_MAX_DIRECTORY = 4 << 20
_END = struct.Struct("<4s4H2LH")
_LOCATOR = struct.Struct("<4sLQL")
_END_64 = struct.Struct("<4sQ2H2L4Q")
_ENTRY = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_STORED = 0


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of an archive: its name, whether it is packed, its size and where its header is."""

    name: str
    packed: bool
    size: int
    at: int


def entries(file: Bytes) -> tuple[Entry, ...]:
    """Return the entries of a ZIP in their order; none for what is damaged, or has too large a directory."""
    start, length = _directory(file)
    if not 0 < length <= _MAX_DIRECTORY or start + length > file.size:
        return ()
    data = file.at(start, length)
    found: list[Entry] = []
    place = 0
    while place + _ENTRY.size <= len(data):
        mark, *_, method, _, _, _, _, size, name, extra, comment, _, _, _, at = _ENTRY.unpack_from(
            data, place
        )
        if mark != b"PK\x01\x02":
            return ()
        place += _ENTRY.size
        words = data[place : place + name].decode("utf-8", "replace")
        found.append(Entry(words, method != _STORED, size, at))
        place += name + extra + comment
    return tuple(found)


def _directory(file: Bytes) -> tuple[int, int]:
    """Return where the directory begins and how long it is; zeros when there is none."""
    length = min(file.size, TAIL_BYTES)
    tail = file.at(file.size - length, length)
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) - at < _END.size:
        return 0, 0
    *_, size, start, _ = _END.unpack_from(tail, at)
    before = tail[max(at - _LOCATOR.size, 0) : at]
    if before.startswith(b"PK\x06\x07") and len(before) == _LOCATOR.size:
        _, _, place, _ = _LOCATOR.unpack(before)
        record = file.at(place, _END_64.size) if place < file.size else b""
        if len(record) == _END_64.size and record.startswith(b"PK\x06\x06"):
            *_, size, start = _END_64.unpack(record)
    return start, size


def stored(file: Bytes, entry: Entry, bound: int) -> bytes:
    """Return up to ``bound`` bytes of an entry that is not packed; nothing of one that is, or is damaged."""
    header = file.at(entry.at, _LOCAL.size) if entry.at < file.size else b""
    if entry.packed or len(header) < _LOCAL.size or not header.startswith(b"PK\x03\x04"):
        return b""
    *_, name, extra = _LOCAL.unpack(header)
    return file.at(entry.at + _LOCAL.size + name + extra, min(entry.size, bound))
