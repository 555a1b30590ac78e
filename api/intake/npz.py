"""The directory of an ``.npz``, which must promise nothing unreasonable."""

import io
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

from api.intake.content import Bytes
from api.intake.refusal import refused

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

CODE = "dataset_format_refused"
_MAX_ENTRIES, _MAX_BYTES = 1000, 50 << 30
# Zeros compress a thousandfold, and small sets of labels are zeros; a bomb is large as well.
_MAX_RATIO, _RATIO_ABOVE = 200, 100 << 20
_HINT = "write one with numpy.savez(path, INPUT=array, labels=array)"
_STORED_OR_DEFLATED = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}


@dataclass
class _Reader(io.RawIOBase):
    """A file of the store as the standard library wants to read it."""

    file: Bytes
    place: int = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self.place, io.SEEK_END: self.file.size}[whence]
        self.place = max(start + offset, 0)
        return self.place

    def readinto(self, buffer: "WriteableBuffer") -> int:
        into = memoryview(buffer).cast("B")
        found = self.file.at(self.place, len(into))
        into[: len(found)] = found
        self.place += len(found)
        return len(found)


def check(name: str, file: Bytes) -> None:
    """Raise InvalidInput for what is no ``.npz``, or one that promises too much."""
    try:
        with zipfile.ZipFile(io.BufferedReader(_Reader(file))) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, UnicodeDecodeError, OSError):
        raise refused(name, "is damaged: it has no readable directory", _HINT, CODE) from None
    words = _wrong(entries)
    if words:
        raise refused(name, words, _HINT, CODE)


def _wrong(entries: list[zipfile.ZipInfo]) -> str:
    """Return what is wrong with an archive's directory, or nothing."""
    names = [entry.filename for entry in entries]
    unpacked = sum(entry.file_size for entry in entries)
    packed = sum(entry.compress_size for entry in entries)
    if not entries or any(not name.endswith(".npy") for name in names):
        return "is not an .npz of NumPy arrays"
    if len(names) > _MAX_ENTRIES or len(set(names)) != len(names):
        return f"has {len(names)} arrays, or two of one name"
    if any("/" in name or "\\" in name or "\0" in name or name.startswith(".") for name in names):
        return "has arrays in folders"
    if any(entry.flag_bits & 1 or entry.compress_type not in _STORED_OR_DEFLATED for entry in entries):
        return "is encrypted, or packed in a way that NumPy does not write"
    if unpacked > _MAX_BYTES or (unpacked > _RATIO_ABOVE and unpacked > _MAX_RATIO * max(packed, 1)):
        return f"would unpack {packed} bytes to {unpacked}"
    return ""
