"""Frames on a socket: four bytes of length, then JSON; and the orders and notices they carry."""

import socket
import struct
from typing import Annotated, Literal, TypeVar

from pydantic import Field, TypeAdapter, ValidationError

from ovfarm.errors import OvfarmError
from ovfarm.shapes import READ_BACK, Document
from workers.protocol import Frame, Request

T = TypeVar("T")
MAX_FRAME = 1 << 20
_LENGTH = struct.Struct("!I")


class BadFrame(OvfarmError):
    """What came over the socket is not a frame: too long, not JSON, or of no known shape."""

    code = "bad_frame"


class Run(Document):
    """Parent to zygote: fork a child for this request."""

    order: Literal["run"] = "run"
    id: str
    request: Request


class Kill(Document):
    """Parent to zygote: end this child and everything that it started."""

    order: Literal["kill"] = "kill"
    id: str


class Alive(Document):
    """Parent to zygote: I am here, so your children may go on."""

    order: Literal["alive"] = "alive"


class Ready(Document):
    """Zygote to parent: everything is imported."""

    notice: Literal["ready"] = "ready"


class Said(Document):
    """Zygote to parent: the child says this; ``last`` when the child is gone and this is its end."""

    notice: Literal["said"] = "said"
    id: str
    last: bool
    frame: Frame


Order = Annotated[Run | Kill | Alive, Field(discriminator="order")]
Notice = Annotated[Ready | Said, Field(discriminator="notice")]
ORDER: TypeAdapter[Run | Kill | Alive] = TypeAdapter(Order)
NOTICE: TypeAdapter[Ready | Said] = TypeAdapter(Notice)


def packed(document: Document) -> bytes:
    """Return a document as one frame; raises BadFrame when it is too long."""
    body = document.model_dump_json().encode()
    if len(body) > MAX_FRAME:
        raise BadFrame(f"a frame of {len(body)} bytes; at most {MAX_FRAME} are allowed")
    return _LENGTH.pack(len(body)) + body


def send(channel: socket.socket, document: Document) -> None:
    """Send one frame; raises OSError when the other side is gone."""
    channel.sendall(packed(document))


def parsed(adapter: TypeAdapter[T], body: bytes) -> T:
    """Return what a frame means; raises BadFrame. Bytes that are not UTF-8 are replaced."""
    try:
        return adapter.validate_json(body.decode(errors="replace"), context=READ_BACK)
    except ValidationError as invalid:
        problem = invalid.errors(include_url=False, include_input=False)[0]["msg"]
        raise BadFrame(f"not a frame: {problem}") from None


class Inbox:
    """Cuts the bytes that arrive into frames, however they arrive."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes and return the bodies of the frames that they complete; raises BadFrame."""
        self._bytes += data
        bodies: list[bytes] = []
        while len(self._bytes) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._bytes)
            if length > MAX_FRAME:
                raise BadFrame(f"a frame of {length} bytes; at most {MAX_FRAME} are allowed")
            end = _LENGTH.size + length
            if len(self._bytes) < end:
                break
            bodies.append(bytes(self._bytes[_LENGTH.size : end]))
            del self._bytes[:end]
        return bodies
