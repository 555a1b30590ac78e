"""Teams, their keys, their bytes and their shares of the devices."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from ovfarm.hardware import Device
from storage.tables.row import Row


class Team(Row):
    """A tenant: its weight in the fair share, and its bounds (None: none)."""

    __tablename__ = "teams"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    weight: Mapped[float]
    max_running: Mapped[int | None]
    max_queued: Mapped[int | None]
    created_at: Mapped[datetime]


class ApiKey(Row):
    """A team's key: kept as the hash of its secret."""

    __tablename__ = "api_keys"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    team_id: Mapped[UUID] = mapped_column(ForeignKey("teams.id"), index=True)
    prefix: Mapped[str] = mapped_column(unique=True)
    secret_hash: Mapped[str]
    role: Mapped[str]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class Holding(Row):
    """A team has these bytes: it uploaded them, or its steps made them."""

    __tablename__ = "holdings"
    team_id: Mapped[UUID] = mapped_column(ForeignKey("teams.id"), primary_key=True)
    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    size: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[datetime]


class Share(Row):
    """A team's virtual time on one class of devices, in device-seconds over weight."""

    __tablename__ = "shares"
    team_id: Mapped[UUID] = mapped_column(ForeignKey("teams.id"), primary_key=True)
    device: Mapped[Device] = mapped_column(primary_key=True)
    virtual_time: Mapped[float]
