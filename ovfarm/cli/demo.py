"""``ovfarm demo``: the whole farm on a real model that is built on the spot."""

import json as json_module
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from pydantic import JsonValue
from rich.console import Console

from ovfarm.cli import tables
from ovfarm.cli.outcome import Exit, put, say
from ovfarm.cli.supervise import Farm, free_port
from ovfarm.cli.watch import watch
from ovfarm.client import Client
from ovfarm.errors import Unavailable
from ovfarm.jobs import ArtifactView, DataRef, JobData, JobResult, JobSpec, JobView
from ovfarm.results import Measurement, Verdict
from ovfarm.settings import embedded, read
from ovfarm.shapes import public_id
from ovfarm.states import JobState

_FILES = ("digits.xml", "digits.bin", "calibration.npz", "evaluation.npz")


def demo(
    *,
    json: Annotated[bool, Parameter(negative=())] = False,
    keep: Annotated[bool, Parameter(negative=())] = False,
) -> int:
    """Build a small model, optimise it through the real API and worker, and show what came of it.

    Parameters
    ----------
    json
        Print one JSON object on stdout.
    keep
        Leave the farm running, and say where.
    """
    began = time.monotonic()
    home = read().home
    settings = embedded(home, free_port())
    home.mkdir(parents=True, exist_ok=True)
    say(f"ovfarm · embedded: SQLite, files and broker in {home}")
    model = _built(home / "demo")
    with Farm(settings, log=home / "demo.log", isolated=True) as farm:
        farm.wait_ready()
        client = Client(settings.url)
        say(f"✓ API and worker at {settings.url}: {client.nodes()[0].offer.device_name}")
        view = watch(client, client.submit(_spec(client, model)).id)
        if view.state is not JobState.SUCCEEDED:
            say(f"✗ the job has {view.state}: {view.reason}")
            return Exit.FAILED
        result = client.result(view.id)
        paths = _downloaded(client, result, home / "demo" / "package")
        if json:
            put(json_module.dumps(_summary(client, view, result, time.monotonic() - began)))
        else:
            _show(view, result, paths)
        if keep:
            _keep(farm)
    return Exit.OK


def _built(folder: Path) -> Path:
    """Build the model and its data unless an earlier run has: a few seconds, no download."""
    if all((folder / name).exists() for name in _FILES):
        return folder
    say("▸ building a small convolutional network on scikit-learn's digits …")
    built = subprocess.run(
        [sys.executable, "-m", "workers.kit.digits", str(folder)], stdout=subprocess.DEVNULL, check=False
    )
    if built.returncode:
        raise Unavailable("the demo's model could not be built", hint="look for what is wrong: ./farm doctor")
    return folder


def _spec(client: Client, folder: Path) -> JobSpec:
    files = {name: folder / name for name in _FILES[:2]}
    calibration, evaluation = (client.register_dataset(name, folder / name) for name in _FILES[2:])
    return JobSpec(
        model=client.register_model("digits", files).id,
        data=JobData(calibration=DataRef(dataset=calibration.id), evaluation=DataRef(dataset=evaluation.id)),
        recipe="int8",
        title="demo: digits to INT8",
    )


def _downloaded(client: Client, result: JobResult, folder: Path) -> list[Path]:
    return client.download(client.artifact(result.package), folder) if result.package else []


def _summary(client: Client, view: JobView, result: JobResult, seconds: float) -> dict[str, JsonValue]:
    bench = tables.benchmark(result)
    lines = tables.variants(result)
    accuracies = [line.accuracy.value for line in lines if line.accuracy]
    package = client.artifact(result.package) if result.package else None
    return {
        "job": public_id("job", view.id),
        "variants": [_variant(line) for line in lines],
        "speedup": _interval("value", tables.find(bench, "speedup", tables.REFERENCE)),
        "speedup_vs_default": _interval("value", tables.find(bench, "speedup", tables.DEFAULT)),
        "accuracy_drop": round(accuracies[0] - accuracies[-1], 6) if accuracies else None,
        "artifact": _artifact(package) if package else None,
        "cached_steps": sum(step.cached for step in view.steps),
        "job_seconds": round(result.seconds, 3),
        "seconds": round(seconds, 3),
    }


def _artifact(package: ArtifactView) -> JsonValue:
    files: list[JsonValue] = [*sorted(package.manifest.files)]
    return {"id": public_id("art", package.id), "files": files}


def _variant(line: tables.Variant) -> dict[str, JsonValue]:
    return {
        "name": line.name,
        "accuracy": line.accuracy.value if line.accuracy else None,
        "latency_ms": _interval("p50", line.latency),
        "size_bytes": line.size_bytes,
    }


def _interval(name: str, measured: Measurement | None) -> JsonValue:
    if measured is None:
        return None
    return {name: measured.value, "ci_low": measured.ci_low, "ci_high": measured.ci_high}


def _show(view: JobView, result: JobResult, paths: list[Path]) -> None:
    console = Console()
    tables.show(result, console)
    bench = tables.benchmark(result)
    if bench and bench.verdict is not Verdict.FASTER:
        console.print(
            f"INT8 is [bold]{bench.verdict}[/bold] here, compared with the device's default precision: "
            "without VNNI or AMX it often is."
        )
    cached = sum(step.cached for step in view.steps)
    if cached:
        console.print(
            f"{cached} of {len(view.steps)} steps came from the cache: the same work is never done twice."
        )
    if paths:
        console.print(f"The package is in {paths[0].parent}", highlight=False)
    console.print(
        "Next:  ./farm up   then   ./farm optimize YOUR.onnx --data YOUR.npz   ·   ./farm recipes ls",
        highlight=False,
    )


def _keep(farm: Farm) -> None:
    say(f"the farm stays up at {farm.settings.url} (Ctrl-C stops it)")
    say(f"  export OVFARM_URL={farm.settings.url}")
    try:
        farm.watch(threading.Event())
    except KeyboardInterrupt:
        say("stopping …")
