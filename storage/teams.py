"""Teams: the tenants that share the pool."""

from uuid import UUID

from sqlalchemy.orm import Session

from storage.columns import db_now
from storage.rows import insert_once
from storage.tables import Team

DEFAULT_TEAM = UUID(int=1)


def default_team(session: Session) -> UUID:
    """Return the team that owns everything on an embedded farm; it is made when it is missing."""
    if session.get(Team, DEFAULT_TEAM) is None:
        insert_once(session, Team, id=DEFAULT_TEAM, name="default", weight=1.0, created_at=db_now())
    return DEFAULT_TEAM
