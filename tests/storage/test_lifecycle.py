import threading

import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from ovfarm.errors import Conflict, LeaseLost, NotFound
from ovfarm.failures import Failure, FailureClass, FailureCode
from ovfarm.hardware import Device
from ovfarm.hints import HINTS
from ovfarm.jobs import JobView
from ovfarm.recipes import Probe
from ovfarm.results import Progress
from ovfarm.states import JobState, StepEvent, StepState
from storage import jobs, outcomes, queries, sweep
from storage.claims import Claim
from storage.events import record
from storage.sweep import Overdue
from storage.tables import Event, Step
from tests.storage.farm import CPU, LEASE_S, Farm, need, probes, product
from tests.storage.models import int8_job

BROKEN = Failure(failure_class=FailureClass.USER, code=FailureCode.MODEL_UNREADABLE, message="no")


def states(job: JobView) -> dict[str, StepState]:
    return {step.name: step.state for step in job.steps}


def take_back(farm: Farm, claim: Claim) -> None:
    with farm.database.write() as session:
        sweep.take_back(session, Overdue(claim.step_id, claim.job_id))


def fail(farm: Farm, claim: Claim, failure: Failure = BROKEN) -> None:
    with farm.database.write() as session:
        outcomes.fail(session, claim, failure)


def test_a_job_runs_from_submit_to_success(farm: Farm) -> None:
    job = farm.submit()
    assert farm.rings == ["cpu"]
    assert job.state is JobState.QUEUED
    claim = farm.must_claim()
    assert farm.view(job).state is JobState.RUNNING
    assert farm.claim() is None
    farm.succeed(claim)
    done = farm.view(job)
    assert done.state is JobState.SUCCEEDED
    assert done.finished_at is not None
    assert done.version > job.version


def test_a_rolled_back_submit_rings_nothing(farm: Farm) -> None:
    with pytest.raises(RuntimeError), farm.database.write() as session:
        jobs.submit(session, farm.team, probes())
        raise RuntimeError
    assert farm.rings == []
    assert farm.claim() is None


def test_the_log_is_gapless_and_in_order(farm: Farm) -> None:
    job = farm.submit()
    farm.succeed(farm.must_claim())
    with farm.database.read() as session:
        rows = session.execute(select(Event).where(Event.job_id == job.id).order_by(Event.seq))
        events = [(row.seq, row.event) for row in rows.scalars()]
    assert events == [(1, "start"), (2, "claim"), (3, "succeed"), (4, "succeed")]


def test_eight_claimers_take_forty_steps_once_each(farm: Farm) -> None:
    for _ in range(40):
        farm.submit()
    taken: list[Claim] = []

    def claim_all() -> None:
        while (claim := farm.claim()) is not None:
            taken.append(claim)

    threads = [threading.Thread(target=claim_all) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == len({claim.step_id for claim in taken}) == 40
    assert {claim.attempt for claim in taken} == {1}


@pytest.mark.parametrize("verb", ["renew", "succeed", "fail", "postpone", "give_back", "cancelled"])
def test_a_zombie_writes_nothing(farm: Farm, verb: str) -> None:
    job = farm.submit()
    zombie = farm.must_claim()
    farm.expire(zombie)
    take_back(farm, zombie)
    heir = farm.must_claim()
    assert heir.attempt == 2
    before = farm.view(job)
    with pytest.raises(LeaseLost), farm.database.write() as session:
        match verb:
            case "renew":
                outcomes.renew(session, zombie, LEASE_S, Progress(stage="x", done=1, total=2))
            case "succeed":
                outcomes.succeed(session, zombie, "k", product())
            case "fail":
                outcomes.fail(session, zombie, BROKEN)
            case "postpone":
                outcomes.postpone(session, zombie, BROKEN, 1.0)
            case "give_back":
                outcomes.give_back(session, zombie)
            case "cancelled":
                outcomes.cancelled(session, zombie, BROKEN)
    assert farm.view(job) == before
    farm.succeed(heir)
    assert farm.view(job).state is JobState.SUCCEEDED


def test_an_expired_lease_is_no_lease_even_before_the_sweep(farm: Farm) -> None:
    farm.submit()
    claim = farm.must_claim()
    farm.expire(claim)
    with pytest.raises(LeaseLost):
        farm.succeed(claim)


def test_the_sweep_leaves_a_living_lease_alone(farm: Farm) -> None:
    farm.submit()
    claim = farm.must_claim()
    with farm.database.read() as session:
        assert sweep.expired(session) == []
    with pytest.raises(LeaseLost):
        take_back(farm, claim)
    farm.succeed(claim)


def test_lost_nodes_use_the_attempts_up(farm: Farm) -> None:
    job = farm.submit(probes(limits={"max_attempts": 2}))
    for _ in range(2):
        claim = farm.must_claim()
        farm.expire(claim)
        take_back(farm, claim)
    ended = farm.view(job)
    assert ended.state is JobState.FAILED
    assert ended.failure is not None
    assert ended.failure.code is FailureCode.NODE_LOST
    assert "attempt 2 of 2" in ended.failure.message


def test_a_failure_cancels_what_hangs_on_it_and_nothing_else(farm: Farm) -> None:
    job = int8_job(farm)
    farm.succeed(farm.must_claim())  # convert
    assert set(farm.rings) == {"cpu"}
    by_name = {}
    for _ in range(2):
        claim = farm.must_claim()
        by_name[claim.name] = claim
    fail(farm, by_name["quantize"])
    view = farm.view(job)
    assert view.state is JobState.RUNNING
    assert states(view) == {
        "convert": StepState.SUCCEEDED,
        "evaluate-reference": StepState.RUNNING,
        "quantize": StepState.FAILED,
        "evaluate": StepState.CANCELLED,
        "benchmark": StepState.CANCELLED,
        "package": StepState.CANCELLED,
    }
    farm.succeed(by_name["evaluate-reference"])
    ended = farm.view(job)
    assert ended.state is JobState.FAILED
    assert ended.failure == BROKEN.model_copy(update={"hint": HINTS[BROKEN.code].words})
    assert ended.reason == "no"


def test_cancel_ends_what_waits_and_leaves_what_runs_to_its_node(farm: Farm) -> None:
    job = farm.submit(probes(Probe(name="a"), Probe(name="b")))
    claim = farm.must_claim()
    view = farm.cancel(job)
    assert states(view) == {"a": StepState.RUNNING, "b": StepState.CANCELLED}
    assert (view.state, view.reason) == (JobState.RUNNING, "cancelling")
    with farm.database.write() as session:
        assert outcomes.renew(session, claim, LEASE_S, None) is True
    with farm.database.write() as session:
        outcomes.cancelled(session, claim, BROKEN)
    assert farm.view(job).state is JobState.CANCELLED
    assert farm.cancel(job).state is JobState.CANCELLED


def test_cancel_beats_retry_but_not_a_commit(farm: Farm) -> None:
    job = farm.submit()
    claim = farm.must_claim()
    farm.cancel(job)
    farm.expire(claim)
    take_back(farm, claim)
    assert farm.view(job).state is JobState.CANCELLED
    other = farm.submit()
    winner = farm.must_claim()
    farm.cancel(other)
    farm.succeed(winner)
    assert farm.view(other).state is JobState.SUCCEEDED
    with pytest.raises(Conflict, match="succeeded already"):
        farm.cancel(other)


def test_a_retry_waits_for_its_time_and_keeps_its_failure_in_sight(farm: Farm) -> None:
    job = farm.submit()
    claim = farm.must_claim()
    with farm.database.write() as session:
        outcomes.postpone(session, claim, BROKEN, 0.05)
    (step,) = farm.view(job).steps
    assert step.state is StepState.BLOCKED
    assert step.reason == "retrying after attempt 1 of 3"
    assert farm.claim() is None
    _wait_until_due(farm)
    assert farm.must_claim().attempt == 2


def _wait_until_due(farm: Farm) -> None:
    for _ in range(500):
        with farm.database.read() as session:
            due = sweep.due(session)
        if due:
            with farm.database.write() as session:
                assert sweep.release_due(session, due[0])
            return
        threading.Event().wait(0.01)
    raise AssertionError("never due")


def test_giving_back_does_not_charge_the_attempt(farm: Farm) -> None:
    farm.submit()
    claim = farm.must_claim()
    with farm.database.write() as session:
        outcomes.give_back(session, claim)
    _wait_until_due(farm)
    assert farm.must_claim().attempt == 1


def test_the_database_itself_refuses_a_second_success(farm: Farm) -> None:
    farm.submit()
    claim = farm.must_claim()
    farm.succeed(claim)
    with pytest.raises(LeaseLost), farm.database.write() as session:
        outcomes.record_end(session, claim, StepEvent.SUCCEED)
    with pytest.raises(IntegrityError), farm.database.write() as session:
        record(session, claim.job_id, StepEvent.SUCCEED, step_id=claim.step_id, claim_id=claim.id)


def test_other_teams_see_nothing(farm: Farm) -> None:
    job = farm.submit()
    stranger = farm.add_team("strangers")
    with farm.database.read() as session:
        with pytest.raises(NotFound):
            queries.job(session, stranger, job.id)
        with pytest.raises(NotFound):
            queries.job_version(session, stranger, job.id)
        assert queries.jobs(session, stranger) == ((), None)


def test_a_job_that_no_node_can_serve_is_accepted_and_says_so(farm: Farm) -> None:
    job = farm.submit(probes(targets=[need("npu")]))
    assert job.reason == "waiting: no node offers npu"
    assert farm.claim() is None

    npu = farm.join("npu-1", offer=CPU.model_copy(update={"device": Device.NPU}))
    assert farm.view(job).reason == "waiting for a free node"
    assert farm.must_claim(npu).job_id == job.id


def test_pages_are_keysets(farm: Farm) -> None:
    wanted = [farm.submit().id for _ in range(5)][::-1]
    seen, before = [], None
    with farm.database.read() as session:
        while True:
            page, before = queries.jobs(session, farm.team, limit=2, before_seq=before)
            seen += [item.id for item in page]
            if before is None:
                break
    assert seen == wanted


def test_steps_never_exist_without_their_need(farm: Farm) -> None:
    farm.submit(probes(targets=[need("gpu"), need("cpu")]))
    with farm.database.read() as session:
        assert set(session.execute(select(Step.need_key)).scalars()) == {"cpu", "gpu"}
