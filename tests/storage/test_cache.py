from ovfarm.datasets import Image
from ovfarm.keys import manifest_digest, step_key
from ovfarm.recipes import Probe
from ovfarm.states import JobState, StepState
from storage import cache, outcomes, sweep
from storage.cache import Way
from storage.claims import Claim
from storage.inputs import inputs
from tests.storage.farm import CPU, Farm, probes, product
from tests.storage.models import int8_job, int8_spec, manifest


def way(farm: Farm, claim: Claim, key: str, *, reuse: bool = True) -> Way:
    with farm.database.write() as session:
        return cache.reuse_or_lead(session, claim, key, reuse=reuse)


def succeed(farm: Farm, claim: Claim, key: str) -> None:
    with farm.database.write() as session:
        made = product()
        outcomes.succeed(session, claim, key, made)
        cache.remember(session, claim, key, made.result)


def drain(farm: Farm) -> list[Way]:
    """Run all that is eligible the way a node does, and tell what became of each step."""
    ways = []
    while (claim := farm.claim()) is not None:
        with farm.database.read() as session:
            ins = inputs(session, claim.step_id)
        key = step_key(claim.params, {i.role: i.canonical_digest for i in ins}, CPU)
        ways.append(way(farm, claim, key))
        if ways[-1] is Way.LEAD:
            succeed(farm, claim, key)
    return ways


def test_the_same_job_again_is_reused_step_by_step(farm: Farm) -> None:
    first = int8_job(farm)
    assert drain(farm) == [Way.LEAD] * 6
    second = int8_job(farm)
    assert drain(farm) == [Way.REUSED] * 6
    one, two = farm.view(first), farm.view(second)
    assert two.state is JobState.SUCCEEDED
    assert [s.artifact for s in one.steps] == [s.artifact for s in two.steps]
    assert all(s.cached for s in two.steps)
    assert not any(s.cached for s in one.steps)


def test_another_team_does_not_reuse(farm: Farm) -> None:
    farm.submit()
    claim = farm.must_claim()
    assert way(farm, claim, "k" * 64) is Way.LEAD
    succeed(farm, claim, "k" * 64)
    stranger = farm.add_team("strangers")
    farm.submit(team=stranger)
    assert way(farm, farm.must_claim(), "k" * 64) is Way.LEAD


def test_equal_steps_in_flight_run_once(farm: Farm) -> None:
    leader_job, follower_job = farm.submit(), farm.submit()
    leader, follower = farm.must_claim(), farm.must_claim(farm.join("node-2", "host-2"))
    assert way(farm, leader, "k" * 64) is Way.LEAD
    assert way(farm, follower, "k" * 64) is Way.FOLLOWED
    (step,) = farm.view(follower_job).steps
    assert (step.state, step.attempt) == (StepState.BLOCKED, 0)
    assert step.reason == "waiting for an equal step that runs now"
    assert due(farm) == 0
    succeed(farm, leader, "k" * 64)
    assert due(farm) == 1
    assert way(farm, farm.must_claim(), "k" * 64) is Way.REUSED
    assert farm.view(leader_job).state is farm.view(follower_job).state is JobState.SUCCEEDED


def due(farm: Farm) -> int:
    with farm.database.read() as session:
        found = sweep.due(session)
    for overdue in found:
        with farm.database.write() as session:
            assert sweep.release_due(session, overdue)
    return len(found)


def test_a_follower_leads_when_its_leader_is_lost(farm: Farm) -> None:
    farm.submit()
    farm.submit()
    leader, follower = farm.must_claim(), farm.must_claim(farm.join("node-2", "host-2"))
    way(farm, leader, "k" * 64)
    way(farm, follower, "k" * 64)
    farm.expire(leader)
    with farm.database.write() as session:
        sweep.take_back(session, sweep.Overdue(leader.step_id, leader.job_id))
    assert due(farm) == 1
    assert {way(farm, farm.must_claim(), "k" * 64) for _ in range(2)} == {Way.LEAD, Way.FOLLOWED}


def test_a_refresh_runs_again_and_replaces_what_was_remembered(farm: Farm) -> None:
    for reuse in (True, False):
        farm.submit()
        claim = farm.must_claim()
        assert way(farm, claim, "k" * 64, reuse=reuse) is Way.LEAD
        succeed(farm, claim, "k" * 64)
    newest = farm.view(farm.submit(probes(Probe(token="other"))))
    assert newest.state is JobState.QUEUED


def digests(farm: Farm, **reading: object) -> list[str]:
    """Return what the steps of a job that reads its data in this way are keyed by."""
    spec = int8_spec(farm)
    refs = {
        role: ref.model_copy(update=reading)
        for role, ref in (("calibration", spec.data.calibration), ("evaluation", spec.data.evaluation))
        if ref is not None
    }
    farm.submit(spec.model_copy(update={"data": spec.data.model_copy(update=refs)}))
    found = []
    while (claim := farm.claim()) is not None:
        with farm.database.read() as session:
            given = inputs(session, claim.step_id)
        found += [i.canonical_digest for i in given if i.role in refs]
        succeed(farm, claim, claim.id.hex * 2)
    return found


def test_data_that_is_read_otherwise_is_other_data(farm: Farm) -> None:
    plain = digests(farm)
    assert set(plain) == {manifest_digest(manifest(f"{n}.npz", d * 64)) for n, d in (("c", "b"), ("e", "c"))}
    ways = [
        digests(farm, mapping={"x": "a"}), digests(farm, mapping={"x": "b"}), digests(farm, labels="class"),
        digests(farm, image=Image()), digests(farm, image=Image(color="bgr")), digests(farm, max_tokens=64),
    ]  # fmt: skip
    assert len({tuple(way) for way in (plain, *ways)}) == 7
    assert digests(farm, mapping={"x": "a"}) == ways[0]
