"""Downloads one file of an artifact: resumed where it was cut, kept only when its sha256 is right."""

import hashlib
from pathlib import Path

import httpx

from ovfarm.client.transport import Transport, refusal
from ovfarm.errors import Unavailable
from ovfarm.jobs import ArtifactView
from ovfarm.results import FileEntry
from ovfarm.shapes import public_id

_TRIES = 5


def download(transport: Transport, artifact: ArtifactView, name: str, folder: Path) -> Path:
    """Write the file ``name`` below ``folder`` and return its path; raises Refused, Unavailable."""
    entry = artifact.manifest.files[name]
    target = folder / name
    if target.exists() and _digest(target) == entry.digest:
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.part")
    path = f"/v1/artifacts/{public_id('art', artifact.id)}/files/{name}"
    for _ in range(_TRIES):
        if _fetch(transport, path, part, entry):
            part.replace(target)
            return target
    raise Unavailable(f"{name} did not arrive whole in {_TRIES} tries", code="unreachable")


def _fetch(transport: Transport, path: str, part: Path, entry: FileEntry) -> bool:
    """Take what is missing; False when the connection broke or the bytes are not the right ones."""
    have = part.stat().st_size if part.exists() else 0
    headers = {"Range": f"bytes={have}-", "If-Range": f'"{entry.digest}"'} if 0 < have < entry.size else {}
    try:
        with transport.stream(path, headers) as response:
            if response.status_code >= 400:
                response.read()
                raise refusal(response)
            with part.open("ab" if response.status_code == 206 else "wb") as file:
                for chunk in response.iter_bytes():
                    file.write(chunk)
    except httpx.TransportError:
        return False
    if _digest(part) == entry.digest:
        return True
    part.unlink()
    return False


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
