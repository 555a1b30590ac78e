"""Bytes by their sha256: written once, verified when they are read, on disk or on S3 (obstore)."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import LocalStore, ObjectStore, from_url

from ovfarm.errors import Unavailable

_CHUNK = 4 << 20


class Blobs:
    """A content-addressed store at ``file:///…`` or ``s3://…``."""

    def __init__(self, url: str) -> None:
        self._store: ObjectStore
        if url.startswith("file://"):
            folder = Path(url.removeprefix("file://"))
            folder.mkdir(parents=True, exist_ok=True)
            self._store = LocalStore(folder)
        else:
            self._store = from_url(url)

    def size(self, digest: str) -> int | None:
        """Return the number of bytes, or None when there is no such blob."""
        try:
            return obstore.head(self._store, _path(digest))["size"]
        except FileNotFoundError:
            return None
        except BaseError as away:
            raise _away(away) from away

    def put(self, path: Path, digest: str) -> None:
        """Store a file whose digest the caller has checked; storing it again changes nothing."""
        try:
            obstore.put(self._store, _path(digest), path, mode="create", use_multipart=False)
        except AlreadyExistsError:
            return
        except (BaseError, OSError) as away:
            raise _away(away) from away

    def fetch(self, digest: str, into: Path) -> None:
        """Write a blob to a new file, verified; raises Unavailable (``store``, ``store_corrupt``)."""
        part = into.with_name(f"{into.name}.part")
        found = hashlib.sha256()
        with part.open("wb") as file:
            for chunk in self.stream(digest):
                found.update(chunk)
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
        if found.hexdigest() != digest:
            part.unlink()
            raise Unavailable(f"stored bytes are not {digest} any more", code="store_corrupt")
        part.rename(into)

    def stream(self, digest: str, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        """Yield the bytes from ``start``, ``length`` of them or all; raises Unavailable."""
        size = self.size(digest)
        if size is None:
            raise Unavailable(f"the store has no blob {digest}", code="store")
        end = size if length is None else min(start + length, size)
        try:
            for at in range(start, end, _CHUNK):
                upto = min(at + _CHUNK, end)
                yield bytes(obstore.get_range(self._store, _path(digest), start=at, end=upto))
        except (BaseError, OSError) as away:
            raise _away(away) from away


def _path(digest: str) -> str:
    return f"blobs/{digest[:2]}/{digest}"


def _away(error: Exception) -> Unavailable:
    return Unavailable(f"the object store does not answer: {error}", code="store")


def digest_file(path: Path) -> tuple[str, int]:
    """Return the sha256 and the size of a file."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return digest, file.tell()
