"""The sweep: what no one else will do. Any number of processes may run it; every change is guarded.

It queues delayed steps whose time has come, takes back expired leases, frees steps that follow
nothing, and rings again for steps that have waited for long.
"""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import ColumnElement, delete, func, select, update
from sqlalchemy.orm import Session

from ovfarm.errors import LeaseLost
from ovfarm.failures import Failure, FailureClass, FailureCode
from ovfarm.states import StepEvent, StepState, step_target
from storage.columns import db_now
from storage.events import record
from storage.jobs import settle
from storage.ledger import POISON_AFTER, correct, crashes
from storage.quarantine import quarantine
from storage.steps import cancel_below, release
from storage.tables import Attempt, Inflight, Job, NeedRow, Step

BATCH = 100
_NODES_OF_AN_OUTAGE = 3


@dataclass(frozen=True, slots=True)
class Overdue:
    """A step that the sweep should look at."""

    step_id: UUID
    job_id: UUID


@dataclass(frozen=True, slots=True)
class _Lost:
    """An attempt whose node is silent, as the step's row has it."""

    id: UUID
    job_id: UUID
    team_id: UUID
    name: str
    claim_id: UUID
    attempt: int
    max_attempts: int


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


def outage(session: Session) -> bool:
    """Tell whether most of what runs looks dead at once, on several nodes: then it was not the steps.

    A database that was away, or a clock that jumped, ends leases by the dozen; nobody is charged.
    """
    late = Step.lease_until < db_now()
    running, dead, nodes = session.execute(
        select(
            func.count(), func.count().filter(late), func.count(Step.node_id.distinct()).filter(late)
        ).where(Step.state == StepState.RUNNING)
    ).one()
    return bool(nodes >= _NODES_OF_AN_OUTAGE and dead * 2 > running)


def take_back(session: Session, overdue: Overdue, *, charged: bool = True) -> None:
    """End one attempt whose node is silent; the step goes on, or ends when its attempts are used up.

    An attempt that is not ``charged`` does not count. Raises LeaseLost when it has ended otherwise
    meanwhile. What the step is to do is not read: it may be of a kind that only a newer release knows.
    """
    lost = _lost(session, overdue)
    correct(session, lost.claim_id, lost.team_id)
    cancel = session.execute(
        select(Job.cancel_requested).where(Job.id == overdue.job_id).with_for_update()
    ).scalar_one()
    event = StepEvent.POSTPONE
    if cancel:
        event = StepEvent.CANCEL
    elif charged and lost.attempt >= lost.max_attempts:
        event = StepEvent.FAIL
    failure = _failure(session, lost, event)
    _end(session, lost, event, failure, attempt=lost.attempt if charged else lost.attempt - 1)
    record(
        session,
        lost.job_id,
        event,
        step_id=lost.id,
        claim_id=lost.claim_id,
        attempt=lost.attempt,
        reason=failure.message,
    )
    if event is StepEvent.POSTPONE:
        release(session, lost.id, lost.job_id)
    if event is StepEvent.FAIL:
        cancel_below(session, lost.id, lost.name, lost.job_id)
    settle(session, lost.job_id)


def _lost(session: Session, overdue: Overdue) -> _Lost:
    row = session.execute(
        select(
            Step.id, Step.job_id, Step.team_id, Step.name, Step.claim_id, Step.attempt, Step.max_attempts
        ).where(Step.id == overdue.step_id)
    ).one()
    if row.claim_id is None:
        raise LeaseLost(f"step {row.name!r} runs no more")
    return _Lost(row.id, row.job_id, row.team_id, row.name, row.claim_id, row.attempt, row.max_attempts)


def _failure(session: Session, lost: _Lost, event: StepEvent) -> Failure:
    """Say what became of the attempt; a step that took a node down each time is poison."""
    message = f"the node stopped answering in attempt {lost.attempt} of {lost.max_attempts}"
    code = FailureCode.NODE_LOST
    if event is StepEvent.FAIL and crashes(session, lost.id, with_nodes=True) + 1 >= max(
        lost.max_attempts, POISON_AFTER
    ):
        code = FailureCode.POISON
        quarantine(session, lost.job_id, message)
    return Failure(failure_class=FailureClass.INFRA, code=code, message=message)


def _end(session: Session, lost: _Lost, event: StepEvent, failure: Failure, *, attempt: int) -> None:
    over = event is not StepEvent.POSTPONE
    changed = session.execute(
        update(Step)
        .where(
            Step.id == lost.id,
            Step.claim_id == lost.claim_id,
            Step.state == StepState.RUNNING,
            Step.lease_until < db_now(),
        )
        .values(
            state=step_target(event),
            claim_id=lost.claim_id if over else None,
            lease_until=None,
            attempt=attempt,
            finished_at=db_now() if over else None,
            failure=failure,
        )
        .returning(Step.id)
        .execution_options(synchronize_session=False)
    )
    if changed.first() is None:
        raise LeaseLost(f"step {lost.name!r} has been renewed or has ended")
    session.execute(
        update(Attempt).where(Attempt.claim_id == lost.claim_id).values(outcome="lost", failure=failure)
    )
    session.execute(delete(Inflight).where(Inflight.claim_id == lost.claim_id))


def kept_away(session: Session, waiting_s: float) -> bool:
    """Tell whether a step has been kept from a node for so long that it should return there."""
    return session.execute(select(Step.id).where(*_kept_away(waiting_s)).limit(1)).first() is not None


def let_come_back(session: Session, waiting_s: float) -> None:
    """Let steps that no other node has taken for so long return to the node that they failed on."""
    session.execute(update(Step).where(*_kept_away(waiting_s)).values(avoid_node=None))


def _kept_away(waiting_s: float) -> tuple[ColumnElement[bool], ...]:
    return (
        Step.state == StepState.QUEUED,
        Step.avoid_node.is_not(None),
        Step.queued_at < db_now(-waiting_s),
    )


def overdue_queues(session: Session, waiting_s: float) -> tuple[str, ...]:
    """Return the queues of needs with a step that has been queued for longer than ``waiting_s`` seconds."""
    overdue = select(Step.need_key).where(Step.state == StepState.QUEUED, Step.queued_at < db_now(-waiting_s))
    needs = session.execute(select(NeedRow).where(NeedRow.key.in_(overdue))).scalars()
    return tuple(row.need.queue for row in needs)
