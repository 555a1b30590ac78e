"""A farm in real processes: an API and any number of workers, on a database of the test's own."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil
from sqlalchemy import select

from ovfarm.cli.supervise import free_port
from ovfarm.client import Client
from ovfarm.jobs import JobSpec, JobView
from ovfarm.recipes import Probe, Recipe
from storage.database import Database
from storage.tables import Event, Step

ROOT = Path(__file__).resolve().parents[2]
ENDS = {"succeed", "fail", "cancel"}
Process = subprocess.Popen[bytes]
# For farms that run real steps: their nodes import OpenVINO and NNCF once, as those of users do.
TOOLS = {"OVFARM_PRELOAD": "core"}


class Stack:
    """``with Stack(home, url) as stack``; ``code`` is the checkout whose processes are run.

    ``environment`` adds settings, or takes the place of those below.
    """

    def __init__(
        self,
        home: Path,
        database_url: str,
        *,
        lease_s: float = 30.0,
        code: Path = ROOT,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.home = home
        self.database_url = database_url
        self.code = code
        self.environment = {
            **os.environ,
            "PYTHONPATH": str(code),
            "OVFARM_HOME": str(home),
            "OVFARM_DATABASE_URL": database_url,
            "OVFARM_PORT": str(free_port()),
            "OVFARM_PROBE_STEPS": "true",
            # Probes need no toolchain: seconds of imports for each node that most tests would wait for.
            "OVFARM_PRELOAD": "none",
            "OVFARM_LEASE_S": str(lease_s),
            "OVFARM_POLL_S": "0.5",
            "OVFARM_SWEEP_S": "0.3",
            "OVFARM_DRAIN_S": "0.5",
            **(environment or {}),
        }
        self._processes: list[Process] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.environment['OVFARM_PORT']}"

    def __enter__(self) -> Self:
        self.home.mkdir(parents=True, exist_ok=True)
        self.api = self._start("api")
        self.client = Client(self.url)
        assert eventually(self._answers, 30), self.log()
        return self

    def _answers(self) -> bool:
        try:
            self.client.transport.send("GET", "/healthz")
        except Exception:  # noqa: BLE001 - whatever it is, the API does not answer yet
            return False
        return True

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self.client.transport.close()
        for process in self._processes:
            process.kill()
            process.wait()

    def _start(self, module: str, **environment: str) -> Process:
        with (self.home / f"{module}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", module],
                env={**self.environment, **environment},
                cwd=self.code,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )
        self._processes.append(process)
        return process

    def worker(self, name: str, fail: str = "", **environment: str) -> Process:
        """Start a node and wait until it is online (or gone, when it is to fail that early)."""
        process = self._start("workers", OVFARM_NODE_NAME=name, OVFARM_FAIL=fail, **environment)
        assert eventually(lambda: process.poll() is not None or self.online(name), 60), self.log()
        return process

    def pause(self, process: Process) -> None:
        """Stop a process between two transactions: one stopped inside keeps SQLite's only write lock."""
        database = Database(self.database_url)
        try:
            with database.write() as session:
                session.connection()
                process.send_signal(signal.SIGSTOP)
                paused = psutil.Process(process.pid)
                assert eventually(lambda: paused.status() == psutil.STATUS_STOPPED, 5)
        finally:
            database.close()

    def online(self, name: str) -> bool:
        return any(n.name == name and n.state.value == "online" for n in self.client.nodes())

    def log(self) -> str:
        return "\n".join(path.read_text()[-3000:] for path in self.home.glob("*.log"))

    def submit(self, *steps: Probe) -> JobView:
        return self.client.submit(JobSpec(recipe=Recipe(name="probe", steps=steps)))

    def running(self, job: JobView) -> bool:
        """Tell whether a child of a step of this job has reported."""
        steps = self.client.job(job.id).steps
        return any(step.progress is not None for step in steps)

    def zygotes(self) -> list[psutil.Process]:
        """Return the processes of this farm's zygotes and their children."""
        mine = str(self.home / "sandbox")
        return [p for p in psutil.process_iter() if _home_of(p) == mine]


def _home_of(process: psutil.Process) -> str:
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            return ""
        return process.environ().get("HOME", "")
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return ""


def eventually(condition: Callable[[], bool], within_s: float) -> bool:
    """Poll until a condition holds; False when it does not in time."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.05)
    return condition()


def violations(database_url: str) -> list[str]:
    """Return what the log of a farm whose jobs have all ended has against the promises.

    Each step has at most one success, by the claim that its row names; after a step's end nothing
    happens to it; attempts rise by one; the log has no gaps.
    """
    database = Database(database_url)
    try:
        with database.read() as session:
            steps = list(session.execute(select(Step)).scalars())
            events = list(session.execute(select(Event).order_by(Event.id)).scalars())
    finally:
        database.close()
    return [*_of_the_log(events), *_of_the_rows(steps, events)]


def _of_the_log(events: list[Event]) -> Iterator[str]:
    numbers: Counter[object] = Counter()
    attempts: Counter[object] = Counter()
    ended: set[object] = set()
    for event in events:
        numbers[event.job_id] += 1
        if event.seq != numbers[event.job_id]:
            yield f"job {event.job_id}: event {event.seq} is not the {numbers[event.job_id]}th"
        if event.step_id in ended:
            yield f"step {event.step_id}: {event.event} after its end"
        if event.step_id and event.event in ENDS:
            ended.add(event.step_id)
        if event.event == "claim":
            attempts[event.step_id] += 1
            # An attempt that was given back, or lost in an outage, is not counted: its number comes again.
            if event.attempt is None or event.attempt > attempts[event.step_id]:
                yield f"step {event.step_id}: attempt {event.attempt} is out of order"


def _of_the_rows(steps: list[Step], events: list[Event]) -> Iterator[str]:
    last = {event.step_id: event for event in events if event.event in ENDS}
    for step in steps:
        end = last.get(step.id)
        if end is None or step.state.value != end.state:
            yield f"step {step.id} is {step.state}, its log says {end and end.state}"
        elif end.event == "succeed" and end.claim_id != step.claim_id:
            yield f"step {step.id} succeeded by another claim than its own"
