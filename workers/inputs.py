"""Lays the files of a step's inputs into folders of its own, by way of the node's cache of blobs."""

import os
import shutil
import threading
from collections.abc import Iterable
from pathlib import Path
from uuid import uuid4

from ovfarm.errors import Unavailable
from storage.blobs import Blobs, digest_file
from storage.inputs import Input

_TRIMMING = threading.Lock()


def lay_out(inputs: Iterable[Input], blobs: Blobs, cache: Path, into: Path) -> dict[str, Path]:
    """Return a folder for each role; raises Unavailable when the store has lost or spoilt a blob."""
    folders: dict[str, Path] = {}
    for given in inputs:
        folders[given.role] = folder = into / given.role
        for name, entry in given.manifest.files.items():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            _copy(cached(entry.digest, blobs, cache), target, entry.digest)
    return folders


def cached(digest: str, blobs: Blobs, cache: Path) -> Path:
    """Return the node's own copy of a blob, fetched when it has none."""
    path = cache / digest[:2] / digest
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{digest}.{uuid4().hex}")
        blobs.fetch(digest, part)
        part.rename(path)
    os.utime(path)
    return path


def _copy(source: Path, target: Path, digest: str) -> None:
    """Copy, so that a child can never reach the cache; what has rotten there is thrown away."""
    shutil.copyfile(source, target)
    if digest_file(target)[0] != digest:
        source.unlink(missing_ok=True)
        raise Unavailable(f"the node's copy of {digest} was damaged", code="store_corrupt")


def trim(cache: Path, bound_bytes: int) -> None:
    """Drop the copies that were used longest ago until the cache holds at most ``bound_bytes``."""
    with _TRIMMING:
        files = [(f.stat(), f) for f in cache.glob("??/*") if f.is_file()]
        total = sum(stat.st_size for stat, _ in files)
        for stat, file in sorted(files, key=lambda found: found[0].st_mtime):
            if total <= bound_bytes:
                return
            file.unlink(missing_ok=True)
            total -= stat.st_size
