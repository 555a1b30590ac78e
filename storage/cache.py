"""Work is done once: reuse what this team has done, follow what it does now, or lead."""

from enum import Enum, auto
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from ovfarm.results import StepResult
from ovfarm.states import StepEvent
from storage.claims import Claim
from storage.columns import db_now
from storage.ledger import lock_share, true_up
from storage.outcomes import finish, follow, record_end
from storage.rows import insert_once
from storage.tables import Inflight, Remembered, Step


class Way(Enum):
    """What a claimed step is to do about work with its key."""

    LEAD = auto()  # nobody has done it or does it: run
    REUSED = auto()  # done before: the step has succeeded already
    FOLLOWED = auto()  # an equal step runs: this one waits for it


def reuse_or_lead(session: Session, claim: Claim, step_key: str, *, reuse: bool) -> Way:
    """Decide it in one transaction; ``reuse`` is false for a refresh. Raises LeaseLost."""
    lock_share(session, claim.id, claim.team_id)
    known = _known(session, claim.team_id, step_key) if reuse else None
    if known is not None:
        true_up(session, claim)
        record_end(session, claim, StepEvent.SUCCEED, "cached")
        finish(session, claim, step_key, known.result, known.artifact_id, cached=True)
        return Way.REUSED
    if insert_once(session, Inflight, team_id=claim.team_id, step_key=step_key, claim_id=claim.id):
        return Way.LEAD
    follow(session, claim, step_key)
    return Way.FOLLOWED


def _known(session: Session, team: UUID, step_key: str) -> Remembered | None:
    """Return finished work, locked, so that it is not collected while this step takes it."""
    found = select(Remembered).where(Remembered.team_id == team, Remembered.step_key == step_key)
    return session.execute(found.with_for_update()).scalar_one_or_none()


def remember(session: Session, claim: Claim, step_key: str, result: StepResult) -> None:
    """Keep a result that this transaction has just committed, instead of any older one."""
    session.execute(
        delete(Remembered).where(Remembered.team_id == claim.team_id, Remembered.step_key == step_key)
    )
    insert_once(
        session,
        Remembered,
        team_id=claim.team_id,
        step_key=step_key,
        artifact_id=_artifact(session, claim.step_id),
        result=result,
        created_at=db_now(),
    )


def _artifact(session: Session, step_id: UUID) -> UUID | None:
    return session.execute(select(Step.artifact_id).where(Step.id == step_id)).scalar_one()
