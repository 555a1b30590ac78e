"""The main job on a real model: right numbers, cached the second time, and a package that loads anywhere."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import openvino as ov
import pytest

from ovfarm.cli import tables
from ovfarm.jobs import Cache, DataRef, JobData, JobSpec, JobView
from ovfarm.results import Measurement
from ovfarm.states import JobState
from tests.e2e.stack import TOOLS, Stack


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("digits")
    subprocess.run([sys.executable, "-m", "workers.kit.digits", str(folder)], check=True)
    return folder


def spec(stack: Stack, digits: Path, calibration: Path | None = None) -> JobSpec:
    files = {name: digits / name for name in ("digits.xml", "digits.bin")}
    model = stack.client.register_model("digits", files)
    calibrates = stack.client.register_dataset("c", calibration or digits / "calibration.npz")
    judges = stack.client.register_dataset("e", digits / "evaluation.npz")
    return JobSpec(
        model=model.id,
        data=JobData(calibration=DataRef(dataset=calibrates.id), evaluation=DataRef(dataset=judges.id)),
        recipe="int8",
        overrides={"benchmark.time_budget_s": 1, "benchmark.model_cache": True},
    )


def value(found: Measurement | None) -> float:
    assert found is not None
    return found.value


def cached(stack: Stack, asked: JobSpec) -> dict[str, bool]:
    view = finished(stack, asked)
    return {step.name: step.cached for step in view.steps}


def finished(stack: Stack, asked: JobSpec) -> JobView:
    job = stack.client.submit(asked)
    try:
        view = stack.client.wait(job.id, timeout_s=90)
    except TimeoutError:
        view = stack.client.job(job.id)
    assert view.state is JobState.SUCCEEDED, (view.steps, stack.log())
    return view


@pytest.mark.scale  # on SQLite the demo and the lines of the pages do the same
def test_the_main_job(tmp_path: Path, database_url: str, digits: Path) -> None:
    with Stack(tmp_path / "farm", database_url, environment=TOOLS) as stack:
        stack.worker("node")
        asked = spec(stack, digits)
        first = finished(stack, asked)
        result = stack.client.result(first.id)
        reference, _, quantized = tables.variants(result)
        assert value(reference.accuracy) >= 0.97
        assert value(reference.accuracy) - value(quantized.accuracy) <= 0.01
        assert (quantized.size_bytes or 0) < 0.4 * (reference.size_bytes or 0)
        bench = tables.benchmark(result)
        speedup = tables.find(bench, "speedup", tables.REFERENCE)
        assert speedup is not None
        assert (speedup.ci_low or 0) <= speedup.value <= (speedup.ci_high or 0)
        cached = tables.find(bench, "load_time_cached", tables.CANDIDATE)
        assert cached is not None, "the sandbox has room for a model cache"
        latency = tables.find(bench, "latency", tables.REFERENCE)
        assert latency is not None
        assert latency.conditions.precision == "f32"
        assert latency.samples == "samples.json"
        predicts_the_same(stack, result.package, tmp_path / "package", digits)
        caches(stack, asked, digits, tmp_path)


def predicts_the_same(stack: Stack, package: object, folder: Path, digits: Path) -> None:
    assert package is not None
    artifact = stack.client.artifact(package)  # type: ignore[arg-type] # checked above
    stack.client.download(artifact, folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    assert {step["kind"] for step in manifest["recipe"]} == {"convert", "quantize"}
    for name, entry in manifest["files"].items():
        assert artifact.manifest.files[name].digest == entry["sha256"]
    core = ov.Core()
    data = np.load(digits / "evaluation.npz")
    rows, labels = data["image"], data["labels"]
    compiled = core.compile_model(core.read_model(folder / "model.xml"), "CPU")
    right = (compiled(rows)[0].argmax(axis=1) == labels).mean()
    assert right >= 0.96


def caches(stack: Stack, asked: JobSpec, digits: Path, folder: Path) -> None:
    assert all(cached(stack, asked).values())
    changed = asked.model_copy(update={"overrides": {**asked.overrides, "quantize.subset_size": 299}})
    again = cached(stack, changed)
    assert again["convert"]
    assert again["evaluate-reference"]
    assert not again["quantize"]
    image = np.load(digits / "calibration.npz")["image"].copy()
    image[0, 0, 0, 0] += 0.125
    np.savez(folder / "other.npz", image=image)
    assert not cached(stack, spec(stack, digits, folder / "other.npz"))["quantize"]
    refreshed = cached(stack, asked.model_copy(update={"cache": Cache.REFRESH}))
    assert not any(refreshed.values())
