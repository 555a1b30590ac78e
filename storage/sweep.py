"""The sweep: what no one else will do. Any number of processes may run it; every change is guarded.

It queues delayed steps whose time has come, takes back expired leases, frees steps that follow
nothing, and rings again for steps that have waited for long.
"""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from ovfarm.errors import LeaseLost
from ovfarm.failures import Failure, FailureClass, FailureCode
from ovfarm.hints import HINTS
from ovfarm.states import StepEvent, StepState, step_target
from storage.columns import db_now
from storage.events import record
from storage.jobs import settle
from storage.ledger import correct
from storage.steps import cancel_below, release, ring_for
from storage.tables import Attempt, Inflight, Job, Step

BATCH = 100


@dataclass(frozen=True, slots=True)
class Overdue:
    """A step that the sweep should look at."""

    step_id: UUID
    job_id: UUID


def due(session: Session) -> list[Overdue]:
    """Return blocked steps whose time has come, and followers whose leader has ended."""
    time_has_come = (Step.ready_at <= db_now()) & Step.following.is_(None)
    leader = (Inflight.team_id == Step.team_id) & (Inflight.step_key == Step.following)
    orphaned = Step.following.is_not(None) & ~select(Inflight.claim_id).where(leader).exists()
    rows = session.execute(
        select(Step.id, Step.job_id)
        .where(Step.state == StepState.BLOCKED, Step.waiting == 0, time_has_come | orphaned)
        .order_by(Step.seq)
        .limit(BATCH)
    )
    return [Overdue(step_id, job_id) for step_id, job_id in rows]


def release_due(session: Session, overdue: Overdue) -> bool:
    """Queue one of them; False when it has moved on meanwhile."""
    session.execute(select(Job.id).where(Job.id == overdue.job_id).with_for_update())
    return release(session, overdue.step_id, overdue.job_id)


def expired(session: Session) -> list[Overdue]:
    """Return running steps whose lease has run out, the oldest first."""
    rows = session.execute(
        select(Step.id, Step.job_id)
        .where(Step.state == StepState.RUNNING, Step.lease_until < db_now())
        .order_by(Step.lease_until)
        .limit(BATCH)
    )
    return [Overdue(step_id, job_id) for step_id, job_id in rows]


def take_back(session: Session, overdue: Overdue) -> None:
    """End one attempt whose node is silent; the step goes on, or ends when its attempts are used up.

    Raises LeaseLost when the attempt has ended otherwise meanwhile.
    """
    step = session.execute(select(Step).where(Step.id == overdue.step_id)).scalar_one()
    if step.claim_id is None:
        raise LeaseLost(f"step {step.name!r} runs no more")
    correct(session, step.claim_id, step.team_id)
    job = session.execute(select(Job).where(Job.id == overdue.job_id).with_for_update()).scalar_one()
    event = StepEvent.POSTPONE
    if job.cancel_requested:
        event = StepEvent.CANCEL
    elif step.attempt >= step.max_attempts:
        event = StepEvent.FAIL
    failure = Failure(
        failure_class=FailureClass.INFRA,
        code=FailureCode.NODE_LOST,
        message=f"the node stopped answering in attempt {step.attempt} of {step.max_attempts}",
        hint=HINTS[FailureCode.NODE_LOST],
    )
    _end(session, step, event, failure)
    record(
        session,
        step.job_id,
        event,
        step_id=step.id,
        claim_id=step.claim_id,
        attempt=step.attempt,
        reason=failure.message,
    )
    if event is StepEvent.POSTPONE:
        release(session, step.id, step.job_id)
    if event is StepEvent.FAIL:
        cancel_below(session, step.id, step.name, step.job_id)
    settle(session, step.job_id)


def _end(session: Session, step: Step, event: StepEvent, failure: Failure) -> None:
    over = event is not StepEvent.POSTPONE
    changed = session.execute(
        update(Step)
        .where(
            Step.id == step.id,
            Step.claim_id == step.claim_id,
            Step.state == StepState.RUNNING,
            Step.lease_until < db_now(),
        )
        .values(
            state=step_target(event),
            claim_id=step.claim_id if over else None,
            lease_until=None,
            finished_at=db_now() if over else None,
            failure=failure,
        )
        .returning(Step.id)
        .execution_options(synchronize_session=False)
    )
    if changed.first() is None:
        raise LeaseLost(f"step {step.name!r} has been renewed or has ended")
    session.execute(
        update(Attempt)
        .where(Attempt.claim_id == step.claim_id)
        .values(outcome="lost", failure=failure, finished_at=db_now())
    )
    session.execute(delete(Inflight).where(Inflight.claim_id == step.claim_id))


def ring_overdue(session: Session, waiting_s: float) -> None:
    """Ring again for needs with a step that has been queued for longer than ``waiting_s`` seconds."""
    overdue = select(Step.need_key).where(Step.state == StepState.QUEUED, Step.queued_at < db_now(-waiting_s))
    for need_key in session.execute(overdue.distinct()).scalars():
        ring_for(session, need_key)
