"""Probe steps in real children, and a look at which processes there are."""

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

from ovfarm.failures import Failure
from ovfarm.hardware import Offer
from ovfarm.recipes import Probe, ProbeAction
from ovfarm.results import Progress, StepResult
from workers.isolate import Zygote
from workers.protocol import ChildLimits, EscapesFrame, StepRequest

# A zygote that imports nothing heavy starts in a moment; what is tested here does not need more.
LIGHT = "workers.steps.probe"


def request(
    folder: Path, action: ProbeAction, limits: ChildLimits | None = None, **fields: object
) -> StepRequest:
    here = folder / uuid4().hex
    (here / "out").mkdir(parents=True)
    params = Probe.model_validate({"action": action, **fields})
    return StepRequest(
        params=params, outputs=here / "out", log=here / "log.txt", limits=limits or ChildLimits()
    )


def run(
    zygote: Zygote,
    asked: StepRequest,
    on_progress: Callable[[Progress], None] = lambda _progress: None,
    stop: threading.Event | None = None,
) -> StepResult | Offer | EscapesFrame | Failure:
    return zygote.run(asked, on_progress=on_progress, stop=stop or threading.Event())


def failure(zygote: Zygote, asked: StepRequest, stop: threading.Event | None = None) -> Failure:
    ended = run(zygote, asked, stop=stop)
    assert isinstance(ended, Failure)
    return ended


def alive(pid: int) -> bool:
    """Tell whether a process runs; a zombie does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in {"Z", "X"}


def eventually(condition: Callable[[], bool], within_s: float = 5.0) -> bool:
    """Poll until a condition holds; False when it does not in time."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.01)
    return condition()


def children_of(pid: int | None) -> list[int]:
    assert pid is not None
    found = []
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                fields = Path(entry.path, "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == pid:
                found.append(int(entry.name))
    return found
