"""A farm without workers: the real storage functions on a real database, driven by hand."""

import time
from collections.abc import Callable
from uuid import UUID, uuid4

from sqlalchemy import update
from sqlalchemy.orm import Session

from ovfarm.hardware import Device, Isa, Need, Offer, Versions
from ovfarm.jobs import JobSpec, JobView
from ovfarm.recipes import Probe, Recipe, StepParams
from ovfarm.results import FileEntry, Manifest, StepResult
from ovfarm.teams import AddTeam
from storage import claims, jobs, nodes, outcomes, queries, teams
from storage.claims import Claim
from storage.columns import db_now
from storage.database import Database
from storage.nodes import NodeIdentity
from storage.tables import Row, Step

LEASE_S = 30.0
CPU = Offer(
    device=Device.CPU,
    device_name="Testium",
    isa=(Isa.VNNI,),
    memory_bytes=8 << 30,
    cores=2,
    versions=Versions(openvino="1", nncf="1", python="3"),
)


def probes(*steps: StepParams, **fields: object) -> JobSpec:
    """Return a job of probe steps (one unless given) that touches no model."""
    recipe = Recipe(name="probe", steps=steps or (Probe(),))
    return JobSpec.model_validate({"recipe": recipe, **fields})


def product(text: str = "x") -> outcomes.Product:
    """Return what a step might have made."""
    entry = FileEntry(digest=uuid4().hex * 2, size=len(text))
    return outcomes.Product(StepResult(), Manifest(files={"probe.json": entry}), uuid4().hex * 2)


class Farm:
    """The verbs of the farm, one transaction each; ``rings`` are the queues that were rung."""

    def __init__(self, url: str, clock: Callable[[], float] = time.time) -> None:
        self.rings: list[str] = []
        self.database = Database(url, bell=self.rings.append, clock=clock)
        if url == "sqlite://":
            Row.metadata.create_all(self.database.engine)
        with self.database.write() as session:
            self.team = teams.default_team(session)
        self.node = self.join("node-1")

    def join(self, name: str, host: str = "host", offer: Offer = CPU) -> NodeIdentity:
        with self.database.write() as session:
            return nodes.register(session, name, host, offer, 1)

    def add_team(self, name: str, **bounds: object) -> UUID:
        with self.database.write() as session:
            return teams.add_team(session, AddTeam.model_validate({"team": name, **bounds}))

    def submit(self, spec: JobSpec | None = None, team: UUID | None = None) -> JobView:
        with self.database.write() as session:
            return jobs.submit(session, team or self.team, spec or probes())

    def cancel(self, job: JobView) -> JobView:
        with self.database.write() as session:
            return jobs.cancel(session, self.team, job.id)

    def claim(self, node: NodeIdentity | None = None, lease_s: float = LEASE_S) -> Claim | None:
        with self.database.write() as session:
            return claims.claim(session, node or self.node, lease_s)

    def must_claim(self, node: NodeIdentity | None = None, lease_s: float = LEASE_S) -> Claim:
        claim = self.claim(node, lease_s)
        assert claim is not None
        return claim

    def succeed(self, claim: Claim, key: str = "k") -> None:
        with self.database.write() as session:
            outcomes.succeed(session, claim, key, product())

    def view(self, job: JobView, team: UUID | None = None) -> JobView:
        with self.database.read() as session:
            return queries.job(session, team or self.team, job.id)

    def expire(self, claim: Claim) -> None:
        """Let a lease run out now."""
        with self.database.write() as session:
            session.execute(update(Step).where(Step.id == claim.step_id).values(lease_until=db_now(-0.01)))

    def session(self) -> Session:
        return Session(self.database.engine)


def need(device: str) -> Need:
    """Return a need of a device class."""
    return Need.model_validate({"device": device})


def settle_clock() -> None:
    """Let the clock move on by more than its resolution."""
    time.sleep(0.002)
