"""Presets on the device that they are for: a CPU stands in for the GPU and the NPU."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
import pytest
from pydantic import JsonValue

from ovfarm.errors import Refused
from ovfarm.failures import FailureCode
from ovfarm.jobs import DataRef, JobData, JobSpec, JobView, Part
from ovfarm.states import JobState
from storage.schema import migrate
from tests.e2e.stack import TOOLS, Stack
from tests.steps.conftest import network


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    home = tmp_path_factory.mktemp("farm")
    url = f"sqlite:///{home / 'farm.sqlite'}"
    migrate(url)
    with Stack(home, url, environment=TOOLS) as running:
        running.worker("cpu")
        for device in ("gpu", "npu"):
            running.worker(device, OVFARM_DEVICE=device, OVFARM_EMULATE=f"{device}:cpu")
        yield running


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    ov.save_model(network(), folder / "m.xml", compress_to_fp16=False)
    x = np.random.default_rng(1).normal(size=(64, 16)).astype(np.float32)
    np.savez(folder / "d.npz", x=x, labels=np.arange(64) % 4)
    return folder


def asked(stack: Stack, files: Path, *targets: str, **overrides: JsonValue) -> JobSpec:
    data = stack.client.register_dataset("d", files / "d.npz").id
    halves = JobData(
        calibration=DataRef(dataset=data, part=Part.EVEN), evaluation=DataRef(dataset=data, part=Part.ODD)
    )
    raw: dict[str, Any] = {
        "model": stack.client.register_model("m", {n: files / n for n in ("m.xml", "m.bin")}).id,
        "data": halves,
        "recipe": "int8",
        "targets": targets,
        "overrides": {"benchmark.time_budget_s": 0.5} | overrides,
    }
    return JobSpec.model_validate(raw)


def ended(stack: Stack, spec: JobSpec) -> JobView:
    return stack.client.wait(stack.client.submit(spec).id, timeout_s=90)


def test_an_npu_is_asked_for_bounded_shapes_as_early_as_possible(stack: Stack, files: Path) -> None:
    unread = ended(stack, asked(stack, files, "npu"))
    assert unread.failure is not None
    assert unread.failure.code is FailureCode.DYNAMIC_SHAPE
    assert "--set convert.shapes.x=[1,16]" in str(unread.failure.hint)
    assert [s.name for s in unread.steps if s.state.value == "failed"] == ["convert"]
    assert ended(stack, asked(stack, files, "cpu")).state is JobState.SUCCEEDED
    with pytest.raises(Refused, match="inputs with bounds only") as refused:
        stack.client.submit(asked(stack, files, "npu"))
    assert "--set convert.shapes.x=[1,16]" in str(refused.value.hint)
    bounded: dict[str, JsonValue] = {"convert.shapes.x": [1, 16]}
    done = ended(stack, asked(stack, files, "npu", **bounded))
    assert done.state is JobState.SUCCEEDED, stack.log()
    assert {s.device for s in done.steps if s.emulated} != {None}


def test_a_gpu_is_measured_by_throughput(stack: Stack, files: Path) -> None:
    done = ended(stack, asked(stack, files, "gpu"))
    assert done.state is JobState.SUCCEEDED, stack.log()
    (benchmark,) = [s for s in stack.client.result(done.id).steps if s.name == "benchmark"]
    found = {(m.name, m.subject): m for m in benchmark.measurements}[("throughput", "candidate")].conditions
    assert (found.hint, found.batch, found.emulated) == ("throughput", 8, True)
    assert found.streams
    assert found.requests
