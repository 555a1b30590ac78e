"""The books of the fair share: what a claim estimated is corrected to what it took."""

from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from storage.claims import Claim
from storage.columns import db_now
from storage.tables import Attempt, Node, Share, Team


def true_up(session: Session, claim: Claim) -> None:
    """Correct the team's virtual time from the estimate to the device-seconds that were used.

    It takes the lock of the share's row, so it comes before the job's and the step's.
    """
    correct(session, claim.id, claim.team_id)


def correct(session: Session, claim_id: UUID, team_id: UUID) -> None:
    """The same by ids, for an attempt whose node is gone."""
    started_at, now, charged_s, device = session.execute(
        select(Attempt.started_at, db_now(), Attempt.charged_s, Node.device)
        .join(Node, Node.id == Attempt.node_id)
        .where(Attempt.claim_id == claim_id)
    ).one()
    used_s = max((now - started_at).total_seconds(), 0.0)
    weight = session.execute(select(Team.weight).where(Team.id == team_id)).scalar_one()
    session.execute(
        update(Share)
        .where(Share.team_id == team_id, Share.device == device)
        .values(virtual_time=Share.virtual_time + (used_s - charged_s) / weight)
    )
