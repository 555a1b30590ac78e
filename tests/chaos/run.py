"""One chaos run: load, faults in the order of the seed, quiet, and the checks."""

import random
import sys
import threading
import time
from dataclasses import dataclass

from sqlalchemy import func, select

from ovfarm.errors import Unavailable
from ovfarm.states import JOB_ENDED
from ovfarm.teams import CollectGarbage
from storage.database import Database
from storage.garbage import collect
from storage.tables import Job
from tests.chaos.faults import faults
from tests.chaos.invariants import Accepted, Found, check
from tests.chaos.load import Clients, specs, upload
from tests.chaos.world import LEASE_S, Kind, World, world

_SETTLE_S = 240.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run is to be; the same plan strikes the same faults in the same order on the same jobs."""

    kind: Kind = Kind.EMBEDDED
    jobs: int = 1000
    minutes: float = 30.0
    seed: int = 1
    nodes: int = 3
    pause_s: float = 3.0


@dataclass(frozen=True, slots=True)
class Report:
    """What came of it."""

    jobs: int
    faults: int
    found: Found
    seconds: float

    def line(self) -> dict[str, int]:
        """Return the counts that everybody asks for."""
        found = self.found
        return {
            "jobs": self.jobs,
            "faults": self.faults,
            "lost": len(found.lost),
            "doubled": len(found.doubled),
            "orphans": len(found.orphans),
            "backwards": len(found.backwards),
        }


def say(text: str) -> None:
    """Tell what happens."""
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {text}\n")
    sys.stderr.flush()


def run(plan: Plan) -> Report:
    """Break a farm while it works, and look what is left of its promises."""
    began = time.monotonic()
    dice = random.Random(plan.seed)  # noqa: S311 - a choice of faults
    with world(plan.kind, plan.nodes) as farm:
        client = farm.client()
        made = specs(plan.jobs, upload(client), LEASE_S, random.Random(plan.seed))  # noqa: S311 - a choice of jobs
        client.transport.close()
        clients = Clients(farm.client, made, plan.seed)
        threads = clients.submit_all()
        struck = _strike(plan, farm, clients, threads, dice)
        clients.stop.set()
        for thread in threads:
            thread.join()
        found = _judge(farm, clients)
        if found.all:
            say(farm.stack.log()[-6000:])
    return Report(len(clients.jobs), struck, found, time.monotonic() - began)


def _strike(
    plan: Plan, farm: World, clients: Clients, threads: list[threading.Thread], dice: random.Random
) -> int:
    """Strike a fault every few seconds until the work is done or the time is over; returns their number."""
    possible, struck = faults(plan.kind), 0
    deadline = time.monotonic() + plan.minutes * 60
    database = farm.database()
    try:
        while time.monotonic() < deadline:
            if not any(thread.is_alive() for thread in threads) and not _unended(database):
                break
            time.sleep(dice.uniform(0.5, 1.5) * plan.pause_s)
            fault = dice.choice(possible)
            try:
                words = fault(farm, dice)
            except Exception as error:  # noqa: BLE001 - a fault that cannot strike now is no finding
                words = f"{fault.__name__} could not strike: {error}"
            struck += 1
            say(f"{struck:4d} {words}  ({len(clients.jobs)} accepted, {_unended(database)} to go)")
    finally:
        database.close()
    return struck


def _unended(database: Database) -> int:
    try:
        with database.read() as session:
            open_jobs = select(func.count()).select_from(Job).where(Job.state.not_in(JOB_ENDED))
            return session.execute(open_jobs).scalar_one()
    except Unavailable:
        return -1


def _judge(farm: World, clients: Clients) -> Found:
    """Let the farm come to rest, and compute what must hold."""
    database = farm.database()
    try:
        deadline = time.monotonic() + _SETTLE_S
        while _unended(database) and time.monotonic() < deadline:
            time.sleep(0.5)
        farm.mended()
        say(f"at rest: {len(clients.jobs)} jobs, {_unended(database)} of them open; checking …")
        left = farm.leave()
        collect(database, farm.blobs(), farm.stack.home, CollectGarbage(apply=True, grace_s=0))
        with database.read() as session:
            found = check(session, farm.blobs(), Accepted(clients.jobs, frozenset(clients.cancelled)))
    finally:
        database.close()
    found.orphans += left
    for breach in found.all:
        say(f"BREACH {breach}")
    return found
