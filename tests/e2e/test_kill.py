"""A killed worker loses nothing: steps are longer than the lease, else these tests could not fail."""

import re
import shutil
import signal
from pathlib import Path

import pytest

from ovfarm.failpoints import Failpoint
from ovfarm.jobs import JobView
from ovfarm.recipes import Probe, ProbeAction
from ovfarm.states import JobState
from tests.e2e.stack import ROOT, Stack, eventually, violations

LEASE_S = 1.5
LONG = Probe(name="long", action=ProbeAction.SLEEP, seconds=2 * LEASE_S)
SHORT = Probe(name="short", token="t")


@pytest.mark.scale  # on SQLite the chaos of the embedded stack kills nodes wherever they are
@pytest.mark.parametrize("point", list(Failpoint))
def test_a_worker_killed_anywhere_loses_nothing(tmp_path: Path, database_url: str, point: Failpoint) -> None:
    with Stack(tmp_path / "farm", database_url, lease_s=LEASE_S) as stack:
        jobs = [stack.submit(LONG), stack.submit(SHORT)]
        victim = stack.worker("victim", fail=f"{point}:kill")
        assert victim.wait(30) == -signal.SIGKILL, stack.log()
        assert eventually(lambda: not stack.zygotes(), 2), "zygote and child die with their node"
        stack.worker("heir")
        for job in jobs:
            assert stack.client.wait(job.id, timeout_s=30).state is JobState.SUCCEEDED, stack.log()
        assert violations(database_url) == []


def paused_and_resumed(stack: Stack) -> JobView:
    """Stop a worker in the middle of a step until another has finished it, then let it go on."""
    job = stack.submit(LONG)
    sleeper = stack.worker("sleeper")
    assert eventually(lambda: stack.running(job), 20), stack.log()
    stack.pause(sleeper)
    stack.worker("heir")
    done = stack.client.wait(job.id, timeout_s=40)
    sleeper.send_signal(signal.SIGCONT)
    # The zombie wakes, and works again: what it had to say about the old step it has said by then.
    heir_is_busy = stack.submit(Probe(name="a", action=ProbeAction.SLEEP, seconds=1.0, token="a"))
    second = stack.submit(Probe(name="b", action=ProbeAction.SLEEP, seconds=1.0, token="b"))
    for other in (heir_is_busy, second):
        stack.client.wait(other.id, timeout_s=40)
    return done


def test_a_stopped_worker_that_wakes_after_its_lease_writes_nothing(
    tmp_path: Path, database_url: str
) -> None:
    with Stack(tmp_path / "farm", database_url, lease_s=LEASE_S) as stack:
        done = paused_and_resumed(stack)
        assert done.state is JobState.SUCCEEDED, stack.log()
        assert done.steps[0].attempt == 2
        assert done.steps[0].node_name == "heir"
        assert stack.client.job(done.id) == done
    assert violations(database_url) == []


@pytest.mark.scale
def test_without_the_guard_of_the_claim_the_checks_above_fail(tmp_path: Path, database_url: str) -> None:
    code = tmp_path / "code"
    for package in ("ovfarm", "storage", "workers", "api", "migrations"):
        shutil.copytree(ROOT / package, code / package)
    outcomes = code / "storage" / "outcomes.py"
    unguarded, changes = re.subn(
        r"Step\.claim_id == claim\.id,\s+Step\.state == \S+,\s+Step\.lease_until > db_now\(\),",
        "",
        outcomes.read_text(),
    )
    assert changes == 1
    outcomes.write_text(unguarded)
    with Stack(tmp_path / "farm", database_url, lease_s=LEASE_S, code=code) as stack:
        done = paused_and_resumed(stack)
        backwards = stack.client.job(done.id) != done
    assert backwards or violations(database_url), "the seeded bug went unseen"
