"""Benchmarks of the shared pool: claims in long queues, steps per second, and the wait for the first one."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

import psycopg
from sqlalchemy import text

from ovfarm.jobs import Cache, JobSpec
from ovfarm.recipes import Probe, Recipe
from storage.schema import migrate
from tests.bench.measure import Samples
from tests.e2e.stack import TOOLS, Stack, eventually
from tests.runner.postgres import free_port, postgres
from tests.runner.redis import RedisServer
from tests.storage.farm import Farm

_SHORT, _LONG = 1_000, 1_000_000
_CLAIMS = 40
_STEPS = 300
_SAME = (
    "team_id, job_id, kind, step_version, params, lineage, need_key, state, rank, waiting, attempt,"
    " max_attempts, timeout_s, estimate_s, cached, created_at, queued_at"
)
_ONE_STEP = JobSpec(recipe=Recipe(name="probe", steps=(Probe(),)), cache=Cache.OFF)


@contextmanager
def _database() -> Iterator[str]:
    """Yield the URL of a fresh, migrated database on Postgres."""
    with postgres() as server:
        name = f"ovfarm_bench_{os.getpid()}_{uuid4().hex[:6]}"
        url = f"{server.replace('+psycopg', '')}/postgres"
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        try:
            migrate(f"{server}/{name}")
            yield f"{server}/{name}"
        finally:
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def _fill(farm: Farm, count: int) -> None:
    """Copy the one queued step until ``count`` wait, below one job."""
    with farm.database.write() as session:
        session.execute(text("SET LOCAL statement_timeout = 0"))
        session.execute(
            text(
                f"INSERT INTO steps (id, ordinal, name, {_SAME})"  # noqa: S608 - our own columns
                f" SELECT gen_random_uuid(), n, 'copy-' || n, {_SAME}"
                " FROM (SELECT * FROM steps LIMIT 1) s, generate_series(1, :count) n"
            ),
            {"count": count - 1},
        )
    with farm.database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("SET statement_timeout = 0"))
        connection.execute(text("VACUUM ANALYZE steps"))


def _claims_ms(queued: int) -> list[float]:
    """Return how long claims took, each with its success, in a queue of ``queued`` steps."""
    with _database() as url:
        farm = Farm(url)
        farm.submit()
        _fill(farm, queued)
        took = []
        for _ in range(_CLAIMS):
            began = time.perf_counter()
            claim = farm.must_claim()
            took.append((time.perf_counter() - began) * 1e3)
            with farm.database.write() as session:
                ended = text("UPDATE steps SET state = 'succeeded' WHERE id = :step")
                session.execute(ended, {"step": claim.step_id})
        farm.database.close()
    return took


def claim_growth() -> Samples:
    """Time a claim among a million queued steps, and among a thousand."""
    return Samples(_claims_ms(_LONG), _claims_ms(_SHORT))


@contextmanager
def _pool(slots: int) -> Iterator[Stack]:
    with tempfile.TemporaryDirectory() as name, _database() as url, RedisServer(free_port(), name) as redis:
        environment = {"OVFARM_BROKER_URL": redis.url, "OVFARM_SLOTS": str(slots), **TOOLS}
        with Stack(Path(name), url, environment=environment) as stack:
            stack.worker("node")
            yield stack


def throughput() -> Samples:
    """Count steps per second of one node with two slots, and tasks of plain Celery doing the same."""
    samples = Samples([], [])
    with _pool(2) as stack:
        for _ in range(2):
            steps = tuple(Probe(name=f"p{number}") for number in range(10))
            spec = JobSpec(recipe=Recipe(name="probe", steps=steps), cache=Cache.OFF)
            began = time.perf_counter()
            jobs = [stack.client.submit(spec) for _ in range(_STEPS // 10)]
            for job in jobs:
                stack.client.wait(job.id, timeout_s=120)
            samples.value.append(_STEPS / (time.perf_counter() - began))
    samples.reference.extend(_plain_celery() for _ in range(2))
    return samples


_PLAIN = """
import sys, time, tempfile
from pathlib import Path
from celery import Celery
from ovfarm.recipes import Probe
from workers.protocol import Bench
from workers.steps import probe
app = Celery("plain", broker=sys.argv[1], backend=sys.argv[1])
app.conf.update(task_acks_late=True, worker_prefetch_multiplier=1, worker_hijack_root_logger=False)

@app.task(name="plain.probe")
def one():
    with tempfile.TemporaryDirectory() as name:
        probe.run(Probe(), Bench({}, Path(name), lambda *_: None, {}))

if sys.argv[2] == "worker":
    app.worker_main(["--quiet", "worker", "--pool=prefork", "--concurrency=2", "--loglevel=ERROR"])
else:
    one.delay().get(timeout=60)
    count = int(sys.argv[2])
    began = time.perf_counter()
    for result in [one.delay() for _ in range(count)]:
        result.get(timeout=60)
    print(count / (time.perf_counter() - began))
"""


def _plain_celery() -> float:
    with tempfile.TemporaryDirectory() as name, RedisServer(free_port(), name) as redis:
        command = [sys.executable, "-W", "ignore", "-c", _PLAIN, redis.url]
        worker = subprocess.Popen([*command, "worker"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            done = subprocess.run([*command, "600"], capture_output=True, text=True, check=True)
            return float(done.stdout.split()[-1])
        finally:
            worker.terminate()
            with suppress(subprocess.TimeoutExpired):
                worker.wait(10)


def submit_to_running() -> Samples:
    """Time from a submit to its step's claim on an idle node, and the answer to the submit alone."""
    samples = Samples([], [])
    with _pool(1) as stack:
        for number in range(20):
            began = time.perf_counter()
            job = stack.client.submit(_ONE_STEP)
            samples.reference.append((time.perf_counter() - began) * 1e3)
            eventually(lambda job=job: stack.client.job(job.id).ended, 10)  # type: ignore[misc] # a defaulted lambda
            if number:
                samples.value.append(_claimed_after_ms(stack, job.id.hex))
    samples.reference.pop(0)
    return samples


def _claimed_after_ms(stack: Stack, job: str) -> float:
    """Return the time between a job's creation and its first claim, by the database's clock."""
    url = stack.database_url.replace("+psycopg", "")
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "SELECT min(e.at) - j.created_at FROM events e JOIN jobs j ON j.id = e.job_id"
            " WHERE e.event = 'claim' AND j.id = %s GROUP BY j.created_at",
            (job,),
        ).fetchone()
    if row is None:
        raise RuntimeError("the job was never claimed")
    return float(row[0].total_seconds() * 1e3)
