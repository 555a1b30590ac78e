"""Collects what a child left behind: regular files with decent names, nothing else, nothing too big."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from ovfarm.failures import FailureClass, FailureCode
from ovfarm.results import FileEntry, Manifest
from ovfarm.shapes import FileName
from storage.blobs import Blobs, digest_file
from workers.protocol import StepFailed, failed

MOST_FILES = 1000
_DEEPEST = 32
_NAME: TypeAdapter[str] = TypeAdapter(FileName)


def collect(folder: Path, bound_bytes: int) -> dict[str, Path]:
    """Return the files by name; raises StepFailed for links, devices, odd names and too many bytes.

    The child is dead by now, so what is checked here stays as it is.
    """
    found: dict[str, Path] = {}
    total = 0
    for path in _walk(folder):
        if len(found) >= MOST_FILES:
            raise _bad(f"has more than {MOST_FILES} files")
        info = path.lstat()
        name = path.relative_to(folder).as_posix()
        if not stat.S_ISREG(info.st_mode) or info.st_nlink != 1:
            raise _bad(f"{name!r} is not a regular file of its own")
        try:
            _NAME.validate_python(name)
        except ValidationError:
            raise _bad(f"{name!r} is not a file name that can be kept") from None
        total += info.st_size
        found[name] = path
    if total > bound_bytes:
        raise _bad(f"{total} bytes are more than the {bound_bytes} that a step may leave")
    return found


def _walk(folder: Path, depth: int = 0) -> Iterator[Path]:
    if depth > _DEEPEST:
        raise _bad(f"has folders more than {_DEEPEST} deep")
    for entry in sorted(_entries(folder), key=lambda entry: entry.name):
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(Path(entry.path), depth + 1)
        else:
            yield Path(entry.path)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        return list(os.scandir(folder))
    except PermissionError:
        raise _bad("has a folder that cannot be looked into") from None


def describe(files: dict[str, Path]) -> Manifest | None:
    """Return the manifest of some files, or None when there are none."""
    entries: dict[str, FileEntry] = {}
    for name, path in files.items():
        digest, size = digest_file(path)
        entries[name] = FileEntry(digest=digest, size=size)
    return Manifest(files=entries) if entries else None


def upload(files: dict[str, Path], manifest: Manifest, blobs: Blobs) -> None:
    """Store the files of a manifest; raises Unavailable."""
    for name, path in files.items():
        blobs.put(path, manifest.files[name].digest)


def _bad(message: str) -> StepFailed:
    return failed(FailureClass.CRASH, FailureCode.BAD_OUTPUT, f"the step's output {message}")
