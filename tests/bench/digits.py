"""The digits job, built once for a benchmark."""

import subprocess
import sys
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

from ovfarm.jobs import Cache, DataRef, JobData, JobSpec
from ovfarm.states import JobState
from tests.e2e.stack import Stack


@cache
def built() -> Path:
    """Return the folder of the digits network and its two datasets, built once for a process."""
    folder = Path(mkdtemp(prefix="ovfarm-digits-"))
    command = [sys.executable, "-m", "workers.kit.digits", str(folder)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return folder


def submitted(stack: Stack, reuse: Cache) -> float:
    """Run the job and return its seconds from submit to end, as the farm has them."""
    folder = built()
    files = {name: folder / name for name in ("digits.xml", "digits.bin")}
    calibration, evaluation = (
        stack.client.register_dataset(name, folder / f"{name}.npz") for name in ("calibration", "evaluation")
    )
    spec = JobSpec(
        model=stack.client.register_model("digits", files).id,
        data=JobData(calibration=DataRef(dataset=calibration.id), evaluation=DataRef(dataset=evaluation.id)),
        recipe="int8",
        cache=reuse,
    )
    view = stack.client.wait(stack.client.submit(spec).id, timeout_s=120)
    if view.state is not JobState.SUCCEEDED:
        raise RuntimeError(f"the job has {view.state}: {view.reason}")
    return stack.client.result(view.id).seconds
