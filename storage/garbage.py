"""The collector: what nothing needs any more goes, and what may be in use stays.

Everybody touches a blob before using it (``storage.holdings``) and the collector looks again, under
the row's lock, before it deletes: what was touched within the grace period stays, whoever looks.
"""

import shutil
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from uuid import UUID

from sqlalchemy import ColumnElement, delete, select, update
from sqlalchemy.orm import Session

from ovfarm.errors import Conflict
from ovfarm.states import JOB_ENDED
from ovfarm.teams import Collected, CollectGarbage
from storage.blobs import Blobs
from storage.columns import db_now
from storage.database import Database
from storage.holdings import sizes, touch
from storage.rows import insert_once
from storage.tables import Artifact, BlobRow, Dataset, Holding, Job, Model, Remembered, Step
from storage.teams import farm_id


def collect(database: Database, blobs: Blobs, home: Path, asked: CollectGarbage) -> Collected:
    """Let old results go, then delete blobs that nothing names; a dry run counts what would go.

    Raises Conflict when the store is another farm's: all its bytes would be strays here.
    """
    _check_owner(database, blobs)
    results = _let_results_go(database, asked) if asked.older_than_s is not None else 0
    freed = count = 0
    for digest, size in _unused(database, asked):
        if not asked.apply or _delete(database, blobs, digest, asked.grace_s):
            count, freed = count + 1, freed + size
    with database.read() as session:
        now = session.execute(select(db_now())).scalar_one()
    strays = sum(1 for _ in _strays(database, blobs, asked, now))
    uploads = sum(1 for _ in _uploads(home, asked, now))
    return Collected(
        applied=asked.apply, results=results, blobs=count, strays=strays, uploads=uploads, freed_bytes=freed
    )


def _check_owner(database: Database, blobs: Blobs) -> None:
    with database.write() as session:
        farm = farm_id(session).hex
    owner = blobs.owner(farm)
    if owner != farm:
        raise Conflict(
            f"this store belongs to farm {owner[:8]}, this database is farm {farm[:8]}",
            code="other_store",
            hint="set OVFARM_STORE_URL (and OVFARM_DATABASE_URL) to those of one farm",
        )


def _let_results_go(database: Database, asked: CollectGarbage) -> int:
    with database.read() as session:
        old = list(session.execute(select(Artifact.id).where(_old(asked.older_than_s or 0.0))).scalars())
    if not asked.apply:
        return len(old)
    gone = 0
    for artifact_id in old:
        with database.write() as session:
            gone += _let_go(session, artifact_id, asked.older_than_s or 0.0)
    return gone


def _old(older_than_s: float) -> ColumnElement[bool]:
    """Return the condition on an artifact that no job uses which has not ended long ago."""
    kept = (
        select(Step.id)
        .join(Job, Job.id == Step.job_id)
        .where(
            Step.artifact_id == Artifact.id,
            Job.state.not_in(JOB_ENDED) | (Job.finished_at >= db_now(-older_than_s)),
        )
    )
    return ~kept.exists() & (Artifact.created_at < db_now(-older_than_s))


def _let_go(session: Session, artifact_id: UUID, older_than_s: float) -> bool:
    """Forget a result under the lock that a cache hit takes too; its bytes live for the grace period."""
    remembered = select(Remembered.step_key).where(Remembered.artifact_id == artifact_id)
    session.execute(remembered.with_for_update()).all()
    row = session.execute(
        select(Artifact).where(Artifact.id == artifact_id, _old(older_than_s))
    ).scalar_one_or_none()
    if row is None:
        return False
    touch(session, sizes(row.manifest))
    session.execute(delete(Remembered).where(Remembered.artifact_id == artifact_id))
    session.execute(update(Step).where(Step.artifact_id == artifact_id).values(artifact_id=None))
    session.execute(delete(Artifact).where(Artifact.id == artifact_id))
    return True


def named(session: Session, *, kept: ColumnElement[bool] | None = None) -> set[str]:
    """Return the digests that models, datasets and results (all, or those that are ``kept``) name."""
    results = select(Artifact.manifest) if kept is None else select(Artifact.manifest).where(kept)
    return {
        entry.digest
        for manifests in (select(Model.manifest), select(Dataset.manifest), results)
        for manifest in session.execute(manifests).scalars()
        for entry in manifest.files.values()
    }


def _unused(database: Database, asked: CollectGarbage) -> list[tuple[str, int]]:
    """Return what was old before the marking began and is named by nothing.

    A dry run looks as if the old results had gone: they count as used just then, so only a collection
    without grace takes their bytes at once.
    """
    kept = None
    if not asked.apply and asked.older_than_s is not None and not asked.grace_s:
        kept = ~_old(asked.older_than_s)
    with database.read() as session:
        old = session.execute(
            select(BlobRow.digest, BlobRow.size).where(BlobRow.touched_at < db_now(-asked.grace_s))
        ).all()
        used = named(session, kept=kept)
    return [(digest, size) for digest, size in old if digest not in used]


def _delete(database: Database, blobs: Blobs, digest: str, grace_s: float) -> bool:
    """Delete one blob, unless somebody has touched it meanwhile."""
    with database.write() as session:
        still_old = (
            select(BlobRow.digest)
            .where(BlobRow.digest == digest, BlobRow.touched_at < db_now(-grace_s))
            .with_for_update()
        )
        if session.execute(still_old).first() is None:
            return False
        blobs.delete(digest)
        session.execute(delete(Holding).where(Holding.digest == digest))
        session.execute(delete(BlobRow).where(BlobRow.digest == digest))
    return True


def _strays(database: Database, blobs: Blobs, asked: CollectGarbage, now: datetime) -> Iterator[str]:
    """Delete objects that no row knows: an upload died after a collection, or a database was restored."""
    for digest, size, modified in blobs.listing():
        if (now - modified).total_seconds() < asked.grace_s:
            continue
        with database.read() as session:
            if session.get(BlobRow, digest) is not None:
                continue
        if asked.apply:
            # A row of its own, so that whoever wants these bytes just now is seen under its lock.
            with database.write() as session:
                insert_once(session, BlobRow, digest=digest, size=size, touched_at=modified)
            if not _delete(database, blobs, digest, asked.grace_s):
                continue
        yield digest


def _uploads(home: Path, asked: CollectGarbage, now: datetime) -> Iterator[Path]:
    """Delete what uploads that were cut have left in the API's folder."""
    for part in (home / "incoming").glob("*.part"):
        if now.timestamp() - part.stat().st_mtime >= asked.grace_s:
            if asked.apply:
                shutil.rmtree(part) if part.is_dir() else part.unlink(missing_ok=True)
            yield part
