"""The log of a job: one row for each change, numbered without gaps, written with the change itself."""

from uuid import UUID

from sqlalchemy import insert, update
from sqlalchemy.orm import Session

from ovfarm.states import JobEvent, StepEvent, job_target, step_target
from storage.columns import db_now
from storage.tables import Event, Job


def touch(session: Session, job_id: UUID) -> None:
    """Note that something visible changed that is no event: progress. Takes the job's row lock."""
    session.execute(update(Job).where(Job.id == job_id).values(revision=Job.revision + 1))


def record(
    session: Session,
    job_id: UUID,
    event: StepEvent | JobEvent,
    *,
    step_id: UUID | None = None,
    claim_id: UUID | None = None,
    attempt: int | None = None,
    reason: str | None = None,
) -> None:
    """Append ``event`` to the job's log. Takes the job's row lock, which comes before its steps'."""
    seq = session.execute(
        update(Job)
        .where(Job.id == job_id)
        .values(revision=Job.revision + 1, events=Job.events + 1)
        .returning(Job.events)
    ).scalar_one()
    state = step_target(event) if isinstance(event, StepEvent) else job_target(event)
    session.execute(
        insert(Event).values(
            job_id=job_id,
            seq=seq,
            step_id=step_id,
            event=event.value,
            state=state.value,
            claim_id=claim_id,
            attempt=attempt,
            reason=reason,
            at=db_now(),
        )
    )
