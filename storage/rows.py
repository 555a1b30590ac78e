"""Insert a row unless it is there: one statement that two writers can send at once."""

from typing import Any

from sqlalchemy import inspect
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from storage.tables import Row


def insert_into(session: Session, table: type[Row]) -> postgresql.Insert | sqlite.Insert:
    """Return the INSERT of this session's database, which knows ``ON CONFLICT``."""
    on_postgres = session.get_bind().dialect.name == "postgresql"
    return postgresql.insert(table) if on_postgres else sqlite.insert(table)


def insert_once(session: Session, table: type[Row], **values: Any) -> bool:
    """Insert ``values`` and tell whether a row was added; an equal key is left as it is."""
    added = session.execute(
        insert_into(session, table)
        .values(**values)
        .on_conflict_do_nothing()
        .returning(*inspect(table).primary_key)
    )
    return added.first() is not None
