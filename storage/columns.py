"""Column types: times with a zone, states by value, documents as JSON, and the database's own clock."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, TypeVar

from pydantic import TypeAdapter
from sqlalchemy import JSON, BigInteger, DateTime, Dialect, Enum, Float, Integer, bindparam
from sqlalchemy.dialects import sqlite
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator, TypeEngine

from ovfarm.shapes import READ_BACK

T = TypeVar("T")

BigIntegerKey = BigInteger().with_variant(Integer(), "sqlite")
_SQLITE_TIME = sqlite.DATETIME(  # type: ignore[no-untyped-call] # SQLAlchemy leaves it untyped
    storage_format=("%(year)04d-%(month)02d-%(day)02d %(hour)02d:%(minute)02d:%(second)02d.%(microsecond)06d")
)


class UtcDateTime(TypeDecorator[datetime]):
    """A time with a zone; SQLite, which knows none, keeps UTC as text that sorts like the time."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return the dialect's own type."""
        return dialect.type_descriptor(_SQLITE_TIME if dialect.name == "sqlite" else DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse a naive time, which means something else on every machine."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a zone")
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give the zone back."""
        del dialect
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Shape(TypeDecorator[T]):
    """A pydantic shape kept as JSON: what is read is validated, what is written is its JSON form."""

    impl = JSON
    cache_ok = True

    def __init__(self, shape: Any) -> None:
        super().__init__(none_as_null=True)
        self.shape = shape
        self._adapter: TypeAdapter[T] = TypeAdapter(shape)

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return JSONB on Postgres, JSON elsewhere; None is SQL's NULL on both."""
        kind = JSONB if dialect.name == "postgresql" else JSON
        return dialect.type_descriptor(kind(none_as_null=True))

    def process_bind_param(self, value: T | None, dialect: Dialect) -> Any:
        """Return the JSON form."""
        del dialect
        return None if value is None else self._adapter.dump_python(value, mode="json")

    def process_result_value(self, value: Any, dialect: Dialect) -> T | None:
        """Return the shape, validated as what was taken before."""
        del dialect
        return None if value is None else self._adapter.validate_python(value, context=READ_BACK)


def state_type(states: type[StrEnum]) -> Enum:
    """Return a column type that stores the value of each state, as text that a person can read."""
    return Enum(
        states,
        values_callable=lambda enum: [member.value for member in enum],
        native_enum=False,
        length=20,
        create_constraint=False,
    )


class db_now(FunctionElement[datetime]):  # noqa: N801 - it reads as the SQL function that it is
    """The database's clock, plus ``offset_s`` seconds: the only clock that leases are compared with.

    On SQLite it is ``ovfarm_now``, which every connection registers (``storage.database``), so that
    a simulation can own the time.
    """

    type = UtcDateTime()
    inherit_cache = True

    def __init__(self, offset_s: float = 0.0) -> None:
        super().__init__(bindparam(None, offset_s, type_=Float))


@compiles(db_now, "postgresql")
def _postgres_now(element: db_now, compiler: SQLCompiler, **options: Any) -> str:
    offset = compiler.process(element.clauses, **options)
    return f"(clock_timestamp() + make_interval(secs => {offset}))"


@compiles(db_now, "sqlite")
def _sqlite_now(element: db_now, compiler: SQLCompiler, **options: Any) -> str:
    return f"ovfarm_now({compiler.process(element.clauses, **options)})"
