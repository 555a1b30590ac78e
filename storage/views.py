"""From rows to what people see; the words that are derived (*waiting for a device*) are made here."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from ovfarm.advice import Advice
from ovfarm.hardware import Toolkit
from ovfarm.jobs import ArtifactView, JobSummary, NodeState, StepView
from ovfarm.states import JOB_ENDED, StepState
from storage.tables import Artifact, Attempt, Job, Node, NodeNeed, Step

# What an operator does about a need that nobody serves, by a part of it.
_WAYS = {
    "torch_programs": "OVFARM_TORCH_PROGRAMS=true on a node whose sandbox is full",
    f"toolkit={Toolkit.HUGGINGFACE}": "./farm setup --hf where a node runs, and start it again",
}


def step_views(session: Session, job: Job) -> tuple[StepView, ...]:
    """Return the steps of a job in order, with what each does or waits for."""
    served, advice = _served(session), Advice(job.spec, job.recipe)
    rows = session.execute(
        select(Step, Attempt, Node)
        .outerjoin(Attempt, Attempt.claim_id == Step.claim_id)
        .outerjoin(Node, Node.id == Step.node_id)
        .where(Step.job_id == job.id)
        .order_by(Step.ordinal)
    )
    return tuple(_step_view(job, served, advice, *row) for row in rows)


def _served(session: Session) -> dict[str, list[str]]:
    """Return the needs that some node in the pool serves now, each with the releases' known steps."""
    online = (NodeState.ONLINE, NodeState.DRAINING)
    served: dict[str, list[str]] = {}
    rows = session.execute(
        select(NodeNeed.need_key, Node.steps)
        .join(Node, Node.id == NodeNeed.node_id)
        .where(Node.state.in_(online))
        .distinct()
    )
    for need_key, steps in rows:
        served.setdefault(need_key, []).append(steps)
    return served


def _step_view(
    job: Job,
    served: dict[str, list[str]],
    advice: Advice,
    step: Step,
    attempt: Attempt | None,
    node: Node | None,
) -> StepView:
    running = step.state is StepState.RUNNING
    return StepView(
        name=step.name,
        kind=step.kind,
        state=step.state,
        reason=_reason(job, step, served),
        need=step.need_key,
        attempt=step.attempt,
        cached=step.cached,
        node=step.node_id,
        node_name=node.name if node else None,
        device=node.offer.device_name if node else None,
        emulated=node is not None and node.offer.emulated,
        progress=attempt.progress if running and attempt else None,
        started_at=step.started_at,
        finished_at=step.finished_at,
        ready_at=step.ready_at,
        artifact=step.artifact_id,
        failure=advice.on_failure(step.failure, step.name) if step.failure else None,
    )


def _reason(job: Job, step: Step, served: dict[str, list[str]]) -> str | None:
    match step.state:
        case StepState.QUEUED:
            return _queued_reason(step, served)
        case StepState.BLOCKED if step.following:
            return "waiting for an equal step that runs now"
        case StepState.BLOCKED if step.ready_at:
            return f"retrying after attempt {step.attempt} of {step.max_attempts}"
        case StepState.BLOCKED:
            return "waiting for earlier steps"
        case StepState.RUNNING if job.cancel_requested:
            return "cancelling"
    return None


def _queued_reason(step: Step, served: dict[str, list[str]]) -> str:
    releases = served.get(step.need_key)
    if releases is None:
        ways = [f" ({way})" for part, way in _WAYS.items() if part in step.need_key]
        return f"waiting: no node offers {step.need_key}{''.join(ways)}"
    wanted = f"{step.kind}/{step.step_version}"
    if all(known and wanted not in known.split() for known in releases):
        return f"waiting: no node with {step.need_key} knows {wanted}; it is newer than their release"
    return "waiting for a free node"


def job_reason(job: Job, steps: tuple[StepView, ...]) -> str | None:
    """Say in a few words why a job stands where it stands, if that is not plain."""
    if job.state in JOB_ENDED:
        return job.failure.message if job.failure else None
    if job.cancel_requested:
        return "cancelling"
    if any(step.state is StepState.RUNNING for step in steps):
        return None
    waiting = (step.reason for step in steps if step.state is StepState.QUEUED)
    delayed = (step.reason for step in steps if step.state is StepState.BLOCKED)
    return next(waiting, None) or next(delayed, None)


def summary(row: Job) -> JobSummary:
    """Return one line of a list."""
    return JobSummary(
        id=row.id,
        state=row.state,
        title=row.spec.title,
        recipe=row.recipe.name,
        created_at=row.created_at,
        finished_at=row.finished_at,
    )


def artifact_view(row: Artifact) -> ArtifactView:
    """Return an artifact as people see it."""
    return ArtifactView(
        id=row.id,
        job=row.job_id,
        step=row.step_name,
        kind=row.kind,
        canonical_digest=row.canonical_digest,
        manifest=row.manifest,
        created_at=row.created_at,
    )
