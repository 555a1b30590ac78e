"""Steps that die, hang, or babble fail alone; a cancelled one is gone in two seconds."""

import time
from pathlib import Path

import psutil
import pytest

from ovfarm.failures import FailureCode
from ovfarm.jobs import Cache, JobSpec, Limits
from ovfarm.recipes import Probe, ProbeAction, Recipe
from ovfarm.states import JobState
from tests.e2e.stack import Stack, eventually, violations

ENDS = {
    ProbeAction.SIGNAL: FailureCode.CRASHED,
    ProbeAction.GARBAGE: FailureCode.BAD_REPLY,
    ProbeAction.EXIT: FailureCode.CRASHED,
    ProbeAction.FAIL: FailureCode.PARAMETER_REFUSED,
    ProbeAction.HANG: FailureCode.TIMEOUT,
    ProbeAction.ALLOCATE: FailureCode.OUT_OF_MEMORY,
}


def spec(action: ProbeAction) -> JobSpec:
    amount = {ProbeAction.ALLOCATE: 1 << 40, ProbeAction.EXIT: 9}.get(action, 0)
    return JobSpec(
        recipe=Recipe(name="probe", steps=(Probe(action=action, amount=amount),)),
        limits=Limits(step_timeout_s=1.5, max_attempts=1),
        cache=Cache.OFF,
    )


@pytest.mark.scale
def test_what_goes_wrong_in_a_child_stays_in_its_step(tmp_path: Path, database_url: str) -> None:
    with Stack(tmp_path / "farm", database_url) as stack:
        node = stack.worker("node")
        jobs = {action: stack.client.submit(spec(action)) for action in ENDS}
        fine = stack.submit(Probe(token="fine"))
        for action, code in ENDS.items():
            ended = stack.client.wait(jobs[action].id, timeout_s=60)
            assert ended.state is JobState.FAILED, (action, stack.log())
            assert ended.failure is not None
            assert ended.failure.code is code, ended.failure
            assert action is ProbeAction.FAIL or ended.failure.hint, ended.failure
        assert stack.client.wait(fine.id, timeout_s=30).state is JobState.SUCCEEDED
        assert node.poll() is None, "the worker goes on"
    assert violations(database_url) == []


@pytest.mark.scale
def test_a_crash_is_tried_three_times_and_a_mistake_once(tmp_path: Path, database_url: str) -> None:
    with Stack(tmp_path / "farm", database_url) as stack:
        stack.worker("node")
        crash = stack.submit(Probe(action=ProbeAction.EXIT, amount=1))
        mistake = stack.submit(Probe(action=ProbeAction.FAIL))
        assert stack.client.wait(mistake.id, timeout_s=30).steps[0].attempt == 1
        assert stack.client.wait(crash.id, timeout_s=60).steps[0].attempt == 3
    assert violations(database_url) == []


def test_cancel_ends_a_running_child_within_two_seconds(tmp_path: Path, database_url: str) -> None:
    with Stack(tmp_path / "farm", database_url) as stack:
        stack.worker("node")
        job = stack.submit(Probe(action=ProbeAction.SLEEP, seconds=600), Probe(name="later"))
        assert eventually(lambda: stack.running(job), 20), stack.log()
        (zygote,) = [p for p in stack.zygotes() if p.parent() not in stack.zygotes()]
        (child,) = zygote.children()
        began = time.monotonic()
        stack.client.cancel(job.id)
        assert eventually(lambda: not psutil.pid_exists(child.pid), 2.0)
        ended = stack.client.wait(job.id, timeout_s=5)
        assert time.monotonic() - began < 4
        assert [step.state.value for step in ended.steps] == ["cancelled", "cancelled"]
    assert violations(database_url) == []


def test_a_node_that_leaves_gives_its_step_back_uncharged(tmp_path: Path, database_url: str) -> None:
    with Stack(tmp_path / "farm", database_url) as stack:
        first = stack.worker("first")
        job = stack.submit(Probe(action=ProbeAction.SLEEP, seconds=4))
        assert eventually(lambda: stack.running(job), 20), stack.log()
        first.terminate()
        assert first.wait(20) == 0, stack.log()
        stack.worker("second")
        ended = stack.client.wait(job.id, timeout_s=30)
        assert (ended.state, ended.steps[0].attempt) == (JobState.SUCCEEDED, 1)
