"""Bytes by their sha256: written once, verified when they are read, on disk or on S3 (obstore)."""

import hashlib
import os
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, NotSupportedError
from obstore.store import LocalStore, ObjectStore, S3Store, from_url

from ovfarm.errors import Unavailable

_CHUNK = 4 << 20
_OWNER = "farm"
# Above it an upload goes in parts. S3 has no conditional creation of those; what is written twice is equal.
_MULTIPART = 64 << 20
_CLIENT = {"timeout": timedelta(seconds=60), "connect_timeout": timedelta(seconds=5)}
_RETRIES: Any = {"max_retries": 4, "retry_timeout": timedelta(seconds=20)}


class Blobs:
    """A content-addressed store at ``file:///…`` or ``s3://bucket/prefix``.

    ``s3`` holds endpoint, region and keys, as obstore names them.
    """

    def __init__(self, url: str, s3: Mapping[str, str] | None = None) -> None:
        self._store: ObjectStore
        if url.startswith("file://"):
            folder = Path(url.removeprefix("file://"))
            folder.mkdir(parents=True, exist_ok=True)
            self._store = LocalStore(folder)
        elif url.startswith("s3://"):
            self._store = _s3(url, dict(s3 or {}))
        else:
            self._store = from_url(url)

    def owner(self, farm: str) -> str:
        """Return which farm's store this is: ``farm``'s own, when nobody has asked before it."""
        try:
            obstore.put(self._store, _OWNER, farm.encode(), mode="create")
        except AlreadyExistsError:
            return bytes(obstore.get(self._store, _OWNER).bytes()).decode()
        except NotSupportedError:
            return farm
        except (BaseError, OSError) as away:
            raise _away(away) from away
        return farm

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
            if path.stat().st_size > _MULTIPART and not isinstance(self._store, LocalStore):
                self._put_in_parts(path, digest)
            else:
                obstore.put(self._store, _path(digest), path, mode="create", use_multipart=False)
        except AlreadyExistsError:
            return
        except NotSupportedError:
            # A server without If-None-Match: both writers of one digest write the same bytes.
            self._put_in_parts(path, digest)
        except (BaseError, OSError) as away:
            raise _away(away) from away

    def _put_in_parts(self, path: Path, digest: str) -> None:
        if self.size(digest) != path.stat().st_size:
            obstore.put(self._store, _path(digest), path, use_multipart=True, max_concurrency=4)

    def delete(self, digest: str) -> None:
        """Delete a blob, if it is there; raises Unavailable."""
        try:
            obstore.delete(self._store, _path(digest))
        except FileNotFoundError:
            return
        except (BaseError, OSError) as away:
            raise _away(away) from away

    def listing(self) -> Iterator[tuple[str, int, datetime]]:
        """Yield digest, size and time of writing of every blob; raises Unavailable."""
        try:
            for page in obstore.list(self._store, "blobs"):
                for found in page:
                    yield found["path"].rpartition("/")[2], found["size"], found["last_modified"]
        except (BaseError, OSError) as away:
            raise _away(away) from away

    def signed(self, digest: str, for_s: float) -> str | None:
        """Return a URL that hands out one blob for so long, or None where the store cannot sign."""
        if not isinstance(self._store, S3Store):
            return None
        return str(obstore.sign(self._store, "GET", _path(digest), timedelta(seconds=for_s)))

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


def _s3(url: str, settings: dict[str, str]) -> S3Store:
    bucket, _, prefix = url.removeprefix("s3://").partition("/")
    options: Any = {**settings, "virtual_hosted_style_request": False}
    client: Any = {**_CLIENT, "allow_http": settings.get("endpoint", "").startswith("http://")}
    return S3Store(
        bucket,
        prefix=prefix or None,
        config=options,
        client_options=client,
        retry_config=_RETRIES,
    )


def _path(digest: str) -> str:
    return f"blobs/{digest[:2]}/{digest}"


def _away(error: Exception) -> Unavailable:
    return Unavailable(f"the object store does not answer: {error}", code="store")


def digest_file(path: Path) -> tuple[str, int]:
    """Return the sha256 and the size of a file."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return digest, file.tell()
