import pytest
from alembic.util.exc import CommandError
from sqlalchemy import text

from ovfarm.errors import Unavailable
from storage import schema
from storage.database import Database
from storage.tables import Row


def test_the_migrated_schema_is_the_code_s(database_url: str) -> None:
    schema.check(database_url)
    assert schema.at_head(database_url)


def test_drift_is_seen(database_url: str) -> None:
    database = Database(database_url)
    with database.write() as session:
        session.execute(text("ALTER TABLE teams ADD COLUMN surplus INTEGER"))
    database.close()
    with pytest.raises(CommandError, match="New upgrade operations"):
        schema.check(database_url)


def test_down_and_up_again(database_url: str) -> None:
    schema.downgrade(database_url, "base")
    assert not schema.at_head(database_url)
    schema.migrate(database_url)
    schema.check(database_url)


def test_every_row_of_a_tenant_names_its_team() -> None:
    shared = {
        "teams", "needs", "device_clocks", "hosts", "nodes", "node_needs",
        "farm",
        "blobs", "step_edges", "attempts", "events",  # blobs through holdings, the others through step or job
    }  # fmt: skip
    for table in Row.metadata.tables.values():
        assert table.name in shared or "team_id" in table.columns, table.name


def test_an_absent_database_is_unavailable() -> None:
    with pytest.raises(Unavailable, match="does not answer"):
        schema.migrate("postgresql+psycopg://nobody@127.0.0.1:1/none")
