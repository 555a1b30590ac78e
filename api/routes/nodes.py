"""Nodes: who is in the pool, what each offers, and what an operator does with one."""

from fastapi import APIRouter

from api import problems
from api.deps import Operator, Reading, Team, Writing
from ovfarm.jobs import NodeView
from ovfarm.shapes import NodeId
from storage import nodes

router = APIRouter(prefix="/nodes", tags=["nodes"])


@router.get("", name="list")
def list_nodes(session: Reading, team: Team) -> tuple[NodeView, ...]:
    """List the nodes with what they offer and run; other teams' steps have no names here."""
    return nodes.nodes(session, team)


@router.post("/{node_id}/drain", name="drain", responses=problems.document(403, 404))
def drain(node_id: NodeId, session: Writing, operator: Operator) -> NodeView:
    """Let a node finish what it runs and take nothing new, until it is resumed; restarts keep it so."""
    return nodes.drain(session, operator.team, node_id)


@router.post("/{node_id}/resume", name="resume", responses=problems.document(403, 404))
def resume(node_id: NodeId, session: Writing, operator: Operator) -> NodeView:
    """Let a drained or sick node take steps again."""
    return nodes.resume(session, operator.team, node_id)
