"""One job, many claimants, a clock that Hypothesis owns: in whatever order, no promise breaks."""

import os
from uuid import UUID

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from sqlalchemy import select

from ovfarm.errors import Conflict, LeaseLost
from ovfarm.failures import Failure, FailureClass, FailureCode
from ovfarm.jobs import JobView
from ovfarm.recipes import Probe
from ovfarm.states import STEP_ENDED, StepState
from storage import outcomes, sweep
from storage.claims import Claim
from storage.sweep import Overdue
from storage.tables import Attempt, Step
from tests.chaos.invariants import Accepted, check
from tests.storage.farm import Farm, probes, product

LEASE_S = 30.0
AWAY = Failure(failure_class=FailureClass.INFRA, code=FailureCode.STORE, message="away")
BROKEN = Failure(failure_class=FailureClass.USER, code=FailureCode.MODEL_UNREADABLE, message="no")
ASKED = Failure(failure_class=FailureClass.USER, code=FailureCode.CANCELLED, message="asked")
# A virtual time that no wall clock shows: who reads one instead is far off.
EXAMPLES = int(os.environ.get("OVFARM_TEST_EXAMPLES", "30"))
DAWN = 4_000_000_000.0


ACTS = ("renew", "succeed", "fail", "postpone", "give_back", "cancelled")


class _NoStore:
    """The store of a machine whose steps leave no files."""

    def listing(self) -> list[tuple[str, int, object]]:
        return []


class Claimants(RuleBasedStateMachine):
    """``held`` are all claims ever made: their holders may act at any time, zombies included."""

    def __init__(self) -> None:
        super().__init__()
        self.now = DAWN
        self.farm = Farm("sqlite://", clock=lambda: self.now)
        self.nodes = [self.farm.node, self.farm.join("node-2", "host-2")]
        steps = (Probe(name="a"), Probe(name="b"))
        self.job: JobView = self.farm.submit(probes(*steps, limits={"max_attempts": 3}))
        self.held: list[tuple[Claim, float]] = []
        self.ended: dict[str, StepState] = {}

    def teardown(self) -> None:
        with self.farm.database.read() as session:
            found = check(session, _NoStore(), Accepted({}))  # type: ignore[arg-type] # what it asks of a store
        # Its submit had no name, and what runs at the end of an example has not ended.
        expected = ("without a name", "never ended", "device-seconds")
        breaches = [breach for breach in found.all if not any(words in breach for words in expected)]
        assert breaches == []
        self.farm.database.close()

    @rule(node=st.integers(0, 1))
    def claim(self, node: int) -> None:
        claimed = self.farm.claim(self.nodes[node], LEASE_S)
        if claimed is None:
            return
        for other, until in self.held:
            if other.step_id == claimed.step_id:
                assert self.now >= until or other.id in self._ended_claims, "two own one step"
        self.held.append((claimed, self.now + LEASE_S))

    @property
    def _ended_claims(self) -> set[UUID]:
        with self.farm.database.read() as session:
            return set(
                session.execute(select(Attempt.claim_id).where(Attempt.outcome.is_not(None))).scalars()
            )

    @precondition(lambda self: self.held)
    @rule(pick=st.integers(0, 99), act=st.sampled_from(ACTS))
    def act(self, pick: int, act: str) -> None:
        """Any holder does anything: it goes through exactly if the lease is its own and has not run out."""
        index = pick % len(self.held)
        claim, until = self.held[index]
        own = claim.id not in self._ended_claims and self.now < until
        try:
            with self.farm.database.write() as session:
                match act:
                    case "renew":
                        outcomes.renew(session, claim, LEASE_S, None)
                    case "succeed":
                        outcomes.succeed(
                            session, claim, "k" * 64, outcomes.Product(product().result, None, "")
                        )
                    case "fail":
                        outcomes.fail(session, claim, BROKEN)
                    case "postpone":
                        outcomes.postpone(session, claim, AWAY, 5.0)
                    case "give_back":
                        outcomes.give_back(session, claim)
                    case "cancelled":
                        outcomes.cancelled(session, claim, ASKED)
        except LeaseLost:
            assert not own, f"{act} of the owner was refused"
            return
        assert own, f"{act} of a zombie went through"
        if act == "renew":
            self.held[index] = (claim, self.now + LEASE_S)

    @rule(seconds=st.sampled_from([1.0, 10.0, 29.0, 31.0, 3600.0]))
    def tick(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def sweep(self) -> None:
        with self.farm.database.read() as session:
            due, expired = sweep.due(session), sweep.expired(session)
        for overdue in due:
            with self.farm.database.write() as session:
                sweep.release_due(session, overdue)
        for overdue in expired:
            self._take_back(overdue)

    def _take_back(self, overdue: Overdue) -> None:
        try:
            with self.farm.database.write() as session:
                sweep.take_back(session, overdue)
        except LeaseLost:
            return

    @rule()
    def cancel(self) -> None:
        try:
            self.farm.cancel(self.job)
        except Conflict:
            assert self.farm.view(self.job).ended

    @invariant()
    def ends_are_final(self) -> None:
        with self.farm.database.read() as session:
            states = session.execute(select(Step.name, Step.state)).all()
        for name, state in states:
            if name in self.ended:
                assert state is self.ended[name]
            elif state in STEP_ENDED:
                self.ended[name] = state


# Who only asks whether it fails (the mutants) does not wait for the smallest example.
_ALL = (Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink)
PHASES = _ALL[:-1] if os.environ.get("OVFARM_TEST_NO_SHRINKING") else _ALL

TestClaimants = Claimants.TestCase
TestClaimants.settings = settings(
    max_examples=EXAMPLES, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
