"""Files on their way to the farm: asked for in one go, sent over a few connections, and counted."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from uuid import uuid4

from ovfarm.catalog import MAX_DIGESTS, Digests
from ovfarm.client.transport import Transport

_CHUNK = 1 << 20
_CONNECTIONS = 4


@dataclass(frozen=True, slots=True)
class Sent:
    """How far an upload is: what has been sent, and what is to be."""

    files: int
    of_files: int
    size_bytes: int
    of_bytes: int


Progress = Callable[[Sent], None]


def upload(transport: Transport, files: Mapping[str, Path], progress: Progress) -> dict[str, str]:
    """Send the files that the farm has not, and return the sha256 of each by name.

    ``progress`` is told of every chunk, by several threads in turn. Raises as ``Transport``.
    """
    digests = {name: _digest(path) for name, path in files.items()}
    paths = {digest: files[name] for name, digest in digests.items()}
    missing = {digest: paths[digest] for digest in _missing(transport, list(paths))}
    count = _Count(missing, progress)
    with ThreadPoolExecutor(_CONNECTIONS, thread_name_prefix="upload") as pool:
        sending = [pool.submit(_send, transport, digest, path, count) for digest, path in missing.items()]
        try:
            done, _ = wait(sending, return_when=FIRST_EXCEPTION)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
    for one in done:
        one.result()
    return digests


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _missing(transport: Transport, digests: list[str]) -> Iterator[str]:
    """Yield the digests that the farm has not."""
    for at in range(0, len(digests), MAX_DIGESTS):
        asked = Digests(digests=tuple(digests[at : at + MAX_DIGESTS]))
        # To ask again changes nothing, so it may be repeated like a GET.
        headers = {"Idempotency-Key": uuid4().hex}
        answer = transport.send("POST", "/v1/blobs/missing", json=asked.model_dump(), headers=headers)
        yield from Digests.model_validate_json(answer.content).digests


def _send(transport: Transport, digest: str, path: Path, count: "_Count") -> None:
    headers = {"Content-Length": str(path.stat().st_size)}
    transport.send("PUT", f"/v1/blobs/{digest}", content=_Body(path, count), headers=headers)
    count.add(files=1)


class _Count:
    """What several threads have sent."""

    def __init__(self, missing: Mapping[str, Path], progress: Progress) -> None:
        self._progress = progress
        self._lock = Lock()
        self._sent = Sent(0, len(missing), 0, sum(path.stat().st_size for path in missing.values()))

    def add(self, *, files: int = 0, size_bytes: int = 0) -> None:
        with self._lock:
            was = self._sent
            self._sent = Sent(was.files + files, was.of_files, was.size_bytes + size_bytes, was.of_bytes)
            self._progress(self._sent)


class _Body:
    """A file as a body that can be sent again: httpx reads it in chunks."""

    def __init__(self, path: Path, count: _Count) -> None:
        self._path = path
        self._count = count
        self._counted = 0

    def __iter__(self) -> Iterator[bytes]:
        self._count.add(size_bytes=-self._counted)
        self._counted = 0
        with self._path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                yield chunk
                self._counted += len(chunk)
                self._count.add(size_bytes=len(chunk))
