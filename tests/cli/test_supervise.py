import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil

from ovfarm.cli.supervise import free_port
from tests.e2e.stack import ROOT, eventually


def farm_processes(home: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.status() != psutil.STATUS_ZOMBIE and str(home) in "".join(process.environ().values()):
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def module(process: psutil.Process) -> str:
    try:
        line = process.cmdline()
    except psutil.NoSuchProcess:
        return ""
    return line[line.index("-m") + 1] if "-m" in line else ""


def test_up_restarts_what_crashes_and_stops_both_on_one_signal(tmp_path: Path) -> None:
    home, port = tmp_path / "home", free_port()
    environment = {**os.environ, "OVFARM_HOME": str(home), "OVFARM_PORT": str(port)}
    up = subprocess.Popen(
        [sys.executable, "-m", "ovfarm.cli", "up"],
        env=environment,
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert up.stderr is not None
        while "farm up at" not in (line := up.stderr.readline()):
            assert line, "the farm did not come up"
        (worker,) = [p for p in farm_processes(home) if module(p) == "workers"]
        worker.kill()

        def restarted() -> bool:
            workers = [p.pid for p in farm_processes(home) if module(p) == "workers"]
            return bool(workers) and worker.pid not in workers

        assert eventually(restarted, 20)
        up.send_signal(signal.SIGINT)
        assert up.wait(30) == 0
    finally:
        up.kill()
        up.communicate()
    assert eventually(lambda: not farm_processes(home), 5)


def test_a_killed_supervisor_leaves_nothing_running(tmp_path: Path) -> None:
    home, port = tmp_path / "home", free_port()
    environment = {**os.environ, "OVFARM_HOME": str(home), "OVFARM_PORT": str(port)}
    up = subprocess.Popen(
        [sys.executable, "-m", "ovfarm.cli", "up"], env=environment, cwd=ROOT, stderr=subprocess.DEVNULL
    )
    assert eventually(lambda: {"api", "workers"} <= {module(p) for p in farm_processes(home)}, 30)
    up.kill()
    up.wait()
    assert eventually(lambda: not farm_processes(home), 45)


def test_the_demo_prints_one_object_and_leaves_nothing_running(tmp_path: Path) -> None:
    home = tmp_path / "home"
    # What the demo needs; a node that has more installed imports more, and the second run waits again.
    environment = {**os.environ, "OVFARM_HOME": str(home), "OVFARM_PRELOAD": "core"}
    shown = []
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-m", "ovfarm.cli", "demo", "--json"],
            env=environment, cwd=ROOT, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        shown.append(json.loads(done.stdout))
        assert farm_processes(home) == []
    first, second = shown
    assert set(first) == {
        "job", "variants", "speedup", "speedup_vs_default", "accuracy_drop", "artifact",
        "cached_steps", "job_seconds", "seconds",
    }  # fmt: skip
    assert first["accuracy_drop"] <= 0.01
    assert set(first["speedup"]) == {"value", "ci_low", "ci_high"}
    assert {"model.xml", "model.bin", "manifest.json"} <= set(first["artifact"]["files"])
    assert (first["cached_steps"], second["cached_steps"]) == (0, 6)
    assert second["variants"] == first["variants"]
    assert (home / "demo" / "package" / "model.xml").exists()
