"""The same processes by settings alone: Postgres, Redis and S3, several classes of devices, signals."""

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from ovfarm.hardware import Need
from ovfarm.jobs import Cache, DataRef, JobData, JobSpec, NodeState
from ovfarm.recipes import Probe, ProbeAction, Recipe
from ovfarm.states import JobState
from tests.bench.digits import built
from tests.e2e.stack import Stack, eventually, violations
from tests.runner.s3 import S3Server

pytestmark = pytest.mark.scale
GPU = {"OVFARM_DEVICE": "gpu", "OVFARM_EMULATE": "gpu:cpu", "OVFARM_POOLS": '["lab"]'}
SLOW = Probe(name="slow", action=ProbeAction.SLEEP, seconds=3.0)


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    with S3Server() as server:
        yield server


@pytest.fixture
def pool(tmp_path: Path, database_url: str, s3: S3Server) -> Iterator[Stack]:
    """A farm of several machines, as far as one machine can tell: nothing is shared but the services."""
    s3.prefix = tmp_path.name
    environment = {**s3.environment, "OVFARM_LOG": "json"}
    if broker := os.environ.get("OVFARM_TEST_REDIS"):
        environment["OVFARM_BROKER_URL"] = broker
    with Stack(tmp_path / "farm", database_url, lease_s=2.0, environment=environment) as stack:
        yield stack


def test_a_real_job_on_two_classes_of_devices_at_once(pool: Stack, database_url: str) -> None:
    pool.worker("cpu-1")
    pool.worker("gpu-1", OVFARM_HOME=str(pool.home / "second"), **GPU)
    folder = built()
    farm = pool.client
    data = farm.register_dataset("calibration", folder / "calibration.npz")
    spec = JobSpec(
        model=farm.register_model("digits", {n: folder / n for n in ("digits.xml", "digits.bin")}).id,
        data=JobData(calibration=DataRef(dataset=data.id), evaluation=None),
        recipe="int8",
        overrides={"benchmark.time_budget_s": 1},
        targets=(Need.model_validate("cpu"), Need.model_validate("gpu/pool=lab")),
    )
    done = farm.wait(farm.submit(spec).id, timeout_s=90)
    assert done.state is JobState.SUCCEEDED, pool.log()
    result = farm.result(done.id)
    on = {step.name: step for step in done.steps}
    gpu = [step for step in result.steps if on[step.name].need == "gpu/pool=lab" and step.measurements]
    assert gpu
    for step in gpu:
        assert on[step.name].emulated
        assert "emulated by" in (on[step.name].device or "")
        assert all(measured.conditions.emulated for measured in step.measurements)
        assert "emulated" in {note.code for note in step.notes}
    assert not any(
        measured.conditions.emulated
        for step in result.steps if not on[step.name].emulated for measured in step.measurements
    )  # fmt: skip
    package = farm.artifacts(done.id)[-1]
    links = farm.transport.send("GET", f"/v1/artifacts/art_{package.id.hex}/links").json()["files"]
    for name, entry in package.manifest.files.items():
        assert len(httpx.get(links[name]).content) == entry.size
    assert violations(database_url) == []


def test_a_device_that_is_not_there_is_refused_at_the_start_with_the_mend(pool: Stack) -> None:
    process = pool.worker("npu-1", OVFARM_DEVICE="npu")
    assert process.wait(30) == 1
    assert "this machine cannot serve npu: OpenVINO finds no NPU here" in pool.log()
    assert "OVFARM_DEVICE" in pool.log()


def test_a_job_for_nobody_is_accepted_and_starts_when_a_node_appears(pool: Stack) -> None:
    spec = JobSpec(recipe=Recipe(name="p", steps=(Probe(),)), targets=(Need.model_validate("gpu"),))
    job = pool.client.submit(spec)
    assert job.reason == "waiting: no node offers gpu"
    pool.worker("gpu-1", **GPU)
    assert pool.client.wait(job.id, timeout_s=20).state is JobState.SUCCEEDED


def test_sigterm_drains_and_a_second_one_gives_the_step_back_uncharged(pool: Stack) -> None:
    node = pool.worker("node", OVFARM_DRAIN_S="30")
    job = pool.submit(SLOW)
    assert eventually(lambda: pool.running(job), 20)
    node.terminate()
    assert eventually(lambda: pool.client.nodes()[0].state is NodeState.DRAINING, 10), pool.log()
    began = time.monotonic()
    node.send_signal(signal.SIGTERM)
    assert node.wait(10) == 0
    assert time.monotonic() - began < 2.5
    step = pool.client.job(job.id).steps[0]
    assert step.attempt == 0
    pool.worker("heir")
    done = pool.client.wait(job.id, timeout_s=20)
    assert (done.state, done.steps[0].attempt) == (JobState.SUCCEEDED, 1)


def test_a_sigterm_before_celery_listens_is_minded_as_well(pool: Stack) -> None:
    node = pool.worker("node")
    node.terminate()
    assert node.wait(20) == 0, pool.log()
    assert pool.client.nodes()[0].state is NodeState.LEFT


def test_the_first_sigterm_lets_the_step_finish(pool: Stack) -> None:
    node = pool.worker("node", OVFARM_DRAIN_S="30")
    job = pool.submit(SLOW)
    later = pool.submit(Probe(token="later"))
    assert eventually(lambda: pool.running(job), 20)
    node.terminate()
    assert node.wait(20) == 0
    assert pool.client.job(job.id).state is JobState.SUCCEEDED
    assert pool.client.job(later.id).state is JobState.QUEUED


def test_after_a_kill_the_step_runs_elsewhere_within_lease_and_two_seconds(pool: Stack) -> None:
    victim = pool.worker("victim")
    job = pool.submit(SLOW.model_copy(update={"seconds": 20.0}))
    assert eventually(lambda: pool.running(job), 20)
    pool.worker("heir")
    time.sleep(2.0)  # the heir's own patience after its start
    victim.kill()
    began = time.monotonic()
    assert eventually(lambda: pool.client.job(job.id).steps[0].node_name == "heir", 10)
    assert time.monotonic() - began <= 2.0 + 2.0
    pool.client.cancel(job.id)


def test_a_child_that_dies_thrice_is_poison_and_others_go_on(pool: Stack) -> None:
    pool.worker("node")
    spec = JobSpec(recipe=Recipe(name="p", steps=(Probe(action=ProbeAction.EXIT),)), cache=Cache.OFF)
    poison, good = pool.client.submit(spec), pool.submit(Probe(token="good"))
    assert pool.client.wait(good.id, timeout_s=20).state is JobState.SUCCEEDED
    ended = pool.client.wait(poison.id, timeout_s=40)
    assert ended.steps[0].attempt == 3
    assert ended.failure is not None
    assert ended.failure.code == "poison"
    assert pool.online("node"), "the node proved itself sound after each crash"


def _json_lines(pool: Stack) -> list[str]:
    """Return the lines of the workers' own log: Celery's warnings about root go their own way."""
    return [line for line in (pool.home / "workers.log").read_text().splitlines() if line.startswith("{")]


def test_the_log_names_job_step_attempt_and_claim(pool: Stack) -> None:
    pool.worker("node")
    job = pool.submit(Probe(token="logged"))
    pool.client.wait(job.id, timeout_s=20)
    lines = [json.loads(line) for line in _json_lines(pool)]
    (way,) = (line for line in lines if line["event"] == "step.way")
    assert way["job"] == f"job_{job.id.hex}"
    assert (way["step"], way["attempt"], len(way["claim"])) == ("probe", 1, 32)
