"""Nodes: who is in the pool, what each offers, and which needs each serves."""

from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, delete, select, update
from sqlalchemy.orm import Session

from ovfarm.errors import NotFound
from ovfarm.hardware import Need, Offer
from ovfarm.jobs import NodeState, NodeView
from ovfarm.shapes import public_id
from ovfarm.states import StepState
from storage.columns import db_now
from storage.database import ring_after_commit
from storage.rows import insert_once
from storage.tables import DeviceClock, Host, NeedRow, Node, NodeNeed, Step


@dataclass(frozen=True, slots=True)
class NodeIdentity:
    """What a worker process needs to know of itself in order to claim."""

    id: UUID
    name: str
    host: str
    offer: Offer


def register(session: Session, name: str, host: str, offer: Offer, slots: int) -> NodeIdentity:
    """Put a node into the pool, or put it back after a restart, and match it with all known needs."""
    insert_once(session, Host, name=host)
    insert_once(session, DeviceClock, device=offer.device, virtual_time=0.0)
    insert_once(
        session,
        Node,
        id=uuid4(),
        name=name,
        host=host,
        device=offer.device,
        state=NodeState.ONLINE,
        offer=offer,
        steps=" ".join(offer.steps),
        slots=slots,
        cordoned=False,
        started_at=db_now(),
        seen_at=db_now(),
    )
    node_id = session.execute(
        update(Node)
        .where(Node.name == name)
        .values(
            host=host,
            device=offer.device,
            state=NodeState.ONLINE,
            offer=offer,
            steps=" ".join(offer.steps),
            slots=slots,
            started_at=db_now(),
            seen_at=db_now(),
        )
        .returning(Node.id)
    ).scalar_one()
    session.execute(
        update(Node).where(Node.id == node_id, Node.cordoned.is_(True)).values(state=NodeState.DRAINING)
    )
    _match_node(session, node_id, offer)
    return NodeIdentity(id=node_id, name=name, host=host, offer=offer)


def _match_node(session: Session, node_id: UUID, offer: Offer) -> None:
    session.execute(delete(NodeNeed).where(NodeNeed.node_id == node_id))
    for row in session.execute(select(NeedRow)).scalars():
        if offer.fits(row.need):
            insert_once(session, NodeNeed, node_id=node_id, need_key=row.key)


def ask_for(session: Session, needs: Collection[Need]) -> None:
    """Make needs known, and match the new ones with the nodes that there are."""
    for _, need in sorted({need.key: need for need in needs}.items()):
        added = insert_once(session, NeedRow, key=need.key, need=need, created_at=db_now())
        if not added:
            continue
        for node in session.execute(select(Node)).scalars():
            if node.offer.fits(need):
                insert_once(session, NodeNeed, node_id=node.id, need_key=need.key)


def beat(session: Session, node_id: UUID, *, leaving: bool = False) -> NodeState:
    """Note that a node is alive and return how it stands; a sick one stays so until it is resumed."""
    before, cordoned = session.execute(
        update(Node)
        .where(Node.id == node_id)
        .values(seen_at=db_now())
        .returning(Node.state, Node.cordoned)
        .execution_options(synchronize_session=False)
    ).one()
    state = NodeState.DRAINING if cordoned or leaving else NodeState.ONLINE
    if before in {state, NodeState.SICK}:
        return before
    set_state(session, node_id, state)
    return state


def set_state(session: Session, node_id: UUID, state: NodeState) -> None:
    """Say how a node stands."""
    session.execute(update(Node).where(Node.id == node_id).values(state=state))


def recover(session: Session, node_id: UUID) -> None:
    """Take a sick node back into service; one that stands otherwise stays as it is."""
    session.execute(
        update(Node).where(Node.id == node_id, Node.state == NodeState.SICK).values(state=NodeState.ONLINE)
    )


def silence_s(session: Session, name: str) -> float:
    """Return for how many seconds a node has said nothing; raises NotFound when none has this name."""
    row = session.execute(select(Node.seen_at, db_now()).where(Node.name == name)).first()
    if row is None:
        raise NotFound(f"there is no node {name!r}")
    seen, now = row
    return float((now - seen).total_seconds())


def silent(session: Session, silent_for_s: float) -> bool:
    """Tell whether a node has said nothing for so long without being marked as lost."""
    return session.execute(select(Node.id).where(*_silent(silent_for_s)).limit(1)).first() is not None


def mark_lost(session: Session, silent_for_s: float) -> int:
    """Mark the nodes that have said nothing for so long; returns their number."""
    lost = session.execute(
        update(Node).where(*_silent(silent_for_s)).values(state=NodeState.LOST).returning(Node.id)
    )
    return len(lost.all())


def _silent(silent_for_s: float) -> tuple[ColumnElement[bool], ...]:
    return (Node.state.in_({NodeState.ONLINE, NodeState.DRAINING}), Node.seen_at < db_now(-silent_for_s))


def drain(session: Session, team: UUID, node_id: UUID) -> NodeView:
    """Let a node take nothing new until it is resumed, restarts included; raises NotFound."""
    return _steer(session, team, node_id, cordoned=True)


def resume(session: Session, team: UUID, node_id: UUID) -> NodeView:
    """Let a drained or sick node take steps again; raises NotFound."""
    return _steer(session, team, node_id, cordoned=False)


def _steer(session: Session, team: UUID, node_id: UUID, *, cordoned: bool) -> NodeView:
    before = session.execute(
        update(Node).where(Node.id == node_id).values(cordoned=cordoned).returning(Node.state)
    ).scalar_one_or_none()
    if before is None:
        raise NotFound(f"there is no node {public_id('nod', node_id)}", hint="list them: ovfarm nodes ls")
    if before not in {NodeState.LOST, NodeState.LEFT}:
        set_state(session, node_id, NodeState.DRAINING if cordoned else NodeState.ONLINE)
    if not cordoned:
        for need in session.execute(
            select(NeedRow).join(NodeNeed).where(NodeNeed.node_id == node_id)
        ).scalars():
            ring_after_commit(session, need.need.queue)
    return next(view for view in nodes(session, team) if view.id == node_id)


def nodes(session: Session, team: UUID) -> tuple[NodeView, ...]:
    """Return all nodes by name, with the steps that each runs, named if they are this team's."""
    running: dict[UUID, list[str]] = {}
    for node_id, name, owner in session.execute(
        select(Step.node_id, Step.name, Step.team_id).where(Step.state == StepState.RUNNING)
    ):
        if node_id:
            running.setdefault(node_id, []).append(name if owner == team else "(another team's)")
    return tuple(
        NodeView(
            id=row.id,
            name=row.name,
            host=row.host,
            state=row.state,
            offer=row.offer,
            running=tuple(running.get(row.id, ())),
            started_at=row.started_at,
            seen_at=row.seen_at,
        )
        for row in session.execute(select(Node).order_by(Node.name)).scalars()
    )
