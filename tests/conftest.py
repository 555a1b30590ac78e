"""What all tests share: a fresh, migrated database on SQLite and on Postgres."""

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from storage.schema import migrate

POSTGRES = "OVFARM_TEST_POSTGRES"
# With the toolchain imported it takes about 400 MiB.
_COLLECTION_MIB = 1024


def pytest_collection_finish() -> None:
    """Refuse to run when tests were built from large things: every process of the run holds them all."""
    peak = re.search(r"^VmHWM:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    used = int(peak.group(1)) >> 10 if peak else 0
    if used > _COLLECTION_MIB:
        advice = f"at most {_COLLECTION_MIB} are allowed: make what is large in the test"
        raise pytest.UsageError(f"collecting the tests took {used} MiB; {advice}")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test that takes a database on SQLite, and on Postgres where the runner has one.

    Those marked ``scale`` run on Postgres alone, if there is one.
    """
    if "database_kind" in metafunc.fixturenames:
        kinds = ["sqlite", "postgres"] if os.environ.get(POSTGRES) else ["sqlite"]
        if metafunc.definition.get_closest_marker("scale"):
            kinds = kinds[-1:]
        metafunc.parametrize("database_kind", kinds, scope="function")


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a migrated SQLite file to copy."""
    path = tmp_path_factory.mktemp("template") / "farm.sqlite"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def postgres_template() -> Iterator[str]:
    """Return the name of a migrated Postgres database to copy; each worker has its own."""
    name = f"ovfarm_test_{os.getpid()}_{uuid4().hex[:8]}"
    _execute(f"CREATE DATABASE {name}")
    migrate(f"{os.environ[POSTGRES]}/{name}")
    yield name
    _execute(f"DROP DATABASE {name} WITH (FORCE)")


def _execute(statement: str) -> None:
    url = os.environ[POSTGRES].replace("+psycopg", "")
    with psycopg.connect(f"{url}/postgres", autocommit=True) as connection:
        connection.execute(statement.encode())


@pytest.fixture
def database_url(request: pytest.FixtureRequest, database_kind: str, tmp_path: Path) -> Iterator[str]:
    """Return the URL of a database of this test's own, migrated."""
    if database_kind == "sqlite":
        path = tmp_path / "farm.sqlite"
        shutil.copy(request.getfixturevalue("sqlite_template"), path)
        yield f"sqlite:///{path}"
        return
    name = f"ovfarm_test_{os.getpid()}_{uuid4().hex[:8]}"
    _execute(f"CREATE DATABASE {name} TEMPLATE {request.getfixturevalue('postgres_template')}")
    yield f"{os.environ[POSTGRES]}/{name}"
    _execute(f"DROP DATABASE {name} WITH (FORCE)")
