"""Why a job waits: one sentence, with the numbers that the next claim will be decided by."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from ovfarm.hardware import Device
from ovfarm.jobs import JobView, NodeState, Why
from ovfarm.states import StepState
from storage.claims import within_budget
from storage.columns import db_now
from storage.queries import job as job_view
from storage.tables import Node, NodeNeed, Step, Team
from storage.teams import DEFAULT_TEAM

# Counting stops here: beyond it the exact number tells nobody anything.
_COUNTED = 1000


@dataclass(frozen=True, slots=True)
class _Queue:
    """The team's steps before this one: their number (this one included) and their expected seconds."""

    position: int
    ahead_s: float


@dataclass(frozen=True, slots=True)
class _Pool:
    """The nodes that could run it: classes, slots, idle slots, seconds until the next one is free.

    ``closed`` are those more that could, but serve the default team alone.
    """

    devices: frozenset[Device]
    slots: int
    idle: int
    free_in_s: float
    closed: int
    resting: int


def explain(session: Session, team: UUID, job_id: UUID) -> Why:
    """Say what a job of this team waits for; raises NotFound."""
    view = job_view(session, team, job_id)
    plain = _plain(view)
    if plain is not None:
        return Why(job=job_id, sentence=plain)
    step = session.execute(
        select(Step)
        .where(Step.job_id == job_id, Step.state == StepState.QUEUED)
        .order_by(Step.rank, Step.seq)
        .limit(1)
    ).scalar_one_or_none()
    if step is None:
        return Why(job=job_id, sentence=view.reason or "it goes on within a moment")
    return _of_step(session, view, step)


def _plain(view: JobView) -> str | None:
    """Return the answer for a job that waits for no device."""
    if view.ended:
        return f"it waits for nothing: it has {view.state}"
    running = [step for step in view.steps if step.state is StepState.RUNNING]
    if running:
        first = running[0]
        return f"it waits for nothing: {first.name} runs on {first.node_name} (attempt {first.attempt})"
    return None


def _of_step(session: Session, view: JobView, step: Step) -> Why:
    pool = _pool(session, step)
    stated = next(s.reason for s in view.steps if s.name == step.name) or ""
    if not pool.slots:
        sentence = f"{step.name}: {_nobody(pool) or f'{stated}; it starts when one joins or comes back'}"
        return Why(job=view.id, sentence=sentence, step=step.name, need=step.need_key, slots=0)
    queue, share = _queue(session, step), _share(session, step, pool)
    bound = _bound(session, step, pool)
    if bound is not None:
        return Why(job=view.id, sentence=f"{step.name}: {bound}", step=step.name, need=step.need_key)
    wait_s = queue.ahead_s / (pool.slots * share) + (0.0 if pool.idle else pool.free_in_s)
    count = f"over {_COUNTED}" if queue.position > _COUNTED else str(queue.position)
    return Why(
        job=view.id,
        sentence=(
            f"{step.name} is number {count} of your team's steps for {step.need_key}; "
            f"{pool.slots - pool.idle} of {pool.slots} slots are busy, your team's share is {share:.0%}, "
            f"and it should start in about {wait_s:.0f} s"
        ),
        step=step.name,
        need=step.need_key,
        position=queue.position,
        share=share,
        slots=pool.slots,
        idle=pool.idle,
        expected_start_s=wait_s,
    )


def _nobody(pool: _Pool) -> str | None:
    """Say why nodes that could run a step do not, if there are such nodes."""
    if pool.resting:
        nodes = "the node that could run it is" if pool.resting == 1 else f"all {pool.resting} nodes are"
        return f"{nodes} drained or sick; it starts when one is resumed, or another joins"
    if pool.closed:
        return (
            f"{pool.closed} nodes could run it, but have no sandbox for what other teams upload; "
            "it starts when one that has joins"
        )
    return None


def _pool(session: Session, step: Step) -> _Pool:
    elapsed = select(Step.node_id, Step.started_at, Step.estimate_s).where(Step.state == StepState.RUNNING)
    nodes = session.execute(
        select(Node.id, Node.device, Node.slots, Node.offer)
        .join(NodeNeed, NodeNeed.node_id == Node.id)
        .where(NodeNeed.need_key == step.need_key, Node.state == NodeState.ONLINE)
    ).all()
    could = len(nodes)
    nodes = [node for node in nodes if node.offer.all_teams or step.team_id == DEFAULT_TEAM]
    ids = {node.id for node in nodes}
    now = session.execute(select(db_now())).scalar_one()
    left = [
        max(run.estimate_s - (now - run.started_at).total_seconds(), 0.0)
        for run in session.execute(elapsed.where(Step.node_id.in_(ids)))
    ]
    slots = sum(node.slots for node in nodes)
    return _Pool(
        devices=frozenset(node.device for node in nodes),
        slots=slots,
        idle=max(slots - len(left), 0),
        free_in_s=min(left, default=0.0),
        closed=could - len(nodes),
        resting=_resting(session, step),
    )


def _resting(session: Session, step: Step) -> int:
    """Return how many nodes could run it and take nothing now."""
    return session.execute(
        select(func.count())
        .select_from(Node)
        .join(NodeNeed, NodeNeed.node_id == Node.id)
        .where(NodeNeed.need_key == step.need_key, Node.state.in_({NodeState.DRAINING, NodeState.SICK}))
    ).scalar_one()


def _queue(session: Session, step: Step) -> _Queue:
    before = (Step.rank < step.rank) | ((Step.rank == step.rank) & (Step.seq < step.seq))
    ahead = (
        select(Step.estimate_s)
        .where(
            Step.state == StepState.QUEUED,
            Step.team_id == step.team_id,
            Step.need_key == step.need_key,
            before,
        )
        .limit(_COUNTED)
        .subquery()
    )
    count, seconds = session.execute(
        select(func.count(), func.coalesce(func.sum(ahead.c.estimate_s), 0.0))
    ).one()
    return _Queue(position=count + 1, ahead_s=seconds)


def _share(session: Session, step: Step, pool: _Pool) -> float:
    """Return the team's weight over the weights of all teams that want or use these devices now."""
    active = (
        select(Step.team_id)
        .where(
            ((Step.state == StepState.QUEUED) & (Step.need_key == step.need_key))
            | ((Step.state == StepState.RUNNING) & Step.running_on.in_(pool.devices))
        )
        .distinct()
    )
    weights: dict[UUID, float] = dict(
        session.execute(select(Team.id, Team.weight).where(Team.id.in_(active))).all()
    )
    return weights[step.team_id] / sum(weights.values())


def _bound(session: Session, step: Step, pool: _Pool) -> str | None:
    """Return which of the team's own bounds keeps it waiting, if one does."""
    team, funded = session.execute(select(Team, within_budget()).where(Team.id == step.team_id)).one()
    if not funded:
        return f"your team has used its {team.budget_s:g} device-seconds; an operator grants more"
    running = session.execute(
        select(func.count())
        .select_from(Step)
        .where(
            Step.state == StepState.RUNNING,
            Step.team_id == step.team_id,
            Step.running_on.in_(pool.devices),
        )
    ).scalar_one()
    if team.max_running is not None and running >= team.max_running * len(pool.devices):
        return f"your team runs {running} steps already, as many as it may ({team.max_running})"
    return None
