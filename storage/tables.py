"""The rows of the farm. They never leave this package: edges see the shapes of ``ovfarm.jobs``."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Boolean,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from ovfarm.failures import Failure
from ovfarm.hardware import Device, Need, Offer
from ovfarm.jobs import JobSpec, ModelFormat, NodeState, Part
from ovfarm.recipes import Kind, Recipe, StepParams
from ovfarm.results import Manifest, Progress, StepResult
from ovfarm.states import JobState, StepState
from storage.columns import BigIntegerKey, Shape, UtcDateTime, state_type

_NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


class Row(DeclarativeBase):
    """What all tables share: names of constraints that migrations can rely on."""

    metadata = MetaData(naming_convention=_NAMES)
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy reads it from the class
        datetime: UtcDateTime(),
        str: String(),
        UUID: Uuid(),
        bool: Boolean(),
        float: Float(),
        JobState: state_type(JobState),
        StepState: state_type(StepState),
        NodeState: state_type(NodeState),
        Kind: state_type(Kind),
        Device: state_type(Device),
        ModelFormat: state_type(ModelFormat),
        Part: state_type(Part),
    }


def _where(condition: str) -> dict[str, Any]:
    """Return the same partial index for both databases."""
    return {"postgresql_where": text(condition), "sqlite_where": text(condition)}


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


class Job(Row):
    """A job: what was asked (spec, recipe) and what happened. ``revision`` rises with every change;
    ``events`` numbers its log."""

    __tablename__ = "jobs"
    __table_args__ = (Index("ix_jobs_team_id_seq", "team_id", "seq"),)
    seq: Mapped[int] = mapped_column(BigIntegerKey, primary_key=True, autoincrement=True)
    id: Mapped[UUID] = mapped_column(unique=True)
    team_id: Mapped[UUID] = mapped_column(ForeignKey("teams.id"))
    spec_version: Mapped[int]
    spec: Mapped[JobSpec] = mapped_column(Shape[JobSpec](JobSpec))
    recipe: Mapped[Recipe] = mapped_column(Shape[Recipe](Recipe))
    state: Mapped[JobState]
    revision: Mapped[int] = mapped_column(BigInteger)
    events: Mapped[int] = mapped_column(BigInteger)
    cancel_requested: Mapped[bool]
    failure: Mapped[Failure | None] = mapped_column(Shape[Failure](Failure))
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


class Step(Row):
    """The unit of scheduling. ``waiting`` counts the earlier steps that have not succeeded yet."""

    __tablename__ = "steps"
    __table_args__ = (
        UniqueConstraint("job_id", "name"),
        Index("ix_steps_ready", "team_id", "need_key", "rank", "seq", **_where("state = 'queued'")),
        Index("ix_steps_lease", "lease_until", **_where("state = 'running'")),
        Index("ix_steps_running", "team_id", "running_on", **_where("state = 'running'")),
        Index("ix_steps_delayed", "ready_at", **_where("state = 'blocked'")),
        Index("ix_steps_following", "team_id", "following", **_where("state = 'blocked'")),
    )
    seq: Mapped[int] = mapped_column(BigIntegerKey, primary_key=True, autoincrement=True)
    id: Mapped[UUID] = mapped_column(unique=True)
    team_id: Mapped[UUID] = mapped_column(ForeignKey("teams.id"))
    job_id: Mapped[UUID] = mapped_column(ForeignKey("jobs.id"))
    ordinal: Mapped[int]
    name: Mapped[str]
    kind: Mapped[Kind]
    step_version: Mapped[int]
    params: Mapped[StepParams] = mapped_column(Shape[StepParams](StepParams))
    lineage: Mapped[tuple[StepParams, ...]] = mapped_column(
        Shape[tuple[StepParams, ...]](tuple[StepParams, ...])
    )
    need_key: Mapped[str] = mapped_column(ForeignKey("needs.key"))
    state: Mapped[StepState]
    rank: Mapped[int]
    waiting: Mapped[int]
    ready_at: Mapped[datetime | None]
    following: Mapped[str | None] = mapped_column(String(64))
    attempt: Mapped[int]
    max_attempts: Mapped[int]
    timeout_s: Mapped[float]
    estimate_s: Mapped[float]
    claim_id: Mapped[UUID | None]
    node_id: Mapped[UUID | None] = mapped_column(ForeignKey("nodes.id"))
    running_on: Mapped[Device | None]
    lease_until: Mapped[datetime | None]
    step_key: Mapped[str | None] = mapped_column(String(64))
    cached: Mapped[bool]
    artifact_id: Mapped[UUID | None] = mapped_column(ForeignKey("artifacts.id"))
    result: Mapped[StepResult | None] = mapped_column(Shape[StepResult](StepResult))
    failure: Mapped[Failure | None] = mapped_column(Shape[Failure](Failure))
    created_at: Mapped[datetime]
    queued_at: Mapped[datetime | None]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


class StepEdge(Row):
    """Where the files of one input role of a step come from."""

    __tablename__ = "step_edges"
    step_id: Mapped[UUID] = mapped_column(ForeignKey("steps.id"), primary_key=True)
    role: Mapped[str] = mapped_column(primary_key=True)
    source_id: Mapped[UUID | None] = mapped_column(ForeignKey("steps.id"), index=True)
    model_id: Mapped[UUID | None] = mapped_column(ForeignKey("models.id"))
    dataset_id: Mapped[UUID | None] = mapped_column(ForeignKey("datasets.id"))
    part: Mapped[Part]


class Attempt(Row):
    """One claim of a step by one node, and how far its child says it is."""

    __tablename__ = "attempts"
    claim_id: Mapped[UUID] = mapped_column(primary_key=True)
    step_id: Mapped[UUID] = mapped_column(ForeignKey("steps.id"), index=True)
    number: Mapped[int]
    node_id: Mapped[UUID] = mapped_column(ForeignKey("nodes.id"))
    host: Mapped[str]
    exclusive: Mapped[bool]
    charged_s: Mapped[float]
    progress: Mapped[Progress | None] = mapped_column(Shape[Progress](Progress))
    outcome: Mapped[str | None] = mapped_column(String(20))
    failure: Mapped[Failure | None] = mapped_column(Shape[Failure](Failure))
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]


class Event(Row):
    """One change of a job or of one of its steps; ``seq`` is gapless in each job."""

    __tablename__ = "events"
    __table_args__ = (
        UniqueConstraint("job_id", "seq"),
        # The belt: the database itself refuses a second success of a step.
        Index("one_success", "step_id", unique=True, **_where("event = 'succeed'")),
    )
    id: Mapped[int] = mapped_column(BigIntegerKey, primary_key=True, autoincrement=True)
    job_id: Mapped[UUID] = mapped_column(ForeignKey("jobs.id"))
    seq: Mapped[int] = mapped_column(BigInteger)
    step_id: Mapped[UUID | None] = mapped_column(ForeignKey("steps.id"))
    event: Mapped[str] = mapped_column(String(20))
    state: Mapped[str] = mapped_column(String(20))
    claim_id: Mapped[UUID | None]
    attempt: Mapped[int | None]
    reason: Mapped[str | None]
    at: Mapped[datetime]


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


class NeedRow(Row):
    """A need that some step has asked for; nodes match it once and remember the key."""

    __tablename__ = "needs"
    key: Mapped[str] = mapped_column(primary_key=True)
    need: Mapped[Need] = mapped_column(Shape[Need](Need))
    created_at: Mapped[datetime]


class Share(Row):
    """A team's virtual time on one class of devices, in device-seconds over weight."""

    __tablename__ = "shares"
    team_id: Mapped[UUID] = mapped_column(ForeignKey("teams.id"), primary_key=True)
    device: Mapped[Device] = mapped_column(primary_key=True)
    virtual_time: Mapped[float]


class DeviceClock(Row):
    """The virtual time of one class of devices; its row serialises the claims of that class."""

    __tablename__ = "device_clocks"
    device: Mapped[Device] = mapped_column(primary_key=True)
    virtual_time: Mapped[float]


class Host(Row):
    """A machine. A benchmark that waits reserves it, so that nothing new starts there."""

    __tablename__ = "hosts"
    name: Mapped[str] = mapped_column(primary_key=True)
    reserved_for: Mapped[UUID | None]
    reserved_until: Mapped[datetime | None]


class Node(Row):
    """One worker process for one device of one host."""

    __tablename__ = "nodes"
    seq: Mapped[int] = mapped_column(BigIntegerKey, primary_key=True, autoincrement=True)
    id: Mapped[UUID] = mapped_column(unique=True)
    name: Mapped[str] = mapped_column(unique=True)
    host: Mapped[str] = mapped_column(ForeignKey("hosts.name"))
    device: Mapped[Device]
    state: Mapped[NodeState]
    offer: Mapped[Offer] = mapped_column(Shape[Offer](Offer))
    slots: Mapped[int] = mapped_column(Integer)
    started_at: Mapped[datetime]
    seen_at: Mapped[datetime]


class NodeNeed(Row):
    """A need that a node serves."""

    __tablename__ = "node_needs"
    node_id: Mapped[UUID] = mapped_column(ForeignKey("nodes.id"), primary_key=True)
    need_key: Mapped[str] = mapped_column(ForeignKey("needs.key"), primary_key=True)
