"""Keeps bytes that have arrived for a team: touched first, then stored, then held."""

from pathlib import Path
from uuid import UUID

from api.deps import Door
from storage.holdings import held_size, hold, touch


def incoming(door: Door) -> Path:
    """Return the folder for what arrives; the collector removes what a cut arrival leaves as ``*.part``."""
    folder = door.settings.home / "incoming"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def keep(door: Door, team: UUID, part: Path, digest: str, size: int) -> bool:
    """Store a file whose digest is known and return whether it was new to the team; raises Unavailable.

    The collector spares what was touched of late.
    """
    with door.database.write() as session:
        touch(session, {digest: size})
    door.blobs.put(part, digest)
    with door.database.write() as session:
        known = held_size(session, team, digest) is not None
        hold(session, team, digest, size)
    return not known
