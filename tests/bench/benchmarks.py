"""The benchmarks there are."""

import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ovfarm.jobs import Cache, JobSpec
from ovfarm.recipes import Probe, ProbeAction, Recipe
from storage.schema import migrate
from tests.bench.digits import submitted
from tests.bench.huggingface import coverage, export, variant
from tests.bench.measure import Benchmark, Samples
from tests.bench.pool import claim_growth, submit_to_running, throughput
from tests.e2e.stack import ROOT, TOOLS, Stack
from workers.isolate import Zygote
from workers.protocol import ChildLimits, StepRequest
from workers.sandbox import Bubblewrapped, Unwrapped

_IMPORTS = "import workers.kit.preload"
_OK = Probe()


def _ms(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1e3


def _probe(zygote: Zygote, folder: Path, number: int, params: Probe = _OK) -> None:
    outputs = folder / str(number) / "out"
    outputs.mkdir(parents=True)
    request = StepRequest(
        params=params, outputs=outputs, log=outputs.parent / "log.txt", limits=ChildLimits()
    )
    zygote.run(request, on_progress=lambda _progress: None, stop=threading.Event())


def child_start() -> Samples:
    """Time a probe in a warm fork, and the cold imports that it saves."""
    samples = Samples([], [])
    with tempfile.TemporaryDirectory() as name, Zygote(sandbox=Unwrapped(Path(name))) as zygote:
        zygote.start()
        command = [sys.executable, "-c", _IMPORTS]
        for number in range(7):
            samples.value.append(_ms(lambda n=number: _probe(zygote, Path(name), n)))  # type: ignore[misc] # mypy cannot infer a defaulted lambda
            samples.reference.append(_ms(lambda: subprocess.run(command, cwd=ROOT, check=True)))
    return samples


@contextmanager
def _farm() -> Iterator[Stack]:
    with tempfile.TemporaryDirectory() as name:
        url = f"sqlite:///{name}/farm.sqlite"
        migrate(url)
        with Stack(Path(name), url, environment=TOOLS) as stack:
            stack.worker("node")
            yield stack


def step_overhead() -> Samples:
    """Time a probe step from submit to success, and the same step called in this process."""
    from workers.protocol import Bench
    from workers.steps import probe

    samples = Samples([], [])
    spec = JobSpec(recipe=Recipe(name="probe", steps=(Probe(),)), cache=Cache.OFF)
    with _farm() as stack, tempfile.TemporaryDirectory() as name:
        bench = Bench({}, Path(name), lambda *_: None, {})

        def through_the_farm() -> None:
            list(stack.client.changes(stack.client.submit(spec).id, every_s=0.005))

        through_the_farm()
        for _ in range(20):
            samples.value.append(_ms(through_the_farm))
            samples.reference.append(_ms(lambda: probe.run(Probe(), bench)))
    return samples


def cached_job() -> Samples:
    """Time the digits job when all its steps are known, and when none is."""
    samples = Samples([], [])
    with _farm() as stack:
        for _ in range(2):
            samples.reference.append(submitted(stack, Cache.REFRESH))
            samples.value.append(submitted(stack, Cache.USE))
    return samples


def sandbox() -> Samples:
    """Time a step of a second inside the full sandbox, and without any."""
    samples = Samples([], [])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        inside = Bubblewrapped(folder / "home", folder / "in")
        with Zygote(sandbox=inside) as confined, Zygote(sandbox=Unwrapped(folder / "home")) as free:
            confined.start()
            free.start()
            for number in range(12):
                samples.value.append(_ms(lambda n=number: _second(confined, folder / "in", n)))  # type: ignore[misc] # a defaulted lambda
                samples.reference.append(_ms(lambda n=number: _second(free, folder / "out", n)))  # type: ignore[misc] # the same
    return samples


def _second(zygote: Zygote, folder: Path, number: int) -> None:
    _probe(zygote, folder, number, Probe(action=ProbeAction.SLEEP, seconds=1.0))


BENCHMARKS = (
    Benchmark("sandbox", "a step of a second in the sandbox ÷ without", 1.05, "ms", 45, sandbox),
    Benchmark("child-start", "a probe in a warm fork ÷ cold imports", 0.1, "ms", 15, child_start),
    Benchmark("step-overhead", "a probe step through the farm ÷ in-process", 2000, "ms", 20, step_overhead),
    Benchmark("claim-growth", "a claim at a million queued ÷ at a thousand", 1.5, "ms", 90, claim_growth),
    Benchmark("throughput", "steps ÷ plain Celery tasks", 0.15, "1/s", 40, throughput, at_least=True),
    Benchmark("submit-to-running", "submit to claim ÷ the submit's answer", 3.0, "ms", 20, submit_to_running),
    Benchmark("coverage", "architectures and formats that pass ÷ all", 1.0, "", 240, coverage, at_least=True),
    Benchmark("export", "a model to INT8 by a job ÷ by optimum-cli", 0.35, "s", 90, export),
    Benchmark("variant", "INT4 of a converted model ÷ by optimum-cli", 0.2, "s", 80, variant),
    Benchmark("cached-job", "an identical job again ÷ the first", 0.2, "s", 40, cached_job),
)
