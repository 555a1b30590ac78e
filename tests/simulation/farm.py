"""A whole farm in one thread and in virtual time: the real storage functions, driven by an event heap.

Nodes are killed, stopped and started again, rings are lost and doubled, the database is away for a
while; one seed is one run, to the last row. What must hold afterwards is ``tests.chaos.invariants``.
"""

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from ovfarm.errors import Conflict, LeaseLost
from ovfarm.failures import Failure, FailureClass, FailureCode
from ovfarm.jobs import Cache, JobSpec, Limits
from ovfarm.keys import step_key
from ovfarm.policy import heartbeat_s, self_fence_s
from ovfarm.recipes import Probe
from ovfarm.results import StepResult
from storage import cache, jobs, nodes, outcomes
from storage.cache import Way
from storage.claims import Claim
from storage.inputs import inputs
from storage.nodes import NodeIdentity
from storage.rounds import Pace, Round
from storage.tables import Job
from tests.chaos.invariants import Accepted, Found, check
from tests.storage.farm import CPU, Farm, probes
from tests.storage.models import int8_spec

PACE = Pace(lease_s=10.0, poll_s=5.0, sweep_s=3.0)
# A virtual time that no wall clock shows: who reads one instead is far off.
DAWN = 4_000_000_000.0
AWAY = Failure(failure_class=FailureClass.INFRA, code=FailureCode.STORE, message="away")
ASKED = Failure(failure_class=FailureClass.USER, code=FailureCode.CANCELLED, message="asked")
LIMITS = Limits(max_attempts=10)


class NoStore:
    """The store of a farm whose steps leave no files."""

    def listing(self) -> list[tuple[str, int, object]]:
        return []


@dataclass(eq=False, slots=True)
class Held:
    """A claim in the hands of a node; ``renewed`` is when its node last heard that it is its own."""

    claim: Claim
    key: str
    renewed: float


@dataclass(eq=False, slots=True)
class SimulatedNode:
    """A worker process: ``life`` counts its starts; what an earlier life had planned does not happen."""

    identity: NodeIdentity
    slots: int
    life: int = 0
    alive: bool = True
    stopped_until: float = 0.0
    held: list[Held] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Story:
    """What a run came to. ``seconds`` are virtual; ``ends`` are all events of all logs, in order."""

    jobs: int
    seconds: float
    faults: int
    found: Found
    ends: tuple[tuple[str, float], ...]


class SimulatedFarm:
    """One run: jobs of two teams on six nodes of three hosts, and a fault every few virtual seconds."""

    def __init__(self, seed: int, jobs_to_come: int, *, fault_every_s: float = 7.0) -> None:
        self.now = DAWN
        self.faults = 0
        self._dice = random.Random(seed)  # noqa: S311 - one seed is one run
        self._fault_every_s = fault_every_s
        self._order = count()
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._accepted: dict[str, UUID] = {}
        self._cancelled: set[UUID] = set()
        self._farm = Farm("sqlite://", clock=lambda: self.now)
        self._teams = [self._farm.team, self._farm.add_team("heavy", weight=3)]
        self._nodes = [
            SimulatedNode(self._farm.join(f"sim-{number}", f"host-{number % 3}"), 1 + number % 2)
            for number in range(6)
        ]
        self._int8 = int8_spec(self._farm).model_copy(update={"limits": LIMITS})
        self._to_come = jobs_to_come
        for node in self._nodes:
            self._boot(node)
        self._after(1.0, self._submit)
        self._after(fault_every_s, self._fault)

    def run(self, longest_s: float = 20_000.0) -> Story:
        """Run until every job has ended, or for ``longest_s`` virtual seconds."""
        while self._events and self.now < DAWN + longest_s:
            self.now, _, act = heapq.heappop(self._events)
            act()
            self._deliver_rings()
            if not self._to_come and self._all_ended():
                break
        with self._farm.database.read() as session:
            store = NoStore()
            found = check(session, store, Accepted(self._accepted, frozenset(self._cancelled)))  # type: ignore[arg-type] # what it asks of a store
            ends = session.execute(select(Job.state, Job.finished_at).order_by(Job.seq)).all()
        self._farm.database.close()
        told = tuple((state.value, at.timestamp() if at else 0.0) for state, at in ends)
        return Story(len(self._accepted), self.now - DAWN, self.faults, found, told)

    def _after(self, seconds: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._events, (self.now + seconds, next(self._order), act))

    def _later(self, node: SimulatedNode, seconds: float, act: Callable[[], None]) -> None:
        """Plan something that a node does: not after its death, and only when it goes on."""
        life = node.life

        def when_awake() -> None:
            if node.life != life or not node.alive:
                return
            if self.now < node.stopped_until:
                self._after(node.stopped_until - self.now, when_awake)
            else:
                act()

        self._after(seconds, when_awake)

    def _deliver_rings(self) -> None:
        """A ring may be lost, late or doubled, and it reaches whoever listens."""
        rings, self._farm.rings[:] = list(self._farm.rings), []
        for _ in rings:
            for _ in range(self._dice.choice((0, 1, 1, 1, 2))):
                node = self._dice.choice(self._nodes)
                self._later(node, self._dice.expovariate(5.0), lambda node=node: self._claim(node))  # type: ignore[misc] # a defaulted lambda

    def _all_ended(self) -> bool:
        with self._farm.database.read() as session:
            return session.execute(select(Job.id).where(Job.finished_at.is_(None)).limit(1)).first() is None

    def _submit(self) -> None:
        self._to_come -= 1
        name, team, int8 = f"job-{self._to_come}", self._dice.choice(self._teams), self._dice.random() < 0.4
        # Models and data belong to the first team; the other one probes.
        spec = self._int8 if int8 and team == self._farm.team else self._probes()
        with self._farm.database.write() as session:
            job = jobs.submit(session, team, spec, key=name)
        self._accepted[name] = job.id
        if self._dice.random() < 0.1:
            self._after(self._dice.uniform(1, 60), lambda: self._cancel(team, job.id))
        if self._to_come:
            self._after(self._dice.expovariate(0.3), self._submit)

    def _probes(self) -> JobSpec:
        names = [Probe(name=f"p{number}", token=str(self._dice.randrange(8))) for number in range(3)]
        way = self._dice.choice((Cache.USE, Cache.REFRESH, Cache.OFF))
        return probes(*names, cache=way, limits=LIMITS, priority=self._dice.randrange(-5, 5))

    def _cancel(self, team: UUID, job_id: UUID) -> None:
        try:
            with self._farm.database.write() as session:
                jobs.cancel(session, team, job_id)
        except Conflict:
            return
        self._cancelled.add(job_id)

    def _boot(self, node: SimulatedNode) -> None:
        """Start a node, or start it again: whatever its earlier life held is forgotten, not given back."""
        node.life, node.alive, node.held = node.life + 1, True, []
        self._farm.join(node.identity.name, node.identity.host)
        rounds = Round(
            self._farm.database,
            PACE,
            lambda session: nodes.beat(session, node.identity.id),
            monotonic=lambda: self.now,
        )
        self._each(node, PACE.sweep_s, rounds.make)
        self._each(node, PACE.poll_s, lambda: self._claim(node))
        self._each(node, heartbeat_s(PACE.lease_s), lambda: self._renew(node))

    def _each(self, node: SimulatedNode, seconds: float, act: Callable[[], None]) -> None:
        def again() -> None:
            act()
            self._later(node, seconds * self._dice.uniform(0.5, 1.0), again)

        self._later(node, seconds * self._dice.random(), again)

    def _claim(self, node: SimulatedNode) -> None:
        while len(node.held) < node.slots:
            claim = self._farm.claim(node.identity, PACE.lease_s)
            if claim is None:
                return
            held = Held(claim, self._key(claim), self.now)
            if self._leads(held):
                node.held.append(held)
                took_s = self._dice.lognormvariate(0.5, 1.0)
                self._later(node, took_s, lambda: self._end(node, held))  # noqa: B023 - bound by the node's list

    def _key(self, claim: Claim) -> str:
        with self._farm.database.read() as session:
            ins = inputs(session, claim.step_id)
        return step_key(claim.params, {given.role: given.canonical_digest for given in ins}, CPU)

    def _leads(self, held: Held) -> bool:
        if held.claim.cache is Cache.OFF:
            return True
        with self._farm.database.write() as session:
            reuse = held.claim.cache is Cache.USE
            return cache.reuse_or_lead(session, held.claim, held.key, reuse=reuse) is Way.LEAD

    def _renew(self, node: SimulatedNode) -> None:
        """Renew what is held; what could not be renewed for too long is given up by the node's own clock."""
        for held in list(node.held):
            if self.now - held.renewed >= self_fence_s(PACE.lease_s):
                node.held.remove(held)
                continue
            try:
                with self._farm.database.write() as session:
                    cancelled = outcomes.renew(session, held.claim, PACE.lease_s, None)
                    if cancelled:
                        outcomes.cancelled(session, held.claim, ASKED)
            except LeaseLost:
                cancelled = True
            held.renewed = self.now
            if cancelled:
                node.held.remove(held)

    def _end(self, node: SimulatedNode, held: Held) -> None:
        """Commit whatever it came to. A node that was stopped for long tries all the same: a zombie."""
        if held in node.held:
            node.held.remove(held)
        try:
            with self._farm.database.write() as session:
                self._commit(session, held)
        except LeaseLost:
            return
        self._claim(node)

    def _commit(self, session: Session, held: Held) -> None:
        luck = self._dice.random()
        if luck < 0.05:
            outcomes.postpone(session, held.claim, AWAY, self._dice.uniform(1, 5))
        elif luck < 0.08:
            outcomes.give_back(session, held.claim)
        else:
            made = outcomes.Product(StepResult(), None, held.key)
            outcomes.succeed(session, held.claim, held.key, made)
            if held.claim.cache is not Cache.OFF:
                cache.remember(session, held.claim, held.key, made.result)

    def _fault(self) -> None:
        self.faults += 1
        node = self._dice.choice(self._nodes)
        if self._dice.random() < 0.1:
            # As when the database is away for longer than a lease: all come back at once, and late.
            back = self.now + self._dice.uniform(1, 3) * PACE.lease_s
            for each in self._nodes:
                each.stopped_until = back
        elif node.alive and self._dice.random() < 0.5:
            node.alive = False
            self._after(self._dice.uniform(0.1, 3 * PACE.lease_s), lambda: self._boot(node))
        else:
            node.stopped_until = self.now + self._dice.uniform(0.1, 3 * PACE.lease_s)
        self._after(self._dice.expovariate(1 / self._fault_every_s), self._fault)
