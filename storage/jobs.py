"""How a job comes in and how it ends: submit, cancel, and the rules that end it by its steps."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from uuid import UUID, uuid4

from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from ovfarm.errors import Conflict, InvalidInput, NotFound
from ovfarm.failures import Failure
from ovfarm.hardware import Device
from ovfarm.jobs import JobSpec, JobView
from ovfarm.needs import has_tokenizer, may_hold_texts
from ovfarm.plan import Edge, PlannedStep, SourceModel, plan
from ovfarm.policy import ESTIMATE_S
from ovfarm.resolution import resolve
from ovfarm.shapes import public_id
from ovfarm.states import JOB_ENDED, JobEvent, JobState, StepState, job_sources, job_target
from storage import catalog
from storage.columns import db_now
from storage.database import ring_after_commit
from storage.events import record
from storage.nodes import ask_for
from storage.quarantine import refuse_quarantined
from storage.queries import job as job_view
from storage.rows import insert_once
from storage.steps import cancel_waiting
from storage.submissions import check_quota, lock_team, note_submission, submitted
from storage.tables import Job, Share, Step, StepEdge


def submit(session: Session, team: UUID, spec: JobSpec, *, key: str | None = None) -> JobView:
    """Plan a job, write it with all its steps, and ring for those that can start.

    A submit with a ``key`` that this team has used for the same spec returns that job. Raises
    InvalidInput with a pointer into the spec, QuotaExceeded, or Conflict for quarantined work.
    """
    steps = plan(spec, _origin(session, team, spec))
    owner = lock_team(session, team)
    known = submitted(session, team, key, spec) if key else None
    if known is not None:
        return job_view(session, team, known)
    _check_references(session, team, spec)
    refuse_quarantined(session, team, spec)
    check_quota(session, owner, len(steps))
    job_id = _write_job(session, team, spec, steps)
    if key:
        note_submission(session, team, key, spec, job_id)
    return job_view(session, team, job_id)


def _write_job(session: Session, team: UUID, spec: JobSpec, steps: Collection[PlannedStep]) -> UUID:
    ask_for(session, [step.need for step in steps])
    for device in (Device.CPU, Device.GPU, Device.NPU):
        insert_once(session, Share, team_id=team, device=device, virtual_time=0.0, used_s=0.0)
    job_id = uuid4()
    session.execute(
        insert(Job).values(
            id=job_id,
            team_id=team,
            spec_version=spec.spec_version,
            spec=spec,
            recipe=resolve(spec),
            state=JobState.QUEUED,
            revision=1,
            events=0,
            cancel_requested=False,
            created_at=db_now(),
        )
    )
    _write_steps(session, team, job_id, spec, steps)
    return job_id


def _origin(session: Session, team: UUID, spec: JobSpec) -> SourceModel:
    """Return what is known of the job's model; one that is not there is found out, and said, later."""
    if spec.model is None:
        return SourceModel()
    try:
        view = catalog.model(session, team, spec.model)
    except NotFound:
        return SourceModel()
    return SourceModel(
        view.manifest.size,
        view.format,
        view.source,
        view.ports,
        tokenizer=has_tokenizer(view.format, view.manifest.files),
        texts=frozenset(_texts(session, team, spec)),
    )


def _texts(session: Session, team: UUID, spec: JobSpec) -> Iterator[UUID]:
    for data in filter(None, (spec.data.calibration, spec.data.evaluation)):
        with suppress(NotFound):
            if may_hold_texts(catalog.dataset(session, team, data.dataset).manifest.files):
                yield data.dataset


def _check_references(session: Session, team: UUID, spec: JobSpec) -> None:
    data = spec.data
    if spec.model:
        with _pointing_at("/model"):
            catalog.model(session, team, spec.model)
    if data.calibration:
        with _pointing_at("/data/calibration"):
            catalog.dataset(session, team, data.calibration.dataset)
    if data.evaluation:
        with _pointing_at("/data/evaluation"):
            catalog.dataset(session, team, data.evaluation.dataset)


@contextmanager
def _pointing_at(pointer: str) -> Iterator[None]:
    """Turn what is not found into a mistake at this place of the spec."""
    try:
        yield
    except NotFound as missing:
        raise InvalidInput(
            missing.message, pointer=pointer, code="unknown_reference", hint=missing.hint
        ) from missing


def _write_steps(
    session: Session, team: UUID, job_id: UUID, spec: JobSpec, steps: Collection[PlannedStep]
) -> None:
    ids = {step.name: uuid4() for step in steps}
    for ordinal, step in enumerate(steps):
        sources = {edge.step for edge in step.edges.values() if edge.step}
        _write_step(session, team, job_id, spec, step, ids[step.name], ordinal, len(sources))
        if not sources:
            ring_after_commit(session, step.need.queue)
    for step in steps:
        for role, edge in step.edges.items():
            _write_edge(session, ids, ids[step.name], role, edge)


def _write_step(
    session: Session,
    team: UUID,
    job_id: UUID,
    spec: JobSpec,
    step: PlannedStep,
    step_id: UUID,
    ordinal: int,
    waiting: int,
) -> None:
    session.execute(
        insert(Step).values(
            id=step_id,
            team_id=team,
            job_id=job_id,
            ordinal=ordinal,
            name=step.name,
            kind=step.params.kind,
            step_version=step.params.step_version,
            params=step.params,
            lineage=step.lineage,
            need_key=step.need.key,
            state=StepState.BLOCKED if waiting else StepState.QUEUED,
            rank=-spec.priority,
            waiting=waiting,
            attempt=0,
            max_attempts=spec.limits.max_attempts,
            timeout_s=spec.limits.step_timeout_s,
            estimate_s=ESTIMATE_S[step.params.kind],
            cached=False,
            created_at=db_now(),
            queued_at=None if waiting else db_now(),
        )
    )


def _write_edge(session: Session, ids: dict[str, UUID], step_id: UUID, role: str, edge: Edge) -> None:
    session.execute(
        insert(StepEdge).values(
            step_id=step_id,
            role=role,
            source_id=ids[edge.step] if edge.step else None,
            model_id=edge.model,
            dataset_id=edge.dataset,
            part=edge.part,
            reading=edge.reading if edge.dataset else None,
        )
    )


def cancel(session: Session, team: UUID, job_id: UUID) -> JobView:
    """Ask for a job to end: what waits ends now, what runs within a heartbeat. Asking twice is fine.

    Raises NotFound, or Conflict when the job has ended otherwise.
    """
    state = session.execute(
        select(Job.state).where(Job.id == job_id, Job.team_id == team).with_for_update()
    ).scalar_one_or_none()
    if state is None:
        raise NotFound(f"there is no job {public_id('job', job_id)}", hint="list yours: jobs ls")
    if state is JobState.CANCELLED:
        return job_view(session, team, job_id)
    if state in JOB_ENDED:
        raise Conflict(f"the job has {state} already, so it cannot be cancelled", code="job_ended")
    session.execute(update(Job).where(Job.id == job_id).values(cancel_requested=True))
    cancel_waiting(session, job_id, reason="cancelled by request")
    settle(session, job_id)
    return job_view(session, team, job_id)


def settle(session: Session, job_id: UUID) -> None:
    """End a job when all its steps have ended. The caller holds the job's row lock."""
    states = set(session.execute(select(Step.state).where(Step.job_id == job_id).distinct()).scalars())
    if states & {StepState.BLOCKED, StepState.QUEUED, StepState.RUNNING}:
        return
    failure = _first_failure(session, job_id) if StepState.FAILED in states else None
    event = JobEvent.SUCCEED
    if failure:
        event = JobEvent.FAIL
    elif StepState.CANCELLED in states:
        event = JobEvent.CANCEL
    ended = session.execute(
        update(Job)
        .where(Job.id == job_id, Job.state.in_(job_sources(event)))
        .values(state=job_target(event), failure=failure, finished_at=db_now())
        .returning(Job.id)
    )
    if ended.first():
        record(session, job_id, event)


def _first_failure(session: Session, job_id: UUID) -> Failure | None:
    failed = select(Step.failure).where(Step.job_id == job_id, Step.state == StepState.FAILED)
    return session.execute(failed.order_by(Step.finished_at, Step.ordinal).limit(1)).scalar_one()


def start(session: Session, job_id: UUID) -> None:
    """Note that the first step of a job runs. The caller holds the job's row lock."""
    started = session.execute(
        update(Job)
        .where(Job.id == job_id, Job.state == JobState.QUEUED)
        .values(state=job_target(JobEvent.START), started_at=db_now())
        .returning(Job.id)
    )
    if started.first():
        record(session, job_id, JobEvent.START)
