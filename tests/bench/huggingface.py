"""Hugging Face models: how many are covered, and what an export costs beside ``optimum-cli`` by itself."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from uuid import UUID

from ovfarm.jobs import Cache, JobSpec
from ovfarm.recipes import Compress, Convert, Recipe
from ovfarm.states import JobState
from tests.bench.measure import Samples
from tests.coverage.architectures import BY_NAME, build
from tests.coverage.farm import MAKERS, covered, farm
from tests.e2e.stack import Stack

# Ten million parameters: more than overhead, and small enough to be done a few times.
_LLAMA = replace(
    BY_NAME["llama"],
    values={
        **BY_NAME["llama"].values,
        "hidden_size": 256,
        "intermediate_size": 1024,
        "num_hidden_layers": 10,
    },
)
_INT8 = Compress(mode="int8_asym")
_TIMES, _SHARES, _GROUP = 3, (1.0, 0.9, 0.8), 64
_LOOK_EVERY_S = 0.02
_CLI = str(Path(sys.executable).with_name("optimum-cli"))


def coverage() -> Samples:
    """Count the cases that pass, and all of them."""
    verdicts = covered(MAKERS, lambda v: sys.stderr.write(f"{v.name}: {v.reason or 'passed'}\n"))
    passed = [verdict for verdict in verdicts if not verdict.reason]
    return Samples([float(len(passed))], [float(len(verdicts))])


def export() -> Samples:
    """Time a job that exports a model to 8 bits with nothing cached, and ``optimum-cli`` doing the same."""

    def job(stack: Stack, model: UUID, _: int) -> float:
        return _job(stack, model, _INT8, Cache.OFF)

    return _in_turns(job, lambda _: ("--weight-format", "int8"), warm=lambda s, m: job(s, m, 0))


def variant() -> Samples:
    """Time another compression of a model that the farm has converted, and ``optimum-cli`` doing all."""

    def job(stack: Stack, model: UUID, turn: int) -> float:
        asked = Compress(mode="int4_asym", group_size=_GROUP, ratio=_SHARES[turn])
        return _job(stack, model, asked, Cache.USE)

    def options(turn: int) -> tuple[str, ...]:
        share = str(_SHARES[turn])
        return ("--weight-format", "int4", "--group-size", str(_GROUP), "--ratio", share)

    return _in_turns(job, options, warm=lambda s, m: _job(s, m, _INT8, Cache.USE))


def _in_turns(
    job: Callable[[Stack, UUID, int], float],
    options: Callable[[int], tuple[str, ...]],
    *,
    warm: Callable[[Stack, UUID], float],
) -> Samples:
    """Return seconds of jobs on a node that has worked before, and of the same in fresh processes."""
    samples = Samples([], [])
    with tempfile.TemporaryDirectory() as name, farm() as stack:
        folder = build(_LLAMA, Path(name) / "llama")
        files = {path.name: path for path in folder.iterdir()}
        model = stack.client.register_model("llama", files).id
        warm(stack, model)
        for turn in range(_TIMES):
            samples.value.append(job(stack, model, turn))
            samples.reference.append(_alone(folder, Path(name) / f"out{turn}", options(turn)))
    return samples


def _job(stack: Stack, model: UUID, compress: Compress, reuse: Cache) -> float:
    """Run the job and return its seconds from submit to end, as its owner sees them."""
    recipe = Recipe(name="export", steps=(Convert(), compress))
    began = time.perf_counter()
    job = stack.client.submit(JobSpec(model=model, recipe=recipe, cache=reuse))
    *_, done = stack.client.changes(job.id, every_s=_LOOK_EVERY_S)
    seconds = time.perf_counter() - began
    if done.state is not JobState.SUCCEEDED or done.steps[1].cached:
        raise RuntimeError(f"the job has {done.state}: {done.reason or 'its compression was cached'}")
    return seconds


def _alone(folder: Path, target: Path, options: tuple[str, ...]) -> float:
    command = [_CLI, "export", "openvino", "--model", str(folder), "--task", "text-generation-with-past"]
    began = time.perf_counter()
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    subprocess.run([*command, *options, str(target)], check=True, env=environment, capture_output=True)
    return time.perf_counter() - began
