"""Everything that is only read about jobs: one job, pages of jobs, results, artifacts."""

from collections.abc import Collection
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from ovfarm.advice import Advice
from ovfarm.errors import Conflict, NotFound
from ovfarm.failures import Failure
from ovfarm.jobs import ArtifactView, JobResult, JobSummary, JobView, StepOutcome, StepView
from ovfarm.plan import STATISTICS
from ovfarm.recipes import Kind
from ovfarm.results import NoteCode, StepResult, stopped
from ovfarm.shapes import public_id
from ovfarm.states import JOB_ENDED, JobState, StepState
from storage.tables import Artifact, Job, Step, StepEdge
from storage.views import artifact_view, job_reason, step_views, summary


def job(session: Session, team: UUID, job_id: UUID) -> JobView:
    """Return a job of this team as it stands; raises NotFound."""
    row = _job(session, team, job_id)
    steps = step_views(session, row)
    return JobView(
        id=row.id,
        state=row.state,
        reason=job_reason(row, steps),
        version=row.revision,
        title=row.spec.title,
        recipe=row.recipe.name,
        spec=row.spec,
        steps=steps,
        cancel_requested=row.cancel_requested,
        failure=_failure(row, steps),
        created_at=row.created_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
    )


def _failure(row: Job, steps: tuple[StepView, ...]) -> Failure | None:
    """Return a job's failure as the step shows it that it is of."""
    of_steps = (step.failure for step in steps if step.state is StepState.FAILED and step.failure)
    same = (shown for shown in of_steps if row.failure and shown.message == row.failure.message)
    return next(same, row.failure)


def _job(session: Session, team: UUID, job_id: UUID) -> Job:
    row = session.execute(select(Job).where(Job.id == job_id, Job.team_id == team)).scalar_one_or_none()
    if row is None:
        raise _no_job(job_id)
    return row


def _no_job(job_id: UUID) -> NotFound:
    return NotFound(f"there is no job {public_id('job', job_id)}", hint="list yours: ovfarm jobs ls")


def job_version(session: Session, team: UUID, job_id: UUID) -> int:
    """Return the version of a job, by one indexed read of one row; raises NotFound."""
    version = session.execute(
        select(Job.revision).where(Job.id == job_id, Job.team_id == team)
    ).scalar_one_or_none()
    if version is None:
        raise _no_job(job_id)
    return version


def jobs(
    session: Session,
    team: UUID,
    *,
    states: Collection[JobState] = (),
    limit: int = 50,
    before_seq: int | None = None,
) -> tuple[tuple[JobSummary, ...], int | None]:
    """Return a page of jobs, newest first, and the ``before_seq`` of the next page if there is one."""
    query = select(Job).where(Job.team_id == team).order_by(Job.seq.desc()).limit(limit + 1)
    if states:
        query = query.where(Job.state.in_(states))
    if before_seq is not None:
        query = query.where(Job.seq < before_seq)
    rows = list(session.execute(query).scalars())
    page = rows[:limit]
    more = page[-1].seq if len(rows) > limit else None
    return tuple(summary(row) for row in page), more


def result(session: Session, team: UUID, job_id: UUID) -> JobResult:
    """Return what an ended job found out; raises NotFound, or Conflict while it has not ended."""
    row = _job(session, team, job_id)
    if row.state not in JOB_ENDED or row.finished_at is None:
        raise Conflict(f"the job is {row.state}; it has no result yet", code="job_not_ended")
    steps = list(
        session.execute(
            select(Step, Artifact)
            .outerjoin(Artifact, Artifact.id == Step.artifact_id)
            .where(Step.job_id == job_id, Step.state == StepState.SUCCEEDED)
            .order_by(Step.ordinal)
        )
    )
    models = _models(session, job_id)
    advice = Advice(row.spec, row.recipe, [step.name for step, _ in steps if _spent(step)])
    packages = [step.artifact_id for step, _ in steps if step.kind is Kind.PACKAGE and not _stopped(step)]
    return JobResult(
        id=row.id,
        steps=tuple(_outcome(step, made, models.get(step.id), advice) for step, made in steps),
        package=packages[-1] if packages else None,
        seconds=(row.finished_at - row.created_at).total_seconds(),
    )


def _stopped(step: Step) -> bool:
    return step.result is not None and stopped(step.result.notes)


def _spent(step: Step) -> bool:
    """Tell whether a step took all rows of its calibration data: it says so where they are few."""
    codes = {note.code for note in step.result.notes} if step.result else set()
    return NoteCode.LITTLE_CALIBRATION_DATA in codes


def _models(session: Session, job_id: UUID) -> dict[UUID, str]:
    """Return, for each step of a job, the name of the step whose model it works on."""
    maker, user = Step.__table__.alias("maker"), Step.__table__.alias("user")
    rows = session.execute(
        select(user.c.id, maker.c.name)
        .join(StepEdge, StepEdge.step_id == user.c.id)
        .join(maker, maker.c.id == StepEdge.source_id)
        .where(user.c.job_id == job_id, StepEdge.role == "model")
    )
    return dict(rows.all())


def _outcome(step: Step, made: Artifact | None, model: str | None, advice: Advice) -> StepOutcome:
    found = step.result or StepResult()
    return StepOutcome(
        name=step.name,
        kind=step.kind,
        model=model,
        cached=step.cached,
        measurements=found.measurements,
        verdict=found.verdict,
        notes=tuple(advice.on_note(note, step.name) for note in found.notes),
        element_types=found.element_types,
        chosen=found.chosen,
        artifact=step.artifact_id,
        artifact_bytes=made.manifest.size_without(STATISTICS) if made else None,
    )


def artifacts(session: Session, team: UUID, job_id: UUID) -> tuple[ArtifactView, ...]:
    """Return the artifacts of a job in the order of its steps; raises NotFound."""
    _job(session, team, job_id)
    rows = session.execute(
        select(Artifact)
        .join(Step, Step.artifact_id == Artifact.id)
        .where(Step.job_id == job_id)
        .order_by(Step.ordinal)
    )
    return tuple(artifact_view(row) for row in rows.scalars())


def artifact(session: Session, team: UUID, artifact_id: UUID) -> ArtifactView:
    """Return an artifact of this team; raises NotFound."""
    row = session.execute(
        select(Artifact).where(Artifact.id == artifact_id, Artifact.team_id == team)
    ).scalar_one_or_none()
    if row is None:
        raise NotFound(f"there is no artifact {public_id('art', artifact_id)}")
    return artifact_view(row)
