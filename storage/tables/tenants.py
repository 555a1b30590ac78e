"""Teams, their keys, their bytes and their shares of the devices."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from ovfarm.hardware import Device
from ovfarm.teams import Role
from storage.tables.row import Row


class Team(Row):
    """A tenant: its weight in the fair share, and its bounds (None: none)."""

    __tablename__ = "teams"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    weight: Mapped[float]
    max_running: Mapped[int | None]
    max_queued: Mapped[int | None]
    budget_s: Mapped[float | None]
    created_at: Mapped[datetime]


class FarmRow(Row):
    """Which farm this database is: one row. Its store knows it too."""

    __tablename__ = "farm"
    key: Mapped[int] = mapped_column(primary_key=True)
    id: Mapped[UUID]


class ApiKey(Row):
    """A team's key: kept as the hash of its secret."""

    __tablename__ = "api_keys"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    team_id: Mapped[UUID] = mapped_column(ForeignKey("teams.id"), index=True)
    prefix: Mapped[str] = mapped_column(unique=True)
    secret_hash: Mapped[str]
    role: Mapped[Role]
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
    """A team's virtual time on one class of devices, in device-seconds over weight, and what it used."""

    __tablename__ = "shares"
    team_id: Mapped[UUID] = mapped_column(ForeignKey("teams.id"), primary_key=True)
    device: Mapped[Device] = mapped_column(primary_key=True)
    virtual_time: Mapped[float]
    used_s: Mapped[float]


class Submission(Row):
    """A submit that was named by its client: the same name with the same body is the same job."""

    __tablename__ = "submissions"
    team_id: Mapped[UUID] = mapped_column(ForeignKey("teams.id"), primary_key=True)
    key: Mapped[str] = mapped_column(String(200), primary_key=True)
    body_digest: Mapped[str] = mapped_column(String(64))
    job_id: Mapped[UUID] = mapped_column(ForeignKey("jobs.id"))
    created_at: Mapped[datetime]


class Quarantined(Row):
    """Work that killed whatever ran it: a team's job with this fingerprint is refused."""

    __tablename__ = "quarantine"
    team_id: Mapped[UUID] = mapped_column(ForeignKey("teams.id"), primary_key=True)
    fingerprint: Mapped[str] = mapped_column(String(64), primary_key=True)
    job_id: Mapped[UUID] = mapped_column(ForeignKey("jobs.id"))
    reason: Mapped[str]
    created_at: Mapped[datetime]


class BlobRow(Row):
    """Bytes in the store. ``touched_at`` rises with every new use: the collector spares what is young."""

    __tablename__ = "blobs"
    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    size: Mapped[int] = mapped_column(BigInteger)
    touched_at: Mapped[datetime]
