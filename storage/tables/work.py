"""Jobs, their steps, and what happened to each."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from ovfarm.datasets import Reading
from ovfarm.failures import Failure
from ovfarm.hardware import Device
from ovfarm.jobs import JobSpec, Part
from ovfarm.recipes import Kind, Recipe, StepParams
from ovfarm.results import Progress, StepResult
from ovfarm.states import JobState, StepState
from storage.columns import BigIntegerKey, Shape
from storage.tables.row import Row, where


class Job(Row):
    """A job: what was asked (spec, recipe) and what happened. ``revision`` rises with every change.

    ``events`` numbers its log.
    """

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
        Index("ix_steps_ready", "team_id", "need_key", "rank", "seq", **where("state = 'queued'")),
        Index("ix_steps_lease", "lease_until", **where("state = 'running'")),
        Index("ix_steps_running", "team_id", "running_on", **where("state = 'running'")),
        Index("ix_steps_delayed", "ready_at", **where("state = 'blocked'")),
        Index("ix_steps_following", "team_id", "following", **where("state = 'blocked'")),
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
    avoid_node: Mapped[UUID | None]
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
    reading: Mapped[Reading | None] = mapped_column(Shape[Reading](Reading))


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
        Index("one_success", "step_id", unique=True, **where("event = 'succeed'")),
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
