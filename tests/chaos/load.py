"""The jobs of a chaos run: mostly probes, a fifth real steps, a tenth longer than a lease, some cancelled."""

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import UUID, uuid4

from ovfarm.client import Client
from ovfarm.errors import OvfarmError, Refused, Unavailable
from ovfarm.jobs import Cache, DataRef, JobData, JobSpec
from ovfarm.recipes import Benchmark, Convert, Probe, ProbeAction, Quantize, Recipe, StepParams
from tests.bench.digits import built

MAX_ATTEMPTS = 10


@dataclass(frozen=True, slots=True)
class Files:
    """What the real jobs work on."""

    model: UUID
    calibration: UUID


def upload(client: Client) -> Files:
    """Register the digits network and its data."""
    folder = built()
    model = client.register_model("digits", {name: folder / name for name in ("digits.xml", "digits.bin")})
    return Files(model.id, client.register_dataset("c", folder / "calibration.npz").id)


def specs(count: int, files: Files, lease_s: float, dice: random.Random) -> list[JobSpec]:
    """Return the jobs of a run; the same dice give the same jobs."""
    made = [_spec(number, files, lease_s, dice) for number in range(count)]
    for number in range(min(3, count // 20)):
        made[dice.randrange(count)] = _measuring(files, number)
    return made


def _spec(number: int, files: Files, lease_s: float, dice: random.Random) -> JobSpec:
    kind = dice.random()
    if kind < 0.15:
        return _real(files, (Convert(), Quantize(subset_size=32)), number)
    if kind < 0.23:
        return _real(files, (Convert(),), number)
    if kind < 0.41:
        seconds = lease_s * dice.uniform(1.1, 1.4)
        return _probes(Probe(action=ProbeAction.SLEEP, seconds=seconds, token=f"long {number}"))
    if kind < 0.51:
        return _probes(Probe(token=f"same {number % 10}"), cache=Cache.USE)
    first = Probe(name="first", action=ProbeAction.SLEEP, seconds=dice.uniform(0, 0.3), token=str(number))
    return _probes(first, Probe(name="second", token=f"{number} b"))


def _probes(*steps: StepParams, cache: Cache = Cache.REFRESH) -> JobSpec:
    return JobSpec.model_validate(
        {
            "recipe": Recipe(name="chaos", steps=steps),
            "cache": cache,
            "limits": {"max_attempts": MAX_ATTEMPTS},
        }
    )


def _real(files: Files, steps: tuple[StepParams, ...], number: int) -> JobSpec:
    return JobSpec.model_validate(
        {
            "model": files.model,
            "data": JobData(calibration=DataRef(dataset=files.calibration)),
            "recipe": Recipe(name="chaos", steps=steps),
            "cache": Cache.REFRESH if number % 2 else Cache.USE,
            "limits": {"max_attempts": MAX_ATTEMPTS},
        }
    )


def _measuring(files: Files, number: int) -> JobSpec:
    bench = Benchmark(model="convert", reference=None, time_budget_s=1.0)
    return _real(files, (Convert(), bench), 2 * number + 1)


@dataclass(slots=True)
class Clients:
    """Threads that submit until everything is accepted, whatever happens, and remember each answer."""

    connect: Callable[[], Client]
    specs: list[JobSpec]
    seed: int
    jobs: dict[str, UUID] = field(default_factory=dict)
    cancelled: set[UUID] = field(default_factory=set)
    stop: threading.Event = field(default_factory=threading.Event)

    def submit_all(self, threads: int = 3) -> list[threading.Thread]:
        """Start; each thread has its part of the jobs."""
        started = [threading.Thread(target=self._submit, args=(part, threads)) for part in range(threads)]
        for thread in started:
            thread.start()
        return started

    def _submit(self, part: int, threads: int) -> None:
        dice = random.Random(f"{self.seed} {part}")  # noqa: S311 - a choice of jobs
        client = self.connect()
        for number in range(part, len(self.specs), threads):
            name = f"job-{number}-{uuid4().hex[:6]}"
            job_id = self._accepted(client, self.specs[number], name)
            if job_id is None:
                return
            self.jobs[name] = job_id
            if dice.random() < 0.05:
                self._cancel(client, job_id)
            self.stop.wait(dice.uniform(0, 0.05))
        client.transport.close()

    def _accepted(self, client: Client, spec: JobSpec, name: str) -> UUID | None:
        while not self.stop.is_set():
            try:
                return client.submit(spec, idempotency_key=name).id
            except Unavailable:
                self.stop.wait(0.2)
            except Refused as refused:
                if refused.status < 500:
                    raise
                self.stop.wait(0.2)
        return None

    def _cancel(self, client: Client, job_id: UUID) -> None:
        """Ask once: an answer that is lost may have been heard."""
        self.cancelled.add(job_id)
        try:
            client.cancel(job_id)
        except OvfarmError:
            return
