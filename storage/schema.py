"""The schema's version: bring a database to it, and tell whether it is there."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.exc import OperationalError

import migrations
from ovfarm.errors import Unavailable
from storage.database import Database


def _config(url: str) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    config.attributes["url"] = url
    return config


def migrate(url: str, revision: str = "head") -> None:
    """Bring the database at ``url`` to ``revision``; raises Unavailable when it does not answer."""
    try:
        command.upgrade(_config(url), revision)
    except OperationalError as away:
        raise Unavailable(f"the database does not answer: {away.orig}", code="database") from away


def downgrade(url: str, revision: str) -> None:
    """Take the database at ``url`` back to ``revision``."""
    command.downgrade(_config(url), revision)


def check(url: str) -> None:
    """Compare the database with the tables of this code; raises CommandError when they differ."""
    command.check(_config(url))


def at_head(url: str) -> bool:
    """Tell whether the database at ``url`` has the schema of this code."""
    database = Database(url)
    try:
        with database.read() as session:
            current = MigrationContext.configure(session.connection()).get_current_heads()
    finally:
        database.close()
    return set(current) == set(ScriptDirectory.from_config(_config(url)).get_heads())
