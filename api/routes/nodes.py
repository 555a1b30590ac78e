"""Nodes: who is in the pool, and what each offers."""

from fastapi import APIRouter

from api.deps import Reading
from ovfarm.jobs import NodeView
from storage import nodes

router = APIRouter(prefix="/nodes", tags=["nodes"])


@router.get("", name="list")
def list_nodes(session: Reading) -> tuple[NodeView, ...]:
    """List the nodes with what they offer and run."""
    return nodes.nodes(session)
