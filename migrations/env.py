"""Alembic's entry: one history for both databases, in batch mode because SQLite alters no tables."""

from typing import Any, Literal

from alembic import context

from storage.columns import Shape, UtcDateTime
from storage.database import Database
from storage.tables import Row


def render(kind: str, item: Any, _context: Any) -> str | Literal[False]:
    """Write our column types as what they are in the database, so that old revisions never import us."""
    if kind == "type" and isinstance(item, UtcDateTime):
        return "sa.DateTime(timezone=True)"
    if kind == "type" and isinstance(item, Shape):
        return 'sa.JSON().with_variant(postgresql.JSONB(), "postgresql")'
    return False


def run() -> None:
    """Run the migrations over one connection and commit them as one."""
    url = context.config.attributes["url"]
    database = Database(url)
    try:
        with database.engine.connect() as connection, connection.begin():
            context.configure(
                connection=connection,
                target_metadata=Row.metadata,
                render_as_batch=True,
                compare_type=True,
                render_item=render,
            )
            context.run_migrations()
    finally:
        database.close()


run()
