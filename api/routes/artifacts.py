"""Artifacts: what they are made of, and their files, whole or in ranges."""

import re
from typing import Annotated

from fastapi import APIRouter, Header
from fastapi.responses import Response, StreamingResponse

from api import problems
from api.deps import At, Reading, Team
from ovfarm.errors import Conflict, InvalidInput, NotFound
from ovfarm.jobs import ArtifactView
from ovfarm.shapes import ArtifactId, Document
from storage import queries

router = APIRouter(prefix="/artifacts", tags=["artifacts"])
_LINK_S = 600
_RANGE = re.compile(r"^bytes=(\d{0,18})-(\d{0,18})$")


@router.get("/{artifact_id}", name="get", responses=problems.document(404))
def get(artifact_id: ArtifactId, session: Reading, team: Team) -> ArtifactView:
    """Show an artifact: its files with digests and sizes."""
    return queries.artifact(session, team, artifact_id)


class Links(Document):
    """URLs at the store itself, by file name; check what comes from them against the manifest's digests."""

    expires_in_s: int
    files: dict[str, str]


@router.get("/{artifact_id}/links", name="links", responses=problems.document(404, 409))
def links(artifact_id: ArtifactId, session: Reading, team: Team, door: At) -> Links:
    """Hand out URLs that let anyone who has them download straight from an S3 store for ten minutes."""
    manifest = queries.artifact(session, team, artifact_id).manifest
    signed = {name: door.blobs.signed(file.digest, _LINK_S) for name, file in manifest.files.items()}
    files = {name: url for name, url in signed.items() if url is not None}
    if not files:
        raise Conflict(
            "this farm keeps its files where no URLs can be signed",
            code="store_cannot_sign",
            hint="download through the farm: GET /v1/artifacts/{id}/files/{name}",
        )
    return Links(expires_in_s=_LINK_S, files=files)


@router.get(
    "/{artifact_id}/files/{name:path}",
    name="file",
    response_class=Response,
    responses={
        200: {"content": {"application/octet-stream": {}}},
        206: {"description": "the range that was asked for"},
        **problems.document(404, 416),
    },
)
def file(
    artifact_id: ArtifactId,
    name: str,
    session: Reading,
    team: Team,
    door: At,
    byte_range: Annotated[str | None, Header(alias="range")] = None,
    if_range: Annotated[str | None, Header()] = None,
) -> Response:
    """Download one file of an artifact; its ETag is its sha256, and ranges resume a download."""
    manifest = queries.artifact(session, team, artifact_id).manifest
    entry = manifest.files.get(name)
    if entry is None:
        raise NotFound(
            f"the artifact has no file {name!r}", hint=f"it has: {', '.join(sorted(manifest.files))}"
        )
    tag = f'"{entry.digest}"'
    wanted = byte_range if if_range in {None, tag} else None
    start, length = _span(wanted, entry.size)
    headers = {
        "ETag": tag,
        "Accept-Ranges": "bytes",
        "Content-Length": str(length),
        "Content-Disposition": f'attachment; filename="{name.rpartition("/")[2]}"',
    }
    if wanted:
        headers["Content-Range"] = f"bytes {start}-{start + length - 1}/{entry.size}"
    return StreamingResponse(
        door.blobs.stream(entry.digest, start, length),
        status_code=206 if wanted else 200,
        headers=headers,
        media_type="application/octet-stream",
    )


def _span(wanted: str | None, size: int) -> tuple[int, int]:
    """Return start and length of a single range (RFC 9110 §14); raises InvalidInput."""
    if wanted is None:
        return 0, size
    match = _RANGE.match(wanted)
    first, last = match.groups() if match else ("", "")
    if first:
        start, end = int(first), min(int(last or size), size - 1)
    elif last:
        start, end = max(size - int(last), 0), size - 1
    else:
        start, end = 1, 0
    if start > end or start >= size:
        raise InvalidInput(
            f"{wanted!r} is no range of a file of {size} bytes",
            pointer="/range",
            code="range_not_satisfiable",
        )
    return start, end - start + 1
