"""What routes take: a transaction that commits before the answer leaves, and who is calling."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Request
from sqlalchemy.orm import Session

from ovfarm.settings import Settings
from storage.blobs import Blobs
from storage.database import Database
from storage.teams import default_team


@dataclass(frozen=True, slots=True)
class Door:
    """What the API works with; one for each application."""

    settings: Settings
    database: Database
    blobs: Blobs
    team: UUID


def open_door(settings: Settings, database: Database) -> Door:
    """Return the door of an embedded farm, where everyone on loopback is the default team."""
    with database.write() as session:
        team = default_team(session)
    return Door(settings, database, Blobs(settings.store), team)


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


def _team(door: At) -> UUID:
    return door.team


# FastAPI would run the exit code after the response has left; with this scope a commit that fails is
# an error that the caller sees.
Writing = Annotated[Session, Depends(_writing, scope="function")]
Reading = Annotated[Session, Depends(_reading, scope="function")]
Team = Annotated[UUID, Depends(_team)]
