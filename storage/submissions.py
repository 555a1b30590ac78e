"""Submits that may be sent twice: a client's name for a submit leads to the same job again."""

from uuid import UUID

from sqlalchemy import func, insert, select
from sqlalchemy.orm import Session

from ovfarm.errors import InvalidInput, QuotaExceeded
from ovfarm.jobs import JobSpec
from ovfarm.keys import document_digest
from ovfarm.states import StepState
from storage.columns import db_now
from storage.tables import Step, Submission, Team

_RETRY_AFTER_S = 30


def lock_team(session: Session, team: UUID) -> Team:
    """Serialise the submits of a team, so that names and quotas hold exactly. The first lock of all."""
    locked = select(Team).where(Team.id == team).with_for_update(key_share=True)
    return session.execute(locked).scalar_one()


def submitted(session: Session, team: UUID, key: str, spec: JobSpec) -> UUID | None:
    """Return the job that this submit has made before; raises InvalidInput when it asked for another."""
    known = session.get(Submission, (team, key))
    if known is None:
        return None
    if known.body_digest != document_digest(spec):
        raise InvalidInput(
            "this Idempotency-Key was used with another body",
            pointer="/idempotency-key",
            code="idempotency_key_reused",
            hint="a key names one submit: make a new one for each job",
        )
    return known.job_id


def note_submission(session: Session, team: UUID, key: str, spec: JobSpec, job_id: UUID) -> None:
    """Remember which job this submit has made."""
    session.execute(
        insert(Submission).values(
            team_id=team, key=key, body_digest=document_digest(spec), job_id=job_id, created_at=db_now()
        )
    )


def check_quota(session: Session, team: Team, more: int) -> None:
    """Raise QuotaExceeded when ``more`` waiting steps would be too many for this team."""
    if team.max_queued is None:
        return
    waiting = session.execute(
        select(func.count())
        .select_from(Step)
        .where(Step.team_id == team.id, Step.state.in_({StepState.QUEUED, StepState.BLOCKED}))
    ).scalar_one()
    if waiting + more > team.max_queued:
        raise QuotaExceeded(
            f"{waiting} steps of team {team.name!r} wait already and this job has {more}; "
            f"it may have {team.max_queued}",
            retry_after_s=_RETRY_AFTER_S,
            hint="try again when some have run, or ask an operator for more",
        )
