"""How waiting steps move: released when what they waited for has come, cancelled when it cannot."""

from collections.abc import Iterable
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from ovfarm.failures import Failure, FailureClass, FailureCode
from ovfarm.states import StepEvent, StepState, step_sources, step_target
from storage.columns import db_now
from storage.database import ring_after_commit
from storage.events import record
from storage.tables import NeedRow, Step, StepEdge


def ring_for(session: Session, need_key: str) -> None:
    """Ask for the queue of a need to be rung after the commit."""
    need = session.get(NeedRow, need_key)
    if need:
        ring_after_commit(session, need.need.queue)


def release(session: Session, step_id: UUID, job_id: UUID) -> bool:
    """Queue a step that waits for nothing more; False when it has moved on meanwhile."""
    need_key = session.execute(
        update(Step)
        .where(
            Step.id == step_id,
            Step.state.in_(step_sources(StepEvent.RELEASE)),
            Step.waiting == 0,
        )
        .values(
            state=step_target(StepEvent.RELEASE),
            ready_at=None,
            following=None,
            queued_at=db_now(),
        )
        .returning(Step.need_key)
    ).scalar_one_or_none()
    if need_key is None:
        return False
    record(session, job_id, StepEvent.RELEASE, step_id=step_id)
    ring_for(session, need_key)
    return True


def unblock(session: Session, source_id: UUID, job_id: UUID) -> None:
    """Count a success down in the steps that waited for it, and queue those that wait no more."""
    dependents = select(StepEdge.step_id).where(StepEdge.source_id == source_id).distinct()
    ready = session.execute(
        update(Step)
        .where(Step.id.in_(dependents), Step.state == StepState.BLOCKED)
        .values(waiting=Step.waiting - 1)
        .returning(Step.id, Step.waiting)
    ).all()
    for step_id, waiting in ready:
        if waiting == 0:
            release(session, step_id, job_id)


def cancel_below(session: Session, failed_id: UUID, failed_name: str, job_id: UUID) -> None:
    """Cancel all steps that can no longer get what they wait for, with the reason."""
    frontier = {failed_id}
    while frontier:
        rows = session.execute(
            select(Step.id)
            .join(StepEdge, StepEdge.step_id == Step.id)
            .where(StepEdge.source_id.in_(frontier), Step.state == StepState.BLOCKED)
            .distinct()
        )
        frontier = set(rows.scalars())
        upstream = Failure(
            failure_class=FailureClass.USER,
            code=FailureCode.UPSTREAM,
            message=f"step {failed_name!r} did not succeed",
        )
        _cancel(session, frontier, job_id, upstream)


def cancel_waiting(session: Session, job_id: UUID, *, reason: str) -> None:
    """Cancel all steps of a job that do not run."""
    waiting = step_sources(StepEvent.CANCEL) - {StepState.RUNNING}
    rows = session.execute(
        select(Step.id).where(Step.job_id == job_id, Step.state.in_(waiting)).order_by(Step.ordinal)
    )
    asked = Failure(failure_class=FailureClass.USER, code=FailureCode.CANCELLED, message=reason)
    _cancel(session, list(rows.scalars()), job_id, asked)


def _cancel(session: Session, step_ids: Iterable[UUID], job_id: UUID, why: Failure) -> None:
    waiting = step_sources(StepEvent.CANCEL) - {StepState.RUNNING}
    for step_id in step_ids:
        changed = session.execute(
            update(Step)
            .where(Step.id == step_id, Step.state.in_(waiting))
            .values(
                state=step_target(StepEvent.CANCEL),
                failure=why,
                finished_at=db_now(),
                following=None,
                ready_at=None,
            )
            .returning(Step.id)
        )
        if changed.first():
            record(session, job_id, StepEvent.CANCEL, step_id=step_id, reason=why.message)
