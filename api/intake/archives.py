"""Unpacks an archive that a stranger has made: regular files with decent names, counted as they come out.

The standard library's ``extractall`` is not used: it has followed links out of its folder before
(CVE-2025-4517).
"""

import bz2
import gzip
import io
import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO

from pydantic import TypeAdapter, ValidationError

from ovfarm.errors import InvalidInput
from ovfarm.shapes import FileName

MAX_ENTRIES = 10_000
_RATIO, _RATIO_ABOVE = 200, 100 << 20
_CHUNK = 1 << 20
# A header is some kilobytes with the longest of names; one that says more is a trap.
_HEADER = 1 << 20
_OPENERS: dict[bytes, Callable[[BinaryIO], io.BufferedIOBase]] = {
    b"\x1f\x8b": lambda packed: gzip.GzipFile(fileobj=packed),
    b"BZ": bz2.BZ2File,
    b"\xfd7": lzma.LZMAFile,
}
_NAME: TypeAdapter[str] = TypeAdapter(FileName)
_BROKEN = (
    tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, ValueError,
    NotImplementedError, RuntimeError, OverflowError, UnicodeDecodeError,
)  # fmt: skip


def unpacked(archive: Path, into: Path, bound: int) -> dict[str, Path]:
    """Write the files of a ZIP or TAR below ``into`` and return them by name; raises InvalidInput.

    ``bound`` is the most bytes that may come out.
    """
    count = _Count(bound, archive.stat().st_size)
    files: dict[str, Path] = {}
    lower: set[str] = set()
    try:
        with archive.open("rb") as packed:
            entries = _zip(packed) if zipfile.is_zipfile(packed) else _tar(packed)
            for name, content in entries:
                if name.lower() in lower:
                    raise _bad(f"has two files {name!r}")
                lower.add(name.lower())
                if len(lower) > MAX_ENTRIES:
                    raise _bad(f"has more than {MAX_ENTRIES} files")
                files[name] = into / f"{len(files)}"
                _copy(content, files[name], count)
    except _BROKEN as broken:
        raise _bad(f"is damaged or no archive: {str(broken)[:200]}") from broken
    if not files:
        raise _bad("holds no files")
    return files


@dataclass(slots=True)
class _Count:
    """The bytes that have come out, against what may."""

    bound: int
    packed: int
    unpacked: int = 0

    def add(self, size: int) -> None:
        self.unpacked += size
        if self.unpacked > self.bound:
            raise _bad(f"unpacks to more than {self.bound} bytes")
        if self.unpacked > _RATIO_ABOVE and self.unpacked > _RATIO * max(self.packed, 1):
            raise _bad(f"unpacks {self.packed} bytes to more than {self.unpacked}")


def _copy(content: IO[bytes], target: Path, count: _Count) -> None:
    with target.open("wb") as file:
        while chunk := content.read(_CHUNK):
            count.add(len(chunk))
            file.write(chunk)


def _zip(packed: BinaryIO) -> Iterator[tuple[str, IO[bytes]]]:
    with zipfile.ZipFile(packed) as archive:
        for entry in archive.infolist():
            if entry.is_dir():
                continue
            kind = stat.S_IFMT(entry.external_attr >> 16)
            if kind not in {0, stat.S_IFREG} or entry.flag_bits & 1:
                raise _bad(f"has {entry.filename[:80]!r}, which is a link, a device or encrypted")
            with archive.open(entry) as content:
                yield _decent(entry.filename), content


def _tar(packed: BinaryIO) -> Iterator[tuple[str, IO[bytes]]]:
    packed.seek(0)
    magic = packed.read(2)
    packed.seek(0)
    opener = _OPENERS.get(magic)
    metered = _Metered(opener(packed) if opener else packed)
    with tarfile.open(fileobj=metered, mode="r|") as archive:  # type: ignore[call-overload] # it only reads
        while (member := metered.header(archive.next)) is not None:
            if member.isdir():
                continue
            content = archive.extractfile(member) if member.isreg() and not member.issparse() else None
            if content is None:
                raise _bad(f"has {member.name[:80]!r}, which is no regular file")
            yield _decent(member.name), content


@dataclass(slots=True)
class _Metered:
    """A stream that lets a header be only so long: a compressed one could fill the memory."""

    stream: io.BufferedIOBase | BinaryIO
    # The first header is read when the archive is opened.
    left: int | None = _HEADER

    def read(self, size: int = -1) -> bytes:
        found = self.stream.read(size)
        if self.left is not None:
            self.left -= len(found)
            if self.left < 0:
                raise _bad("has a header of more than a mebibyte")
        return found

    def header(self, following: Callable[[], tarfile.TarInfo | None]) -> tarfile.TarInfo | None:
        self.left = _HEADER
        try:
            return following()
        finally:
            self.left = None


def _decent(name: str) -> str:
    try:
        return _NAME.validate_python(name.removeprefix("./"))
    except ValidationError:
        raise _bad(f"has a file {name[:80]!r}, whose name cannot be kept") from None


def _bad(words: str) -> InvalidInput:
    return InvalidInput(
        f"the archive {words}",
        pointer="/archive",
        code="archive_refused",
        hint="pack the model's own files with zip or tar, or upload them one by one",
    )
