"""A job as it is asked for (JobSpec) and as it is seen (JobView and what hangs on it)."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AwareDatetime, Discriminator, Field, JsonValue, Tag, model_validator

from ovfarm.datasets import Reading
from ovfarm.failures import Failure
from ovfarm.hardware import Device, Need, Offer
from ovfarm.recipes import Kind, Recipe
from ovfarm.results import Chosen, Manifest, Measurement, Note, Progress, Verdict, stopped
from ovfarm.shapes import (
    ArtifactId,
    DatasetId,
    Digest,
    Document,
    JobId,
    Label,
    ModelId,
    Name,
    NodeId,
    Text,
)
from ovfarm.states import JobState, StepState


class Part(StrEnum):
    """Which rows of a dataset a role gets: all, or every other one, counted from 0."""

    ALL = "all"
    EVEN = "even"
    ODD = "odd"


class DataRef(Reading):
    """A dataset, or one half of its rows, in a role, and how its columns become a model's inputs."""

    dataset: DatasetId
    part: Part = Part.ALL

    @property
    def reading(self) -> Reading:
        """How it is read, whatever dataset it is."""
        return Reading.model_validate(self.model_dump(include=set(Reading.model_fields)))

    def overlaps(self, other: "DataRef") -> bool:
        """Tell whether the two share rows."""
        apart = {self.part, other.part} == {Part.EVEN, Part.ODD}
        return self.dataset == other.dataset and not apart


class JobData(Document):
    """Datasets by role. Data that calibrates must not judge, unless ``allow_same`` says so."""

    calibration: DataRef | None = None
    evaluation: DataRef | None = None
    allow_same: bool = False

    @model_validator(mode="after")
    def _roles_apart(self) -> "JobData":
        if (
            self.calibration
            and self.evaluation
            and self.calibration.overlaps(self.evaluation)
            and not self.allow_same
        ):
            raise ValueError(
                "calibration and evaluation share rows, so the accuracy would flatter; give two "
                "datasets, or the parts 'even' and 'odd' of one, or say allow_same"
            )
        return self


class Cache(StrEnum):
    """Whether steps that this team has run before are reused."""

    USE = "use"
    REFRESH = "refresh"  # run again, and remember the new result
    OFF = "off"  # run again, and remember nothing


class Limits(Document):
    """Bounds of every step of the job; run limits never count waiting."""

    step_timeout_s: float = Field(default=3600, gt=0, le=7 * 86400)
    memory_gib: Annotated[int, Field(ge=1, le=4096)] | None = None
    max_attempts: int = Field(default=3, ge=1, le=10)


def _how_given(recipe: object) -> str | None:
    """Tell which of the two is meant, so that only its own mistakes are named."""
    if isinstance(recipe, str):
        return "Name"
    return "Recipe" if isinstance(recipe, dict | Recipe) else None


GivenRecipe = Annotated[
    Annotated[Name, Tag("Name")] | Annotated[Recipe, Tag("Recipe")],
    Discriminator(
        _how_given,
        custom_error_type="recipe",
        custom_error_message="a recipe is the name of one, or a whole one with its steps",
    ),
]


class JobSpec(Document):
    """What was asked: model, data, recipe, targets, limits. It never changes after submission.

    ``recipe`` is a preset's name or a whole recipe; ``overrides`` sets single parameters of it by
    ``step.parameter``.
    """

    spec_version: Literal[1] = 1
    model: ModelId | None = None
    data: JobData = JobData()
    recipe: GivenRecipe
    overrides: dict[str, JsonValue] = Field(default={}, max_length=64)
    targets: tuple[Need, ...] = Field(default=(Need(device=Device.CPU),), min_length=1, max_length=8)
    limits: Limits = Limits()
    cache: Cache = Cache.USE
    priority: int = Field(default=0, ge=-100, le=100)
    title: Text = ""
    labels: dict[Label, Text] = Field(default={}, max_length=16)


class StepView(Document):
    """One step of a job, as it stands now. ``reason`` says what a waiting step waits for."""

    name: str
    kind: Kind
    state: StepState
    reason: str | None = None
    need: str
    attempt: int
    cached: bool = False
    node: NodeId | None = None
    node_name: str | None = None
    device: str | None = None
    emulated: bool = False
    progress: Progress | None = None
    started_at: AwareDatetime | None = None
    finished_at: AwareDatetime | None = None
    ready_at: AwareDatetime | None = None
    artifact: ArtifactId | None = None
    failure: Failure | None = None


class Why(Document):
    """What a job waits for, in one sentence, and the numbers in it. Times are in seconds.

    ``position`` counts the team's own steps (from 1) that ask for the same; ``share`` is the team's
    part of the device class now; ``slots`` are those of the nodes that could run the step.
    """

    job: JobId
    sentence: str
    step: str | None = None
    need: str | None = None
    position: int | None = None
    share: float | None = None
    slots: int | None = None
    idle: int | None = None
    expected_start_s: float | None = None


class JobView(Document):
    """A job as it stands now; ``version`` rises with every change and is its ETag."""

    id: JobId
    state: JobState
    reason: str | None = None
    version: int
    title: str
    recipe: str
    spec: JobSpec
    steps: tuple[StepView, ...]
    cancel_requested: bool = False
    failure: Failure | None = None
    created_at: AwareDatetime
    started_at: AwareDatetime | None = None
    finished_at: AwareDatetime | None = None

    @property
    def ended(self) -> bool:
        """Whether it will never change again."""
        return self.state in {JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED}


class JobSummary(Document):
    """One line of a list of jobs."""

    id: JobId
    state: JobState
    title: str
    recipe: str
    created_at: AwareDatetime
    finished_at: AwareDatetime | None = None


class JobPage(Document):
    """A page of jobs, newest first; no ``next_page_token`` means the last page."""

    items: tuple[JobSummary, ...]
    next_page_token: str | None = None


class ArtifactView(Document):
    """What a step produced: files by name, with digest and size."""

    id: ArtifactId
    job: JobId
    step: str
    kind: Kind
    canonical_digest: Digest | None = None
    manifest: Manifest
    created_at: AwareDatetime


class StepOutcome(Document):
    """What one step found out; ``chosen`` is what a choice took, with the gates that it looked at.

    ``artifact_bytes`` is the size of what it made, without statistics that were kept beside it.
    """

    name: str
    kind: Kind
    model: str | None = None
    cached: bool
    measurements: tuple[Measurement, ...]
    verdict: Verdict | None = None
    notes: tuple[Note, ...] = ()
    element_types: dict[str, int] = {}
    artifact: ArtifactId | None = None
    artifact_bytes: int | None = None
    chosen: Chosen | None = None

    @property
    def stopped(self) -> bool:
        """Whether it did nothing because of a gate."""
        return stopped(self.notes)


class JobResult(Document):
    """Everything a finished job found out; ``package`` is the artifact to download."""

    id: JobId
    steps: tuple[StepOutcome, ...]
    package: ArtifactId | None = None
    seconds: float


class NodeState(StrEnum):
    """How a node stands in the pool."""

    ONLINE = "online"
    DRAINING = "draining"
    LOST = "lost"
    LEFT = "left"
    SICK = "sick"


class NodeView(Document):
    """A node and what it offers."""

    id: NodeId
    name: str
    host: str
    state: NodeState
    offer: Offer
    running: tuple[str, ...] = ()
    started_at: AwareDatetime
    seen_at: AwareDatetime
