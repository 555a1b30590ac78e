"""Engines and transactions: SQLite tamed, Postgres bounded, bells rung after the commit."""

import random
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, TypeVar

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import Connection, make_url
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

from ovfarm.errors import Unavailable

Bell = Callable[[str], None]
Clock = Callable[[], float]
T = TypeVar("T")
_RINGS = "rings"
# Deadlock and serialization failure: the other transaction went through, so the same call does next.
_CONTENDED = {"40001", "40P01"}
_TRIES = 5
_DICE = random.SystemRandom()
# A client that vanishes inside a transaction must not keep its locks; nothing here takes seconds.
_POSTGRES_OPTIONS = "-c statement_timeout=15000 -c idle_in_transaction_session_timeout=10000"


def silent(queue: str) -> None:
    """Ring nothing: the bell of processes that only read, and of most tests."""
    del queue


def ring_after_commit(session: Session, queue: str) -> None:
    """Ask for ``queue`` to be rung once this transaction is committed; a rollback forgets it."""
    session.info.setdefault(_RINGS, {})[queue] = None


class Database:
    """One engine, and the two ways to use it: ``write`` and ``read``.

    ``url`` is SQLAlchemy's; ``bell`` is called with each queue to ring, after the commit; ``clock``
    gives seconds since the epoch and is used on SQLite alone (Postgres has its own).
    """

    def __init__(self, url: str, *, bell: Bell = silent, clock: Clock = time.time) -> None:
        self.url = url
        self._bell = bell
        self.engine = _sqlite(url, clock) if url.startswith("sqlite") else _postgres(url)
        self._readers = self.engine.execution_options(sqlite_begin="DEFERRED")

    @contextmanager
    def write(self) -> Iterator[Session]:
        """Open a transaction that commits on leaving; raises Unavailable when the database is away."""
        with _answering(), Session(self.engine, expire_on_commit=False) as session, session.begin():
            yield session
        for queue in session.info.get(_RINGS, ()):
            self.ring(queue)

    def ring(self, queue: str) -> None:
        """Ring for work that has long been there; for new work there is ``ring_after_commit``."""
        self._bell(queue)

    def run(self, work: Callable[[Session], T]) -> T:
        """Run ``work`` in a transaction, again when it lost against another one; raises Unavailable."""
        for attempt in range(1, _TRIES + 1):
            try:
                with self.write() as session:
                    return work(session)
            except Unavailable as lost:
                if lost.code != "contended" or attempt == _TRIES:
                    raise
                time.sleep(_DICE.uniform(0.005, 0.05) * attempt)
        raise AssertionError("the last try returns or raises")

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Open a transaction that never waits for writers; raises Unavailable likewise."""
        with _answering(), Session(self._readers, expire_on_commit=False) as session:
            yield session

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()


@contextmanager
def _answering() -> Iterator[None]:
    try:
        yield
    except OperationalError as away:
        if getattr(away.orig, "sqlstate", None) in _CONTENDED:
            raise Unavailable("another transaction was in the way", code="contended") from away
        raise Unavailable(f"the database does not answer: {away.orig}", code="database") from away
    except DBAPIError as broken:
        if broken.connection_invalidated:
            raise Unavailable(f"the database went away: {broken.orig}", code="database") from broken
        raise


def _postgres(url: str) -> Engine:
    keepalive = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3}
    return create_engine(
        url,
        pool_size=5,
        max_overflow=5,
        pool_timeout=5,
        pool_pre_ping=True,
        connect_args={"options": _POSTGRES_OPTIONS, "connect_timeout": 5, **keepalive},
    )


def _sqlite(url: str, clock: Clock) -> Engine:
    in_memory = make_url(url).database in {None, "", ":memory:"}
    # A file is opened per transaction: connections cost microseconds and never go stale. A database
    # in memory lives in its one connection, so it keeps SQLAlchemy's own pool.
    engine = create_engine(url) if in_memory else create_engine(url, poolclass=NullPool)

    @event.listens_for(engine, "connect")
    def tame(connection: sqlite3.Connection, _record: Any) -> None:
        # SQLAlchemy sends BEGIN itself (below); the driver's own implicit one comes too late.
        connection.isolation_level = None
        connection.create_function("ovfarm_now", 1, lambda offset: _instant(clock() + offset))
        for pragma in ("journal_mode=WAL", "busy_timeout=30000", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # A deferred transaction that turns to writing fails at once when another wrote meanwhile;
        # one that begins IMMEDIATE waits its turn.
        mode = connection.get_execution_options().get("sqlite_begin", "IMMEDIATE")
        connection.exec_driver_sql(f"BEGIN {mode}")

    return engine


def _instant(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
