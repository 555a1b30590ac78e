"""Models and datasets."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from ovfarm.catalog import ModelFormat
from ovfarm.results import Manifest, Port
from storage.columns import BigIntegerKey, Shape
from storage.tables.row import Row


class Model(Row):
    """A registered model: an immutable set of files."""

    __tablename__ = "models"
    __table_args__ = (UniqueConstraint("team_id", "digest"),)
    seq: Mapped[int] = mapped_column(BigIntegerKey, primary_key=True, autoincrement=True)
    id: Mapped[UUID] = mapped_column(unique=True)
    team_id: Mapped[UUID] = mapped_column(ForeignKey("teams.id"))
    name: Mapped[str]
    format: Mapped[ModelFormat]
    digest: Mapped[str] = mapped_column(String(64))
    manifest: Mapped[Manifest] = mapped_column(Shape[Manifest](Manifest))
    source: Mapped[str | None]
    ports: Mapped[tuple[Port, ...] | None] = mapped_column(Shape[tuple[Port, ...]](tuple[Port, ...]))
    created_at: Mapped[datetime]


class Dataset(Row):
    """A registered dataset: an immutable set of files."""

    __tablename__ = "datasets"
    __table_args__ = (UniqueConstraint("team_id", "digest"),)
    seq: Mapped[int] = mapped_column(BigIntegerKey, primary_key=True, autoincrement=True)
    id: Mapped[UUID] = mapped_column(unique=True)
    team_id: Mapped[UUID] = mapped_column(ForeignKey("teams.id"))
    name: Mapped[str]
    digest: Mapped[str] = mapped_column(String(64))
    manifest: Mapped[Manifest] = mapped_column(Shape[Manifest](Manifest))
    created_at: Mapped[datetime]
