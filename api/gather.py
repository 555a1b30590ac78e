"""Brings a model's files in, from an archive or from elsewhere, as if they had been uploaded."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import UUID

from api.deps import Door
from api.intake.archives import unpacked
from api.keeping import incoming, keep
from api.sources import hub
from ovfarm.errors import InvalidInput
from storage.holdings import use
from storage.teams import name_of


def from_archive(door: Door, team: UUID, digest: str) -> dict[str, str]:
    """Return the digests of an uploaded archive's files by name; raises InvalidInput."""
    with door.database.write() as session:
        known = use(session, team, digest)
    if known is None:
        raise InvalidInput(
            f"the blob {digest} has not been uploaded",
            pointer="/archive",
            code="blob_missing",
            hint=f"PUT /v1/blobs/{digest} first",
        )
    with TemporaryDirectory(dir=incoming(door), suffix=".part") as name:
        folder = Path(name)
        door.blobs.fetch(digest, folder / "archive")
        (folder / "files").mkdir()
        files = unpacked(folder / "archive", folder / "files", door.settings.max_blob_bytes)
        return _kept(door, team, files)


def from_source(door: Door, team: UUID, source: str) -> tuple[dict[str, str], str]:
    """Return the digests of a source's files by name, and the source as it was resolved.

    Raises InvalidInput for what is not fetched, Unavailable when it cannot be had now.
    """
    fetcher = door.fetcher
    bound = door.settings.max_blob_bytes
    with TemporaryDirectory(dir=incoming(door), suffix=".part") as name:
        folder = Path(name)
        if source.startswith("hf://"):
            asked = hub.repository(source)
            commit, found = hub.fetched(fetcher, asked, folder, bound, _token(door, team))
            resolved = f"hf://{asked.name}@{commit}" + (f"/{asked.folder}" if asked.folder else "")
        else:
            url = fetcher.allowed(source)
            file = url.path.rpartition("/")[2] or "model"
            found = {file: fetcher.download(source, folder / "file", bound)}
            resolved = source
        for one in found.values():
            keep(door, team, one.path, one.digest, one.size)
        return {file: one.digest for file, one in found.items()}, resolved


def _token(door: Door, team: UUID) -> str:
    """Return the team's own token for the hub; it goes to the hub and nowhere else."""
    with door.database.read() as session:
        secret = door.settings.hub_tokens.get(name_of(session, team))
    return secret.get_secret_value() if secret else ""


def _kept(door: Door, team: UUID, files: Mapping[str, Path]) -> dict[str, str]:
    digests = {}
    for name, path in files.items():
        with path.open("rb") as file:
            digests[name] = hashlib.file_digest(file, "sha256").hexdigest()
        keep(door, team, path, digests[name], path.stat().st_size)
    return digests
