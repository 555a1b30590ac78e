"""Metrics for Prometheus, read from the database at each scrape."""

from fastapi import APIRouter, Response
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from api import problems
from api.deps import Operator, Reading
from storage.metrics import metrics

router = APIRouter(tags=["health"])


class _Once:
    """What a registry collects from: families that were read already."""

    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> list[Metric]:
        return self._families


@router.get("/metrics", name="metrics", response_class=Response, responses=problems.document(401, 403))
def show(session: Reading, operator: Operator) -> Response:
    """Show queues, steps, nodes, attempts and device-seconds; on a farm with keys to operators only."""
    del operator
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Once(list(metrics(session))))
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)
