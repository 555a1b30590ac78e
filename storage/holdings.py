"""Which bytes a team may name: answered per team, so that no one learns what others have."""

from uuid import UUID

from sqlalchemy.orm import Session

from ovfarm.results import Manifest
from storage.columns import db_now
from storage.rows import insert_once
from storage.tables import Holding


def hold(session: Session, team: UUID, digest: str, size: int) -> None:
    """Note that ``team`` has these bytes; a second note changes nothing."""
    insert_once(session, Holding, team_id=team, digest=digest, size=size, created_at=db_now())


def hold_all(session: Session, team: UUID, manifest: Manifest) -> None:
    """Note that ``team`` has all files of ``manifest``."""
    for entry in manifest.files.values():
        hold(session, team, entry.digest, entry.size)


def held_size(session: Session, team: UUID, digest: str) -> int | None:
    """Return the number of bytes, or None when the team does not have them."""
    row = session.get(Holding, (team, digest))
    return row.size if row else None
