"""A claim: the right to run one attempt of one step, taken fairly, alone and for a limited time.

Claims of one device class are serialised by its clock's row, so quotas and fairness hold exactly.
The next team is the one with the least virtual time (start-time fair queueing; Goyal, Vin, Cheng,
SIGCOMM 1996); within a team rank decides, then age.
"""

from dataclasses import dataclass
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, ScalarSelect, Select, func, insert, select, true, tuple_, update
from sqlalchemy.orm import Session, aliased

from ovfarm.hardware import Device, Need
from ovfarm.jobs import Cache, JobSpec, NodeState
from ovfarm.policy import charge, start_time
from ovfarm.recipes import Kind, StepParams, known_steps
from ovfarm.states import JobState, StepEvent, StepState, step_sources, step_target
from storage.columns import db_now
from storage.events import record
from storage.jobs import start
from storage.nodes import NodeIdentity
from storage.tables import Attempt, DeviceClock, Host, Job, Node, NodeNeed, Share, Step, Team
from storage.teams import DEFAULT_TEAM

# Made once: an alias proxies every column of its table, which takes longer than to ask the database.
_OTHER, _BOOKS = aliased(Step), aliased(Share)


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to run one attempt; every write of its holder is guarded by ``id``."""

    id: UUID
    step_id: UUID
    job_id: UUID
    team_id: UUID
    name: str
    attempt: int
    max_attempts: int
    params: StepParams
    lineage: tuple[StepParams, ...]
    timeout_s: float
    memory_gib: int | None
    cache: Cache
    need: Need


@dataclass(frozen=True, slots=True)
class _Candidate:
    step: Step
    start: float
    weight: float


def claim(session: Session, node: NodeIdentity, lease_s: float) -> Claim | None:
    """Take the step that this node should run next, or None when there is none for it now."""
    clock, state = session.execute(
        select(DeviceClock.virtual_time, select(Node.state).where(Node.id == node.id).scalar_subquery())
        .where(DeviceClock.device == node.offer.device)
        .with_for_update(of=DeviceClock)
    ).one()
    if state is not NodeState.ONLINE:
        return None
    reserved_for = _lock_host(session, node.host)
    busy, exclusive = _load(session, node.host)
    if exclusive:
        return None
    candidate = _next(session, node, clock, reserved_for)
    if candidate is None:
        return None
    if candidate.step.kind is Kind.BENCHMARK and busy:
        _reserve(session, node.host, candidate.step.id, lease_s)
        return None
    return _take(session, node, candidate, lease_s)


def _lock_host(session: Session, name: str) -> UUID | None:
    """Lock a host's row and return the benchmark that it is kept free for, if that still waits."""
    reserved_for, holds = session.execute(
        select(Host.reserved_for, Host.reserved_until > db_now()).where(Host.name == name).with_for_update()
    ).one()
    if not holds:
        return None
    waits = select(Step.id).where(Step.id == reserved_for, Step.state == StepState.QUEUED)
    return session.execute(waits).scalar_one_or_none()


def _load(session: Session, host: str) -> tuple[int, int]:
    """Return how many steps run on a host, and how many of them are to be alone there."""
    alone = Attempt.exclusive.is_(True)
    busy, exclusive = session.execute(
        select(func.count(), func.count().filter(alone))
        .select_from(Attempt)
        .join(Step, Step.claim_id == Attempt.claim_id)
        .where(Attempt.host == host, Step.state == StepState.RUNNING)
    ).one()
    return busy, exclusive


def _reserve(session: Session, host: str, step_id: UUID, lease_s: float) -> None:
    """Keep a host free for a benchmark: what runs there ends, and nothing new starts."""
    session.execute(
        update(Host).where(Host.name == host).values(reserved_for=step_id, reserved_until=db_now(lease_s))
    )


def _next(session: Session, node: NodeIdentity, clock: float, reserved_for: UUID | None) -> _Candidate | None:
    """Return the first step, in fair order, that this node can run, with its team's share locked.

    An end takes the share before the job, so a claim must too: the other way round they would wait
    for each other until Postgres kills one of them, a second later.
    """
    # Where two start at the clock, the one that was away for longer goes first.
    found = session.execute(
        select(Step, Share.virtual_time, Team.weight, running_steps(node.offer.device))
        .join(Share, (Share.team_id == Step.team_id) & (Share.device == node.offer.device))
        .join(Team, Team.id == Step.team_id)
        .where(Step.seq.in_(_heads(node, reserved_for)))
        .order_by(Share.virtual_time, Team.id, Step.rank, Step.seq)
        .limit(1)
        .with_for_update(of=Share)
    ).first()
    if found is None:
        return None
    step, virtual_time, weight, running = found
    start = start_time(virtual_time, clock, running=running)
    return _Candidate(step=step, start=start, weight=weight)


def _heads(node: NodeIdentity, reserved_for: UUID | None) -> Select[tuple[int]]:
    """Return the first step of each team for each need: one index probe each, whatever the queues' length.

    Kinds and versions that this release does not know stay for a newer node, and a step stays away
    from the node that it last failed on while there are others (``storage.sweep`` ends that).
    """
    head = (
        select(Step.seq)
        .where(
            Step.state == StepState.QUEUED,
            Step.team_id == Share.team_id,
            Step.need_key == NodeNeed.need_key,
            _known(node),
            Step.avoid_node.is_(None) | (Step.avoid_node != node.id),
        )
        .order_by(Step.rank, Step.seq)
        .limit(1)
        .correlate(Share, NodeNeed)
    )
    if reserved_for is not None:
        head = head.where(Step.id == reserved_for)
    return (
        select(head.scalar_subquery())
        .select_from(Share)
        .join(Team, Team.id == Share.team_id)
        .join(NodeNeed, NodeNeed.node_id == node.id)
        .where(Share.device == node.offer.device, _trusted(node), *within_bounds(node.offer.device))
        .correlate(None)
    )


def _trusted(node: NodeIdentity) -> ColumnElement[bool]:
    """Keep what others upload from a node that has no sandbox: it works for the default team alone."""
    return true() if node.offer.all_teams else Team.id == DEFAULT_TEAM


def within_bounds(device: Device) -> tuple[ColumnElement[bool], ...]:
    """Return what a team must keep to get anything more: ``max_running`` and its budget."""
    return (Team.max_running.is_(None) | (Team.max_running > running_steps(device)), within_budget())


def running_steps(device: Device) -> ScalarSelect[int]:
    """Return how many steps of the enclosing query's team run on a class of devices."""
    return (
        select(func.count())
        .select_from(_OTHER)
        .where(_OTHER.state == StepState.RUNNING, _OTHER.running_on == device, _OTHER.team_id == Team.id)
        .correlate(Team)
        .scalar_subquery()
    )


def within_budget() -> ColumnElement[bool]:
    """Return whether a team has device-seconds left, over all classes of devices."""
    used = select(func.sum(_BOOKS.used_s)).where(_BOOKS.team_id == Team.id).correlate(Team).scalar_subquery()
    return Team.budget_s.is_(None) | (Team.budget_s > used)


def _known(node: NodeIdentity) -> ColumnElement[bool]:
    pairs = (text.split("/") for text in node.offer.steps or known_steps())
    return tuple_(Step.kind, Step.step_version).in_([(Kind(kind), int(version)) for kind, version in pairs])


def _take(session: Session, node: NodeIdentity, candidate: _Candidate, lease_s: float) -> Claim | None:
    """Lock the job, make the step this node's, and charge the team; None when it was cancelled."""
    step, claim_id = candidate.step, uuid4()
    spec, state = session.execute(
        select(Job.spec, Job.state).where(Job.id == step.job_id).with_for_update()
    ).one()
    attempt = session.execute(
        update(Step)
        .where(Step.id == step.id, Step.state.in_(step_sources(StepEvent.CLAIM)))
        .values(
            state=step_target(StepEvent.CLAIM),
            attempt=Step.attempt + 1,
            claim_id=claim_id,
            node_id=node.id,
            running_on=node.offer.device,
            lease_until=db_now(lease_s),
            started_at=db_now(),
        )
        .returning(Step.attempt)
        .execution_options(synchronize_session=False)
    ).scalar_one_or_none()
    if attempt is None:
        return None
    _charge(session, node, candidate)
    claimed = _claimed(claim_id, attempt, step, spec)
    _open_attempt(session, node, claimed, step)
    if state is JobState.QUEUED:
        start(session, claimed.job_id)
    record(
        session,
        claimed.job_id,
        StepEvent.CLAIM,
        step_id=claimed.step_id,
        claim_id=claimed.id,
        attempt=claimed.attempt,
        reason=f"{node.name} ({node.offer.device_name}) serves {step.need_key}",
    )
    return claimed


def _claimed(claim_id: UUID, attempt: int, step: Step, spec: JobSpec) -> Claim:
    return Claim(
        id=claim_id,
        step_id=step.id,
        job_id=step.job_id,
        team_id=step.team_id,
        name=step.name,
        attempt=attempt,
        max_attempts=step.max_attempts,
        params=step.params,
        lineage=step.lineage,
        timeout_s=step.timeout_s,
        memory_gib=spec.limits.memory_gib,
        cache=spec.cache,
        need=Need.model_validate(step.need_key),
    )


def _open_attempt(session: Session, node: NodeIdentity, claimed: Claim, step: Step) -> None:
    session.execute(
        insert(Attempt).values(
            claim_id=claimed.id,
            step_id=claimed.step_id,
            number=claimed.attempt,
            node_id=node.id,
            host=node.host,
            exclusive=claimed.params.kind is Kind.BENCHMARK,
            charged_s=step.estimate_s,
            started_at=db_now(),
        )
    )


def _charge(session: Session, node: NodeIdentity, candidate: _Candidate) -> None:
    device = node.offer.device
    session.execute(
        update(DeviceClock).where(DeviceClock.device == device).values(virtual_time=candidate.start)
    )
    session.execute(
        update(Share)
        .where(Share.team_id == candidate.step.team_id, Share.device == device)
        .values(
            virtual_time=charge(candidate.start, candidate.step.estimate_s, candidate.weight),
            used_s=Share.used_s + candidate.step.estimate_s,
        )
    )
