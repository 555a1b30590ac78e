"""What routes take: a transaction that commits before the answer leaves, and who is calling."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from sqlalchemy.orm import Session

from api.sources.fetch import Fetcher
from ovfarm.errors import Forbidden, Unauthorized
from ovfarm.settings import Settings
from ovfarm.teams import Role
from storage.access import Caller, caller
from storage.blobs import Blobs
from storage.database import Database
from storage.teams import default_team, farm_id


@dataclass(frozen=True, slots=True)
class Door:
    """What the API works with; one for each application."""

    settings: Settings
    database: Database
    blobs: Blobs
    team: UUID
    fetcher: Fetcher


def open_door(settings: Settings, database: Database) -> Door:
    """Return the door of an embedded farm, where everyone on loopback is the default team."""
    with database.write() as session:
        team, farm = default_team(session), farm_id(session)
    blobs = Blobs(settings.store, settings.s3)
    blobs.owner(farm.hex)
    return Door(settings, database, blobs, team, Fetcher(settings.source_hosts))


def _door(request: Request) -> Door:
    door: Door = request.app.state.door
    return door


At = Annotated[Door, Depends(_door)]


def _writing(door: At) -> Iterator[Session]:
    with door.database.write() as session:
        yield session


def _reading(door: At) -> Iterator[Session]:
    with door.database.read() as session:
        yield session


_bearer = HTTPBearer(auto_error=False, description="a team's key: ovf_…")


def _caller(
    door: At, given: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)] = None
) -> Caller:
    """Tell who asks: a key's team, or, on an embedded farm without one, the default team's operator."""
    if given is not None:
        with door.database.read() as session:
            return caller(session, given.credentials)
    if door.settings.require_keys:
        raise Unauthorized(
            "this farm wants a key",
            hint="send Authorization: Bearer ovf_…; with the CLI: --key or OVFARM_KEY",
        )
    return Caller(team=door.team, role=Role.OPERATOR)


Calling = Annotated[Caller, Depends(_caller)]


def _team(calling: Calling) -> UUID:
    return calling.team


def _operator(calling: Calling) -> Caller:
    if calling.role is not Role.OPERATOR:
        raise Forbidden("this takes an operator's key", hint="a member's key works with its team's jobs")
    return calling


# FastAPI would run the exit code after the response has left; with this scope a commit that fails is
# an error that the caller sees.
Writing = Annotated[Session, Depends(_writing, scope="function")]
Reading = Annotated[Session, Depends(_reading, scope="function")]
Team = Annotated[UUID, Depends(_team)]
Operator = Annotated[Caller, Depends(_operator)]
