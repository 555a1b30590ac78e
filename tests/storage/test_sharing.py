"""Fair between teams, exact in quotas, and alone when it measures."""

import threading
from collections import Counter
from uuid import UUID

from sqlalchemy import func, select, update

from ovfarm.recipes import Benchmark
from storage import claims
from storage.claims import Claim
from storage.columns import db_now
from storage.database import Database
from storage.tables import Attempt, Step
from tests.storage.farm import CPU, Farm, probes
from tests.storage.models import int8_job


def run_for(farm: Farm, claim: Claim, seconds: float) -> None:
    """Let a claim have taken so long, and end it."""
    with farm.database.write() as session:
        session.execute(
            update(Attempt).where(Attempt.claim_id == claim.id).values(started_at=db_now(-seconds))
        )
    farm.succeed(claim)


def test_device_seconds_follow_the_weights_whatever_the_steps_cost(farm: Farm) -> None:
    light, heavy = farm.add_team("light", weight=1), farm.add_team("heavy", weight=3)
    for team in (light, heavy):
        for _ in range(60):
            farm.submit(team=team)
    used: Counter[UUID] = Counter()
    cost = {light: 4, heavy: 2}
    for _ in range(60):
        claim = farm.must_claim()
        used[claim.team_id] += cost[claim.team_id]
        run_for(farm, claim, cost[claim.team_id])
    share = used[heavy] / used.total()
    assert 0.70 <= share <= 0.80


def test_a_newcomer_starts_before_anyone_elses_next_but_one(farm: Farm) -> None:
    old = farm.add_team("old")
    for _ in range(20):
        farm.submit(team=old)
    for _ in range(10):
        run_for(farm, farm.must_claim(), 5)
    newcomer = farm.add_team("new")
    farm.submit(team=newcomer)
    assert newcomer in {farm.must_claim().team_id for _ in range(2)}


def test_max_running_holds_exactly(farm: Farm) -> None:
    bounded = farm.add_team("bounded", max_running=2)
    for _ in range(5):
        farm.submit(team=bounded)
    claims = [farm.claim() for _ in range(5)]
    assert sum(claim is not None for claim in claims) == 2
    first = claims[0]
    assert first is not None
    farm.succeed(first)
    assert farm.claim() is not None


def test_priority_orders_within_a_team_and_age_breaks_ties(farm: Farm) -> None:
    slow, first, second = (farm.submit(probes(priority=priority)) for priority in (-1, 5, 5))
    order = [farm.must_claim().job_id for _ in range(3)]
    assert order == [first.id, second.id, slow.id]


def test_a_benchmark_waits_for_its_host_and_keeps_it_free(farm: Farm) -> None:
    neighbour, elsewhere = farm.join("node-2"), farm.join("node-3", "host-3")
    busy_job = farm.submit(probes(priority=50))
    busy = farm.must_claim(neighbour)
    assert busy.job_id == busy_job.id
    job = int8_job(farm)
    for name in ("convert", "evaluate-reference", "quantize"):
        claim = farm.must_claim()
        assert claim.name == name
        farm.succeed(claim)
    evaluate = farm.must_claim()
    farm.succeed(evaluate)
    assert isinstance(farm.view(job).steps[4].kind, str)
    assert farm.claim() is None, "the host is busy, so the benchmark reserves it"
    farm.submit(probes(priority=90))
    assert farm.claim() is None, "nothing new starts on a reserved host"
    assert farm.claim(elsewhere) is not None, "other hosts go on"
    farm.succeed(busy)
    bench = farm.must_claim()
    assert isinstance(bench.params, Benchmark)
    assert farm.claim(neighbour) is None, "a running benchmark is alone on its host"
    farm.succeed(bench)
    assert farm.claim(neighbour) is not None


def test_a_reservation_ends_with_its_benchmark(farm: Farm) -> None:
    busy_job = farm.submit(probes(priority=50))
    neighbour = farm.join("node-2")
    busy = farm.must_claim(neighbour)
    assert busy.job_id == busy_job.id
    job = int8_job(farm)
    for _ in range(4):
        farm.succeed(farm.must_claim())
    assert farm.claim() is None
    farm.cancel(job)
    other = farm.submit()
    assert farm.must_claim().job_id == other.id
    with farm.session() as session:
        assert session.query(Step).count() > 0


def test_two_nodes_that_serve_different_needs_do_not_exceed_max_running_together(farm: Farm) -> None:
    bounded = farm.add_team("one", max_running=1)
    lab = farm.join("lab", "host-lab", CPU.model_copy(update={"pools": ("lab",)}))
    small = CPU.model_copy(update={"memory_bytes": 1 << 30})
    farm.join("node-1", "host", small)
    farm.submit(probes(targets=["cpu/pool=lab"]), team=bounded)
    farm.submit(probes(targets=["cpu"]), team=bounded)
    second: list[Claim | None] = []
    with farm.database.write() as session:
        first = claims.claim(session, lab, 30.0)
        other = threading.Thread(target=lambda: second.append(farm.claim()))
        if farm.database.url.startswith("postgresql"):
            other.start()
            other.join(0.5)  # it waits for the class's clock, which this transaction holds
    if not other.is_alive() and not second:
        other.start()
    other.join()
    assert first is not None
    assert second == [None]


def test_the_bell_rings_when_others_can_see_what_it_rings_for(farm: Farm) -> None:
    seen: list[int] = []

    def look(_queue: str) -> None:
        database = Database(farm.database.url)
        with database.read() as session:
            seen.append(session.execute(select(func.count()).select_from(Step)).scalar_one())
        database.close()

    farm.database._bell = look
    farm.submit()
    assert seen == [1]
