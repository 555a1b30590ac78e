"""Who may take what: drained, newer, avoided, dead by the dozen, and what is said of the wait."""

import pytest
from sqlalchemy import select, update

from ovfarm.catalog import ModelFormat
from ovfarm.errors import NotFound
from ovfarm.failures import Failure, FailureClass, FailureCode
from ovfarm.hardware import Device, Need
from ovfarm.jobs import DataRef, JobData, JobSpec, NodeState, Why
from ovfarm.recipes import Probe
from ovfarm.results import Manifest
from ovfarm.states import JobState, StepState
from storage import catalog, nodes, outcomes, sweep, waits
from storage.columns import db_now
from storage.tables import Event, Node, Step
from tests.storage.farm import CPU, Farm, probes
from tests.storage.models import manifest

DISK = Failure(failure_class=FailureClass.INFRA, code=FailureCode.NODE_DISK_FULL, message="full")


def why(farm: Farm, job_id: object) -> Why:
    with farm.database.read() as session:
        return waits.explain(session, farm.team, job_id)  # type: ignore[arg-type] # an id


def test_a_drained_node_takes_nothing_and_stays_so_over_a_restart(farm: Farm) -> None:
    farm.submit()
    with farm.database.write() as session:
        assert nodes.drain(session, farm.team, farm.node.id).state is NodeState.DRAINING
    assert farm.claim() is None
    again = farm.join("node-1")
    assert farm.claim(again) is None
    with farm.database.write() as session:
        assert nodes.beat(session, again.id) is NodeState.DRAINING
        assert nodes.resume(session, farm.team, again.id).state is NodeState.ONLINE
    assert farm.rings == ["cpu", "cpu"], "who is resumed is rung"
    assert farm.claim(again) is not None


def test_a_sick_node_takes_nothing_until_it_is_resumed(farm: Farm) -> None:
    farm.submit()
    with farm.database.write() as session:
        nodes.set_state(session, farm.node.id, NodeState.SICK)
        assert nodes.beat(session, farm.node.id) is NodeState.SICK
    assert farm.claim() is None
    with farm.database.write() as session:
        nodes.resume(session, farm.team, farm.node.id)
    assert farm.claim() is not None


def test_a_lost_node_comes_back_by_its_beat(farm: Farm) -> None:
    with farm.database.write() as session:
        session.execute(update(Node).values(seen_at=db_now(-100)))
        assert nodes.mark_lost(session, 60) == 1
        assert nodes.beat(session, farm.node.id) is NodeState.ONLINE


def test_steps_of_a_newer_release_wait_for_a_newer_node_and_say_so(farm: Farm) -> None:
    job = farm.submit()
    with farm.database.write() as session:
        session.execute(update(Step).values(step_version=7))
    old = farm.join("old", offer=CPU.model_copy(update={"steps": ("probe/1",)}))
    farm.join("node-1", offer=CPU.model_copy(update={"steps": ("probe/1",)}))
    assert farm.claim(old) is None
    assert farm.view(job).reason == "waiting: no node with cpu knows probe/7; it is newer than their release"
    new = farm.join("new", offer=CPU.model_copy(update={"steps": ("probe/1", "probe/7")}))
    assert farm.claim(new) is not None


def test_the_sweep_takes_back_steps_of_kinds_that_it_does_not_know(farm: Farm) -> None:
    farm.submit()
    claim = farm.must_claim()
    farm.expire(claim)
    with farm.database.write() as session:
        session.connection().exec_driver_sql("UPDATE steps SET kind = 'distil', params = '{}'")
    with farm.database.read() as session:
        (overdue,) = sweep.expired(session)
    with farm.database.write() as session:
        sweep.take_back(session, overdue)
    assert farm.claim() is None, "and a node that does not know it leaves it alone"


def test_a_failed_step_goes_to_another_node_first_and_returns_when_none_takes_it(farm: Farm) -> None:
    other = farm.join("node-2", "host-2")
    farm.submit()
    claim = farm.must_claim()
    with farm.database.write() as session:
        outcomes.postpone(session, claim, DISK, 0.0)
        sweep.release_due(session, sweep.Overdue(claim.step_id, claim.job_id))
    assert farm.claim() is None
    with farm.database.write() as session:
        session.execute(update(Step).values(queued_at=db_now(-61)))
        sweep.let_come_back(session, 60)
    again = farm.must_claim()
    with farm.database.write() as session:
        outcomes.postpone(session, again, DISK, 0.0)
        sweep.release_due(session, sweep.Overdue(claim.step_id, claim.job_id))
    assert farm.claim(other) is not None


def test_three_ends_that_took_the_node_down_are_poison(farm: Farm) -> None:
    job = farm.submit()
    for _ in range(3):
        farm.expire(farm.must_claim())
        with farm.database.read() as session:
            (overdue,) = sweep.expired(session)
        with farm.database.write() as session:
            sweep.take_back(session, overdue)
    view = farm.view(job)
    assert view.state is JobState.FAILED
    assert view.failure is not None
    assert view.failure.code is FailureCode.POISON


@pytest.mark.parametrize(("alive", "charged"), [(0, False), (3, True)])
def test_when_most_leases_end_at_once_nobody_is_charged(farm: Farm, alive: int, *, charged: bool) -> None:
    claims = []
    for number in range(3 + alive):
        farm.submit(probes(Probe(token=str(number))))
        claims.append(farm.must_claim(farm.join(f"n{number}", f"h{number}")))
    for claim in claims[:3]:
        farm.expire(claim)
    with farm.database.read() as session:
        assert sweep.outage(session) is not charged
        overdue = sweep.expired(session)
    for one in overdue:
        with farm.database.write() as session:
            sweep.take_back(session, one, charged=charged)
    with farm.session() as session:
        attempts = session.execute(select(Step.attempt).where(Step.state == StepState.QUEUED)).scalars()
        assert list(attempts) == [1 if charged else 0] * 3


def test_a_need_is_a_word_and_auto_says_where_it_went(farm: Farm) -> None:
    need = Need.model_validate("gpu/pool=lab/memory=32/isa=amx_int8")
    assert need.key == "gpu/pool=lab/memory=32/isa=amx_int8"
    with pytest.raises(ValueError, match="none of pool=NAME"):
        Need.model_validate("gpu/speed=9")
    job = farm.submit(probes(targets=[{"device": "auto"}]))
    farm.succeed(farm.must_claim())
    assert farm.view(job).steps[0].device == "Testium"
    with farm.session() as session:
        reason = session.execute(select(Event.reason).where(Event.event == "claim")).scalar_one()
    assert reason == "node-1 (Testium) serves auto"


def test_what_nobody_offers_is_accepted_says_so_and_starts_when_someone_does(farm: Farm) -> None:
    job = farm.submit(probes(targets=["npu"]))
    assert farm.view(job).reason == "waiting: no node offers npu"
    assert why(farm, job.id).sentence == (
        "probe: waiting: no node offers npu; it starts when one joins or comes back"
    )
    npu = farm.join("npu-1", "far", CPU.model_copy(update={"device": Device.NPU}))
    assert farm.must_claim(npu).job_id == job.id


def test_why_counts_what_is_ahead_and_what_the_team_gets(farm: Farm) -> None:
    farm.add_team("quiet")
    rival = farm.add_team("rival", weight=3)
    farm.submit(probes(Probe(token="r")), team=rival)
    farm.submit(probes(Probe(token="s")), team=rival)
    farm.must_claim()
    jobs = [farm.submit(probes(Probe(token=str(n)))) for n in range(4)]
    last = why(farm, jobs[-1].id)
    assert (last.position, last.slots, last.idle, last.share) == (4, 1, 0, 0.25)
    assert last.expected_start_s is not None
    assert 12 <= last.expected_start_s <= 13, (
        "three probes of a second at a quarter of one slot, and the rest"
    )
    assert "number 4 of your team's steps for cpu; 1 of 1 slots are busy" in last.sentence


def test_why_names_the_bound_that_holds(farm: Farm) -> None:
    with farm.database.write() as session:
        session.connection().exec_driver_sql("UPDATE teams SET max_running = 1")
    first = farm.submit(probes(Probe(token="1")))
    second = farm.submit(probes(Probe(token="2")))
    farm.must_claim()
    assert why(farm, first.id).sentence == "it waits for nothing: probe runs on node-1 (attempt 1)"
    assert "as many as it may (1)" in why(farm, second.id).sentence
    with farm.database.write() as session:
        session.connection().exec_driver_sql("UPDATE teams SET max_running = NULL, budget_s = 0.5")
    assert "used its 0.5 device-seconds" in why(farm, second.id).sentence
    with pytest.raises(NotFound):
        why(farm, farm.node.id)


def test_texts_ask_for_a_node_with_tokenizers(farm: Farm) -> None:
    """Which dataset is text is told by its files, when the job is submitted."""
    with farm.database.write() as session:
        files = {**manifest("openvino_model.xml").files, **manifest("openvino_tokenizer.xml").files}
        model = catalog.register_model(session, farm.team, "m", ModelFormat.IR, Manifest(files=files))
        texts = catalog.register_dataset(session, farm.team, "t", manifest("lines.txt"))
        arrays = catalog.register_dataset(session, farm.team, "a", manifest("rows.npz"))
    data = JobData(calibration=DataRef(dataset=arrays.id), evaluation=DataRef(dataset=texts.id))
    job = farm.submit(JobSpec(model=model.id, recipe="int8", data=data))
    needs = {step.name: step.need for step in job.steps}
    assert {name for name, need in needs.items() if "toolkit=huggingface" in need} == {
        "evaluate-reference", "evaluate", "benchmark",
    }  # fmt: skip
