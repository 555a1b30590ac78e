"""Work that killed whatever ran it is refused until an operator lets it in again."""

from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from ovfarm.errors import Conflict, NotFound
from ovfarm.jobs import JobSpec
from ovfarm.keys import fingerprint
from ovfarm.shapes import public_id
from ovfarm.teams import QuarantineView
from storage.columns import db_now
from storage.rows import insert_once
from storage.tables import Job, Quarantined, Team


def refuse_quarantined(session: Session, team: UUID, spec: JobSpec) -> None:
    """Raise Conflict when this team's same work was found to be poison."""
    known = session.get(Quarantined, (team, fingerprint(spec)))
    if known is not None:
        raise Conflict(
            f"the same work was poison in {public_id('job', known.job_id)}: {known.reason}",
            code="quarantined",
            hint=f"change model, data or recipe, or ask an operator for: "
            f"ovfarm admin quarantine lift {known.fingerprint[:12]}",
        )


def quarantine(session: Session, job_id: UUID, reason: str) -> None:
    """Refuse the work of this job from now on."""
    team_id, spec = session.execute(select(Job.team_id, Job.spec).where(Job.id == job_id)).one()
    insert_once(
        session,
        Quarantined,
        team_id=team_id,
        fingerprint=fingerprint(spec),
        job_id=job_id,
        reason=reason,
        created_at=db_now(),
    )


def quarantined(session: Session) -> tuple[QuarantineView, ...]:
    """Return all that is refused, oldest first."""
    rows = session.execute(
        select(Quarantined, Team.name)
        .join(Team, Team.id == Quarantined.team_id)
        .order_by(Quarantined.created_at)
    )
    return tuple(
        QuarantineView(
            team=team,
            fingerprint=row.fingerprint,
            job=row.job_id,
            reason=row.reason,
            created_at=row.created_at,
        )
        for row, team in rows
    )


def lift(session: Session, start: str) -> None:
    """Let work in again whose fingerprint starts so; raises NotFound."""
    lifted = session.execute(
        delete(Quarantined).where(Quarantined.fingerprint.startswith(start)).returning(Quarantined.team_id)
    )
    if lifted.first() is None:
        raise NotFound(
            f"nothing in quarantine starts with {start}", hint="list it: ovfarm admin quarantine ls"
        )
