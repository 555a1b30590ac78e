"""The books: device-seconds corrected from the estimate to the truth, and ends that look like poison."""

from uuid import UUID

from sqlalchemy import select, type_coerce, update
from sqlalchemy.orm import Session

from ovfarm.failures import FailureClass
from ovfarm.hardware import Device
from storage.claims import Claim
from storage.columns import UtcDateTime, db_now
from storage.tables import Attempt, Node, Share, Team

POISON_AFTER = 3


def true_up(session: Session, claim: Claim) -> None:
    """Correct the team's virtual time from the estimate to the device-seconds that were used.

    It takes the lock of the share's row, so it comes before the job's and the step's.
    """
    correct(session, claim.id, claim.team_id)


def lock_share(session: Session, claim_id: UUID, team_id: UUID) -> tuple[Device, float]:
    """Lock the books that ``correct`` will change; returns their device class and the team's weight."""
    device, weight = session.execute(
        select(Share.device, Team.weight)
        .join(Team, Team.id == Share.team_id)
        .join(Attempt, Attempt.claim_id == claim_id)
        .join(Node, (Node.id == Attempt.node_id) & (Node.device == Share.device))
        .where(Share.team_id == team_id)
        .with_for_update(of=Share)
    ).one()
    return device, weight


def correct(session: Session, claim_id: UUID, team_id: UUID) -> None:
    """The same by ids, for an attempt whose node is gone. The attempt ends at the instant that is charged.

    The lock comes first: what is waited for it counts as well.
    """
    device, weight = lock_share(session, claim_id, team_id)
    started_at, finished_at, charged_s = session.execute(
        update(Attempt)
        .where(Attempt.claim_id == claim_id)
        .values(finished_at=db_now())
        .returning(Attempt.started_at, type_coerce(Attempt.finished_at, UtcDateTime()), Attempt.charged_s)
        .execution_options(synchronize_session=False)
    ).one()
    used_s = max((finished_at - started_at).total_seconds(), 0.0)
    session.execute(
        update(Share)
        .where(Share.team_id == team_id, Share.device == device)
        .values(
            virtual_time=Share.virtual_time + (used_s - charged_s) / weight,
            used_s=Share.used_s + used_s - charged_s,
        )
    )


def crashes(session: Session, step_id: UUID, *, with_nodes: bool) -> int:
    """Return how many attempts of a step took their child down, or ``with_nodes`` their whole node."""
    ends = session.execute(
        select(Attempt.outcome, Attempt.failure).where(
            Attempt.step_id == step_id, Attempt.outcome.in_(("lost", "retried"))
        )
    )
    return sum(
        with_nodes if outcome == "lost" else failure.failure_class is FailureClass.CRASH
        for outcome, failure in ends
        if failure is not None
    )
