"""What an operator orders at the machine of the farm itself: teams, keys, quarantine, garbage."""

from typing import Any

from pydantic import TypeAdapter, ValidationError
from sqlalchemy.orm import Session

from ovfarm import teams as orders
from ovfarm.errors import InvalidInput, Unavailable
from ovfarm.settings import Settings
from storage import access, quarantine, teams
from storage.blobs import Blobs
from storage.database import Database
from storage.garbage import collect
from storage.schema import at_head

_ORDER: TypeAdapter[orders.Order] = TypeAdapter(orders.Order)
_ANSWER: TypeAdapter[Any] = TypeAdapter(Any)


def operate(settings: Settings, order: str) -> str:
    """Obey one order, given and answered as JSON; raises OvfarmError."""
    try:
        asked = _ORDER.validate_json(order)
    except ValidationError as invalid:
        raise InvalidInput(f"that is no order: {invalid}", hint="give one with: ovfarm admin") from None
    if not at_head(settings.database):
        raise Unavailable("the database has an older schema", hint="run: ovfarm admin migrate")
    database = Database(settings.database)
    try:
        if isinstance(asked, orders.CollectGarbage):
            return collect(
                database, Blobs(settings.store, settings.s3), settings.home, asked
            ).model_dump_json()
        with database.write() as session:
            teams.default_team(session)
            return _ANSWER.dump_json(_obey(session, asked)).decode()
    finally:
        database.close()


def _obey(session: Session, asked: orders.Order) -> object:
    """Change what is to change, and return how things stand now."""
    match asked:
        case orders.AddTeam():
            teams.add_team(session, asked)
        case orders.SetTeam():
            teams.set_team(session, asked)
        case orders.AddKey():
            return access.issue_key(session, asked)
        case orders.RevokeKey():
            access.revoke_key(session, asked.prefix)
            return access.keys(session)
        case orders.ListKeys():
            return access.keys(session)
        case orders.LiftQuarantine():
            quarantine.lift(session, asked.fingerprint)
            return quarantine.quarantined(session)
        case orders.ListQuarantine():
            return quarantine.quarantined(session)
    return teams.teams(session)
