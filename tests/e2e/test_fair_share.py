"""Fair share between real processes: two saturating teams, and one that comes later."""

import json
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

import pytest
from sqlalchemy import select, type_coerce

from ovfarm.client import Client
from ovfarm.jobs import Cache, JobSpec
from ovfarm.recipes import Probe, ProbeAction, Recipe
from ovfarm.states import JobState
from storage.columns import UtcDateTime, db_now
from storage.database import Database
from storage.tables import Event, Job, Share, Team
from tests.e2e.stack import Stack, eventually

pytestmark = pytest.mark.scale
STEP_S, RUN_S = 0.25, 12.0
SLOTS = 4


def operate(stack: Stack, **order: object) -> dict[str, object]:
    """Give the farm's own process an order, as ``ovfarm admin`` does."""
    done = subprocess.run(
        [sys.executable, "-m", "api", "operate"],
        input=json.dumps(order),
        env=stack.environment,
        capture_output=True,
        text=True,
        check=True,
    )
    answer = json.loads(done.stdout)
    return answer if isinstance(answer, dict) else {}


def member(stack: Stack, team: str, weight: float) -> Client:
    """Make a team and return a client with its key."""
    operate(stack, order="add_team", team=team, weight=weight)
    return Client(stack.url, key=str(operate(stack, order="add_key", team=team)["secret"]))


def saturate(client: Client, steps: int) -> None:
    """Submit jobs of ten steps each, more than can be run."""
    sleeps = tuple(Probe(name=f"s{n}", action=ProbeAction.SLEEP, seconds=STEP_S) for n in range(10))
    spec = JobSpec(recipe=Recipe(name="sleep", steps=sleeps), cache=Cache.OFF)
    for _ in range(steps // 10):
        client.submit(spec)


def used_s(database: Database) -> dict[str, float]:
    with database.read() as session:
        rows = session.execute(select(Team.name, Share.used_s).join(Share, Share.team_id == Team.id))
        used: dict[str, float] = {}
        for name, seconds in rows:
            used[name] = used.get(name, 0.0) + seconds
        return used


def now(database: Database) -> datetime:
    with database.read() as session:
        return session.execute(select(type_coerce(db_now(), UtcDateTime()))).scalar_one()


def claims_since(database: Database, instant: datetime) -> list[str]:
    """Return whose steps were claimed since, in order."""
    with database.read() as session:
        owners = select(Team.name).join(Job, Job.team_id == Team.id).join(Event, Event.job_id == Job.id)
        since = owners.where(Event.event == "claim", Event.at >= instant)
        return list(session.execute(since.order_by(Event.id)).scalars())


def test_two_teams_get_their_weights_and_a_newcomer_is_next(tmp_path: Path, database_url: str) -> None:
    environment = {"OVFARM_SLOTS": str(SLOTS // 2)}
    with Stack(tmp_path / "farm", database_url, environment=environment) as stack:
        light, heavy, late = (member(stack, name, w) for name, w in (("light", 1), ("heavy", 3), ("late", 1)))
        for client in (light, heavy):
            saturate(client, 300)
        for number in range(2):
            stack.worker(f"node-{number}")
        database = Database(database_url)
        try:
            assert eventually(lambda: sum(used_s(database).values()) > 5, 30)
            before = used_s(database)
            time.sleep(RUN_S)
            after = used_s(database)
            got = {name: after[name] - before[name] for name in ("light", "heavy")}
            assert abs(got["heavy"] / sum(got.values()) - 0.75) <= 0.03, got
            late.submit(JobSpec(recipe=Recipe(name="p", steps=(Probe(),)), cache=Cache.OFF))
            answered = now(database)
            assert eventually(lambda: len(claims_since(database, answered)) > 2 * SLOTS, 20)
            order = claims_since(database, answered)
            # Its claim may already have come before the answer; else it is before anybody's next but one.
            first = order[: order.index("late")] if "late" in order else []
            assert all(first.count(team) <= 1 for team in ("light", "heavy")), order
            assert [job.state for job in late.jobs().items] == [JobState.SUCCEEDED]
        finally:
            database.close()
            for client in (light, heavy, late):
                client.transport.close()
