"""Bytes by their sha256: ask whether they are there, or send them; received in constant memory."""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path as FilePath
from typing import Annotated
from uuid import uuid4

from fastapi import APIRouter, Path, Request, Response

from api import problems
from api.deps import At, Reading, Team
from api.keeping import incoming, keep
from ovfarm.catalog import Digests
from ovfarm.errors import InvalidInput, NotFound
from ovfarm.shapes import Document
from storage.holdings import held, held_size

router = APIRouter(tags=["blobs"])
_NEXT_BYTES_WITHIN_S = 60.0
Sha256 = Annotated[str, Path(pattern=r"^[0-9a-f]{64}$", description="the sha256 of the bytes, in hex")]


class BlobView(Document):
    """Bytes that the farm has."""

    digest: str
    size: int


@router.head("/blobs/{digest}", name="head", responses=problems.document(404))
def head(digest: Sha256, session: Reading, team: Team) -> Response:
    """Tell whether this team has these bytes already; the answer never depends on other teams."""
    size = held_size(session, team, digest)
    if size is None:
        raise NotFound(f"there is no blob {digest}", hint="send it: PUT /v1/blobs/{sha256}")
    return Response(headers={"X-Blob-Size": str(size)})


@router.post("/blobs/missing", name="missing")
def missing(asked: Digests, session: Reading, team: Team) -> Digests:
    """Tell which of these bytes this team has not yet, in the order given; they are sent one by one."""
    known = held(session, team, asked.digests)
    return Digests(digests=tuple(digest for digest in asked.digests if digest not in known))


@router.put(
    "/blobs/{digest}",
    name="put",
    status_code=201,
    responses={200: {"model": BlobView, "description": "it was there"}, **problems.document(413)},
    openapi_extra={"requestBody": {"content": {"application/octet-stream": {"schema": {"type": "string"}}}}},
)
async def put(digest: Sha256, request: Request, response: Response, door: At, team: Team) -> BlobView:
    """Receive bytes and keep them if their sha256 is the one in the path."""
    part = incoming(door) / f"{uuid4().hex}.part"
    try:
        size = await _receive(request, part, digest, door.settings.max_blob_bytes)
        new = await asyncio.to_thread(keep, door, team, part, digest, size)
    finally:
        part.unlink(missing_ok=True)
    response.status_code = 201 if new else 200
    return BlobView(digest=digest, size=size)


async def _receive(request: Request, part: FilePath, digest: str, bound: int) -> int:
    found = hashlib.sha256()
    size = 0
    with part.open("wb") as file:
        chunks = aiter(request.stream())
        while (chunk := await _next(chunks)) is not None:
            size += len(chunk)
            if size > bound:
                raise InvalidInput(f"a blob has at most {bound} bytes", code="too_large", pointer="/digest")
            found.update(chunk)
            file.write(chunk)
        file.flush()
        await asyncio.to_thread(os.fsync, file.fileno())
    if found.hexdigest() != digest:
        raise InvalidInput(
            f"the bytes have the sha256 {found.hexdigest()}, not the one in the path",
            pointer="/digest",
            code="digest_mismatch",
            hint="the file changed while it was sent, or arrived incomplete: send it again",
        )
    return size


async def _next(chunks: AsyncIterator[bytes]) -> bytes | None:
    """Return the next bytes, or None at the end; raises InvalidInput when none come for long."""
    try:
        async with asyncio.timeout(_NEXT_BYTES_WITHIN_S):
            return await anext(chunks, None)
    except TimeoutError:
        words = f"no bytes came for {_NEXT_BYTES_WITHIN_S:g} s"
        raise InvalidInput(words, code="too_slow", pointer="/digest", hint="send it again") from None
