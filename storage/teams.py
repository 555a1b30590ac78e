"""Teams: the tenants that share the pool, their bounds, and what they have used."""

from uuid import UUID, uuid4

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from ovfarm.errors import Conflict, NotFound
from ovfarm.teams import AddTeam, SetTeam, TeamView
from storage.columns import db_now
from storage.rows import insert_once
from storage.tables import FarmRow, Share, Team

DEFAULT_TEAM = UUID(int=1)


def farm_id(session: Session) -> UUID:
    """Return which farm this database is; it is decided when it is first asked."""
    insert_once(session, FarmRow, key=1, id=uuid4())
    return session.execute(select(FarmRow.id)).scalar_one()


def default_team(session: Session) -> UUID:
    """Return the team that owns everything on an embedded farm; it is made when it is missing."""
    if session.get(Team, DEFAULT_TEAM) is None:
        insert_once(session, Team, id=DEFAULT_TEAM, name="default", weight=1.0, created_at=db_now())
    return DEFAULT_TEAM


def name_of(session: Session, team: UUID) -> str:
    """Return the name of a team."""
    return session.execute(select(Team.name).where(Team.id == team)).scalar_one()


def add_team(session: Session, asked: AddTeam) -> UUID:
    """Make a team and return its id; raises Conflict when the name is taken."""
    team_id = uuid4()
    added = insert_once(
        session,
        Team,
        id=team_id,
        name=asked.team,
        weight=asked.weight,
        max_running=asked.max_running,
        max_queued=asked.max_queued,
        budget_s=asked.budget_s,
        created_at=db_now(),
    )
    if not added:
        raise Conflict(f"there is a team {asked.team!r} already", hint="change it: ovfarm admin teams set")
    return team_id


def set_team(session: Session, asked: SetTeam) -> None:
    """Change a team's weight and bounds; -1 takes a bound away. Raises NotFound."""
    team_id = named(session, asked.team)
    if asked.weight is not None:
        session.execute(update(Team).where(Team.id == team_id).values(weight=asked.weight))
    for bound in ("max_running", "max_queued", "budget_s"):
        value = getattr(asked, bound)
        if value is not None:
            values = {bound: None if value < 0 else value}
            session.execute(update(Team).where(Team.id == team_id).values(**values))
    if asked.reset_used:
        session.execute(update(Share).where(Share.team_id == team_id).values(used_s=0.0))


def named(session: Session, name: str) -> UUID:
    """Return the id of a team; raises NotFound."""
    team_id = session.execute(select(Team.id).where(Team.name == name)).scalar_one_or_none()
    if team_id is None:
        raise NotFound(f"there is no team {name!r}", hint="list them: ovfarm admin teams ls")
    return team_id


def teams(session: Session) -> tuple[TeamView, ...]:
    """Return all teams by name, with the device-seconds that each has used."""
    used = func.coalesce(func.sum(Share.used_s), 0.0)
    rows = session.execute(
        select(Team, used).outerjoin(Share, Share.team_id == Team.id).group_by(Team.id).order_by(Team.name)
    )
    return tuple(
        TeamView(
            name=team.name,
            weight=team.weight,
            max_running=team.max_running,
            max_queued=team.max_queued,
            budget_s=team.budget_s,
            used_s=used_s,
            created_at=team.created_at,
        )
        for team, used_s in rows
    )
