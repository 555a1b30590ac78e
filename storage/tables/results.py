"""What steps made and found out, and the work that is known by its key."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from ovfarm.recipes import Kind
from ovfarm.results import Manifest, StepResult
from storage.columns import BigIntegerKey, Shape
from storage.tables.row import Row


class Artifact(Row):
    """What a step produced: a manifest."""

    __tablename__ = "artifacts"
    seq: Mapped[int] = mapped_column(BigIntegerKey, primary_key=True, autoincrement=True)
    id: Mapped[UUID] = mapped_column(unique=True)
    team_id: Mapped[UUID] = mapped_column(ForeignKey("teams.id"))
    job_id: Mapped[UUID] = mapped_column(ForeignKey("jobs.id"), index=True)
    step_name: Mapped[str]
    kind: Mapped[Kind]
    canonical_digest: Mapped[str] = mapped_column(String(64))
    manifest: Mapped[Manifest] = mapped_column(Shape[Manifest](Manifest))
    created_at: Mapped[datetime]


class MeasurementRow(Row):
    """One number that a step measured, to be compared across jobs."""

    __tablename__ = "measurements"
    id: Mapped[int] = mapped_column(BigIntegerKey, primary_key=True, autoincrement=True)
    team_id: Mapped[UUID] = mapped_column(ForeignKey("teams.id"))
    step_id: Mapped[UUID] = mapped_column(ForeignKey("steps.id"), index=True)
    name: Mapped[str]
    subject: Mapped[str]
    value: Mapped[float]
    unit: Mapped[str] = mapped_column(String(20))
    ci_low: Mapped[float | None]
    ci_high: Mapped[float | None]


class Remembered(Row):
    """A team's finished work by its key: the same work is not done twice."""

    __tablename__ = "remembered"
    team_id: Mapped[UUID] = mapped_column(ForeignKey("teams.id"), primary_key=True)
    step_key: Mapped[str] = mapped_column(String(64), primary_key=True)
    artifact_id: Mapped[UUID | None] = mapped_column(ForeignKey("artifacts.id"))
    result: Mapped[StepResult] = mapped_column(Shape[StepResult](StepResult))
    created_at: Mapped[datetime]


class Inflight(Row):
    """The one attempt that does this work now; equal steps follow it."""

    __tablename__ = "inflight"
    team_id: Mapped[UUID] = mapped_column(ForeignKey("teams.id"), primary_key=True)
    step_key: Mapped[str] = mapped_column(String(64), primary_key=True)
    claim_id: Mapped[UUID] = mapped_column(unique=True)
