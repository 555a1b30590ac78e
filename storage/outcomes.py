"""How an attempt ends: every write is guarded by its claim, its state and its lease.

A guard that finds no row raises LeaseLost, which rolls the whole transaction back: a zombie writes
nothing. Lock order: team share, job, step.
"""

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, delete, insert, select, update
from sqlalchemy.orm import Session

from ovfarm.errors import LeaseLost
from ovfarm.failures import Failure, FailureCode
from ovfarm.jobs import NodeState
from ovfarm.results import Manifest, Measurement, Progress, StepResult
from ovfarm.states import StepEvent, StepState, step_target
from storage.catalog import note_ports
from storage.claims import Claim
from storage.columns import db_now
from storage.events import record, touch
from storage.holdings import hold_all
from storage.jobs import settle
from storage.ledger import true_up
from storage.quarantine import quarantine
from storage.steps import cancel_below, unblock
from storage.tables import Artifact, Attempt, Inflight, Job, MeasurementRow, Node, NodeNeed, Step

Write = Callable[[Session], None]


@dataclass(frozen=True, slots=True)
class Product:
    """What a successful attempt made: its result, and the files if there are any."""

    result: StepResult
    manifest: Manifest | None
    canonical_digest: str


def renew(session: Session, claim: Claim, lease_s: float, progress: Progress | None) -> bool:
    """Push the lease forward and note the progress; returns whether the job is to be cancelled."""
    if progress is not None:
        touch(session, claim.job_id)
        session.execute(update(Attempt).where(Attempt.claim_id == claim.id).values(progress=progress))
    _guarded(session, claim, lease_until=db_now(lease_s))
    return cancel_requested(session, claim)


def cancel_requested(session: Session, claim: Claim) -> bool:
    """Tell whether the claim's job is to be cancelled."""
    return session.execute(select(Job.cancel_requested).where(Job.id == claim.job_id)).scalar_one()


def ended_by(session: Session, claim: Claim) -> bool:
    """Tell whether this very attempt has ended already: its commit went through, the answer did not."""
    outcome = session.execute(select(Attempt.outcome).where(Attempt.claim_id == claim.id)).scalar_one()
    return outcome is not None and outcome != "lost"


def succeed(session: Session, claim: Claim, step_key: str, product: Product) -> None:
    """Commit results, artifact and measurements, and queue what this unblocks; raises LeaseLost."""
    true_up(session, claim)
    record_end(session, claim, StepEvent.SUCCEED)
    artifact_id = _write_artifact(session, claim, product)
    finish(session, claim, step_key, product.result, artifact_id, cached=False)
    if measured := product.result.measurements:
        session.execute(insert(MeasurementRow), [_measurement_row(claim, one) for one in measured])


def _measurement_row(claim: Claim, measured: Measurement) -> dict[str, object]:
    return {
        "team_id": claim.team_id,
        "step_id": claim.step_id,
        "name": measured.name,
        "subject": measured.subject,
        "value": measured.value,
        "unit": measured.unit.value,
        "ci_low": measured.ci_low,
        "ci_high": measured.ci_high,
    }


def record_end(session: Session, claim: Claim, event: StepEvent, reason: str | None = None) -> None:
    """Append the end of this attempt to the job's log; this locks the job's row. Raises LeaseLost.

    A zombie is told here already; the guard that counts comes with the change itself.
    """
    if session.execute(select(Step.id).where(*_owned(claim))).first() is None:
        raise _lost(claim)
    record(
        session,
        claim.job_id,
        event,
        step_id=claim.step_id,
        claim_id=claim.id,
        attempt=claim.attempt,
        reason=reason,
    )


def finish(
    session: Session,
    claim: Claim,
    step_key: str,
    result: StepResult,
    artifact_id: UUID | None,
    *,
    cached: bool,
) -> None:
    """Make the step succeeded, count it down in what waits for it, and end the job if it was last."""
    _guarded(
        session,
        claim,
        state=step_target(StepEvent.SUCCEED),
        lease_until=None,
        finished_at=db_now(),
        step_key=step_key,
        result=result,
        artifact_id=artifact_id,
        cached=cached,
        failure=None,
    )
    _close_attempt(session, claim, "succeeded", None)
    if result.ports:
        note_ports(session, claim.step_id, result.ports)
    unblock(session, claim.step_id, claim.job_id)
    settle(session, claim.job_id)


def _write_artifact(session: Session, claim: Claim, product: Product) -> UUID | None:
    if product.manifest is None:
        return None
    hold_all(session, claim.team_id, product.manifest)
    artifact_id = uuid4()
    session.execute(
        insert(Artifact).values(
            id=artifact_id,
            team_id=claim.team_id,
            job_id=claim.job_id,
            step_name=claim.name,
            kind=claim.params.kind,
            canonical_digest=product.canonical_digest,
            manifest=product.manifest,
            created_at=db_now(),
        )
    )
    return artifact_id


def fail(session: Session, claim: Claim, failure: Failure) -> None:
    """End the step for good, and cancel what waited for it; raises LeaseLost."""
    true_up(session, claim)
    record_end(session, claim, StepEvent.FAIL, failure.message)
    _guarded(
        session,
        claim,
        state=step_target(StepEvent.FAIL),
        lease_until=None,
        finished_at=db_now(),
        failure=failure,
    )
    _close_attempt(session, claim, "failed", failure)
    cancel_below(session, claim.step_id, claim.name, claim.job_id)
    settle(session, claim.job_id)


def fail_as_poison(session: Session, claim: Claim, failure: Failure) -> None:
    """End a step that has killed its child on every try, and refuse the same work from now on."""
    poison = failure.model_copy(update={"code": FailureCode.POISON, "hint": None, "patches": ()})
    fail(session, claim, poison)
    quarantine(session, claim.job_id, failure.message)


def postpone(session: Session, claim: Claim, failure: Failure, delay_s: float) -> None:
    """Give the step back, to be queued again after ``delay_s`` seconds; raises LeaseLost.

    It goes to another node next, if there is one.
    """
    true_up(session, claim)
    record_end(session, claim, StepEvent.POSTPONE, failure.message)
    _guarded(
        session,
        claim,
        state=step_target(StepEvent.POSTPONE),
        claim_id=None,
        lease_until=None,
        ready_at=db_now(delay_s),
        avoid_node=_to_avoid(session, claim),
        failure=failure,
    )
    _close_attempt(session, claim, "retried", failure)


def _to_avoid(session: Session, claim: Claim) -> UUID | None:
    """Return the node of this attempt if another one could take the step, else None."""
    need_key, node_id = session.execute(
        select(Step.need_key, Step.node_id).where(Step.id == claim.step_id)
    ).one()
    others = select(Node.id).join(NodeNeed, NodeNeed.node_id == Node.id)
    others = others.where(NodeNeed.need_key == need_key, Node.id != node_id, Node.state == NodeState.ONLINE)
    return node_id if session.execute(others.limit(1)).first() else None


def give_back(session: Session, claim: Claim) -> None:
    """Give the step back untouched, for a node that leaves: the attempt is not charged."""
    true_up(session, claim)
    record_end(session, claim, StepEvent.POSTPONE, "the node leaves")
    _guarded(
        session,
        claim,
        state=step_target(StepEvent.POSTPONE),
        claim_id=None,
        lease_until=None,
        ready_at=db_now(),
        attempt=claim.attempt - 1,
    )
    _close_attempt(session, claim, "returned", None)


def follow(session: Session, claim: Claim, step_key: str) -> None:
    """Wait for the equal step that is in flight: the attempt is not charged."""
    true_up(session, claim)
    record_end(session, claim, StepEvent.POSTPONE, "an equal step runs already")
    _guarded(
        session,
        claim,
        state=step_target(StepEvent.POSTPONE),
        claim_id=None,
        lease_until=None,
        following=step_key,
        attempt=claim.attempt - 1,
    )
    _close_attempt(session, claim, "followed", None)


def cancelled(session: Session, claim: Claim, failure: Failure) -> None:
    """Note that a running step has stopped because its job is cancelled; raises LeaseLost."""
    true_up(session, claim)
    record_end(session, claim, StepEvent.CANCEL, failure.message)
    _guarded(
        session,
        claim,
        state=step_target(StepEvent.CANCEL),
        lease_until=None,
        finished_at=db_now(),
        failure=failure,
    )
    _close_attempt(session, claim, "cancelled", failure)
    settle(session, claim.job_id)


def _owned(claim: Claim) -> tuple[ColumnElement[bool], ...]:
    """Return what makes a step this claim's: the fence that stops every zombie."""
    return (
        Step.id == claim.step_id,
        Step.claim_id == claim.id,
        Step.state == StepState.RUNNING,
        Step.lease_until > db_now(),
    )


def _guarded(session: Session, claim: Claim, **values: object) -> None:
    """Change the step if this claim still owns it; raises LeaseLost."""
    owned = session.execute(update(Step).where(*_owned(claim)).values(**values).returning(Step.id))
    if owned.first() is None:
        raise _lost(claim)


def _lost(claim: Claim) -> LeaseLost:
    return LeaseLost(f"step {claim.name!r} is no longer this attempt's")


def _close_attempt(session: Session, claim: Claim, outcome: str, failure: Failure | None) -> None:
    session.execute(
        update(Attempt).where(Attempt.claim_id == claim.id).values(outcome=outcome, failure=failure)
    )
    session.execute(delete(Inflight).where(Inflight.claim_id == claim.id))
