"""Rings on the file system, read with care: one that is still being written waits, a spoilt one is set aside.

kombu takes a message out of the folder without the lock under which it is written, and the consumer dies of
what it then reads: nothing, or half a message.
"""

import fcntl
from pathlib import Path
from queue import Empty
from time import monotonic

import structlog
from kombu.transport import filesystem
from pydantic import BaseModel, ConfigDict, JsonValue, TypeAdapter, ValidationError

log = structlog.get_logger()
TRANSPORT = "workers.rings:Transport"
# A writer makes the file, locks it and writes: one that is empty for longer has lost its writer.
_WRITTEN_WITHIN_S = 2.0


class _Properties(BaseModel):
    model_config = ConfigDict(extra="ignore")

    delivery_tag: str
    delivery_info: dict[str, JsonValue]


class _Ring(BaseModel):
    """What kombu cannot do without when it reads a message."""

    model_config = ConfigDict(extra="ignore")

    properties: _Properties


_MESSAGE: TypeAdapter[dict[str, JsonValue]] = TypeAdapter(dict[str, JsonValue])


class Channel(filesystem.Channel):  # type: ignore[misc] # kombu has no types
    """Takes each ring once and whole, whoever else reads and writes in the folder."""

    def _get(self, queue: str) -> dict[str, JsonValue]:
        """Return the next ring of a queue; raises Empty when there is none that can be read."""
        for path in sorted(Path(self.data_folder_in).iterdir()):
            if path.name.partition(".")[2] != f"{queue}.msg":
                continue
            content = _taken(path, self._empty)
            ring = _read(content, path) if content is not None else None
            if ring is not None:
                return ring
        raise Empty

    @property
    def _empty(self) -> dict[Path, float]:
        """When each empty file was first seen, in monotonic seconds."""
        seen: dict[Path, float] = self.__dict__.setdefault("_seen_empty", {})
        return seen


class Transport(filesystem.Transport):  # type: ignore[misc] # kombu has no types
    """The file system broker with this channel."""

    Channel = Channel


def _taken(path: Path, empty: dict[Path, float]) -> bytes | None:
    """Return what a file holds and take it away; None when another has it, or it is not written yet."""
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            content = file.read()
            if content == b"" and monotonic() < empty.setdefault(path, monotonic()) + _WRITTEN_WITHIN_S:
                return None
            path.unlink()
    except BlockingIOError:
        return None
    except OSError:
        content = None
    empty.pop(path, None)
    return content


def _read(content: bytes, path: Path) -> dict[str, JsonValue] | None:
    """Return a ring, or None for what is none: a line in the log, and the node's timer asks anyway."""
    try:
        _Ring.model_validate_json(content)
        return _MESSAGE.validate_json(content)
    except ValidationError as spoilt:
        why = spoilt.errors(include_url=False, include_input=False)[0]["msg"]
        log.warning("ring.unreadable", file=path.name, why=why)
        return None
