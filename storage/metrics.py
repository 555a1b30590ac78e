"""What the farm says of itself in numbers, all read from the database: any API process tells the same."""

from collections.abc import Iterable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from ovfarm.jobs import NodeState
from ovfarm.states import StepState
from storage.columns import db_now
from storage.tables import Attempt, Node, Share, Step, Team

# Upper bounds in seconds.
_BUCKETS_S = (0.1, 0.5, 1, 5, 15, 60, 300, 1800, 7200)
_WINDOW_S = 3600.0


def metrics(session: Session) -> Iterator[Metric]:
    """Yield all families; a scrape counts all steps and attempts, so it grows with the farm's history."""
    yield from _queues(session)
    yield _states(session)
    yield _nodes(session)
    yield from _attempts(session)
    yield _used(session)


def _queues(session: Session) -> Iterator[Metric]:
    depth = GaugeMetricFamily("ovfarm_queued_steps", "Steps that wait for a node", labels=["need"])
    age = GaugeMetricFamily(
        "ovfarm_oldest_queued_seconds", "How long the oldest of them has waited", labels=["need"]
    )
    rows = session.execute(
        select(Step.need_key, func.count(), func.min(Step.queued_at), db_now())
        .where(Step.state == StepState.QUEUED)
        .group_by(Step.need_key)
    )
    for need, count, oldest, now in rows:
        depth.add_metric([need], count)
        if oldest is not None:
            age.add_metric([need], max((now - oldest).total_seconds(), 0.0))
    yield depth
    yield age


def _states(session: Session) -> Metric:
    family = GaugeMetricFamily("ovfarm_steps", "Steps by state", labels=["state"])
    found = dict(session.execute(select(Step.state, func.count()).group_by(Step.state)).all())
    for state in StepState:
        family.add_metric([state.value], found.get(state, 0))
    return family


def _nodes(session: Session) -> Metric:
    family = GaugeMetricFamily("ovfarm_nodes", "Nodes by class and state", labels=["device", "state"])
    rows = session.execute(select(Node.device, Node.state, func.count()).group_by(Node.device, Node.state))
    found = {(device, state): count for device, state, count in rows}
    for device in {device for device, _ in found}:
        for state in NodeState:
            family.add_metric([device.value, state.value], found.get((device, state), 0))
    return family


def _attempts(session: Session) -> Iterator[Metric]:
    ends = CounterMetricFamily("ovfarm_attempts", "Attempts that have ended, by outcome", labels=["outcome"])
    rows = session.execute(select(Attempt.outcome, func.count()).group_by(Attempt.outcome))
    found = {outcome: count for outcome, count in rows if outcome is not None}
    for outcome, count in found.items():
        ends.add_metric([outcome], count)
    yield ends
    expired = CounterMetricFamily("ovfarm_lease_expirations", "Attempts whose node fell silent")
    expired.add_metric([], found.get("lost", 0))
    yield expired
    yield _durations(session)


def _durations(session: Session) -> Metric:
    """Count what succeeded within the last hour by how long it took."""
    family = HistogramMetricFamily(
        "ovfarm_step_duration_seconds", "Time of successful attempts of the last hour", labels=["kind"]
    )
    took: dict[str, list[float]] = {}
    rows = session.execute(
        select(Step.kind, Attempt.started_at, Attempt.finished_at)
        .join(Step, Step.id == Attempt.step_id)
        .where(Attempt.outcome == "succeeded", Attempt.finished_at > db_now(-_WINDOW_S))
    )
    for kind, started, finished in rows:
        if finished is not None:
            took.setdefault(kind.value, []).append((finished - started).total_seconds())
    for name, seconds in took.items():
        family.add_metric([name], _cumulated(seconds), sum(seconds))
    return family


def _cumulated(seconds: Iterable[float]) -> list[tuple[str, float]]:
    values = list(seconds)
    counts = [(str(bound), float(sum(value <= bound for value in values))) for bound in _BUCKETS_S]
    return [*counts, ("+Inf", float(len(values)))]


def _used(session: Session) -> Metric:
    family = CounterMetricFamily(
        "ovfarm_device_seconds", "Device-seconds by team and class, running steps at their estimate",
        labels=["team", "device"],
    )  # fmt: skip
    rows = session.execute(
        select(Team.name, Share.device, Share.used_s).join(Share, Share.team_id == Team.id)
    )
    for team, device, used_s in rows:
        family.add_metric([team, device.value], used_s)
    return family
