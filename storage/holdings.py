"""Which bytes a team may name (answered per team, so that no one learns what others have), and their age.

Whoever is about to use bytes touches them first: the collector spares what was touched of late.
"""

from collections.abc import Collection, Mapping
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from ovfarm.results import Manifest
from storage.columns import db_now
from storage.rows import insert_into, insert_once
from storage.tables import BlobRow, Holding


def hold(session: Session, team: UUID, digest: str, size: int) -> None:
    """Note that ``team`` has these bytes, which counts as a use of them."""
    touch(session, {digest: size})
    insert_once(session, Holding, team_id=team, digest=digest, size=size, created_at=db_now())


def hold_all(session: Session, team: UUID, manifest: Manifest) -> None:
    """Note that ``team`` has all files of ``manifest``, which counts as a use of them."""
    for digest, size in sorted(sizes(manifest).items()):
        hold(session, team, digest, size)


def sizes(manifest: Manifest) -> dict[str, int]:
    """Return the size of each blob of a manifest, by digest."""
    return {entry.digest: entry.size for entry in manifest.files.values()}


def touch(session: Session, blobs: Mapping[str, int]) -> None:
    """Note a use of these bytes (sizes by digest), always in the same order so that no two block."""
    insert = insert_into(session, BlobRow)
    for digest, size in sorted(blobs.items()):
        session.execute(
            insert.values(digest=digest, size=size, touched_at=db_now()).on_conflict_do_update(
                index_elements=[BlobRow.digest], set_={"touched_at": db_now()}
            )
        )


def use(session: Session, team: UUID, digest: str) -> int | None:
    """Touch bytes that a team has and return their number, or None when it does not have them.

    The touch takes the row's lock, so the collector has either gone by or will see it.
    """
    session.execute(update(BlobRow).where(BlobRow.digest == digest).values(touched_at=db_now()))
    found = select(Holding.size).where(Holding.team_id == team, Holding.digest == digest)
    return session.execute(found).scalar_one_or_none()


def held(session: Session, team: UUID, digests: Collection[str]) -> set[str]:
    """Return those of the digests whose bytes the team has."""
    asked = select(Holding.digest).where(Holding.team_id == team, Holding.digest.in_(digests))
    return set(session.execute(asked).scalars())


def held_size(session: Session, team: UUID, digest: str) -> int | None:
    """Return the number of bytes, or None when the team does not have them."""
    row = session.get(Holding, (team, digest))
    return row.size if row else None
