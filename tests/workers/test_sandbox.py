"""The sandbox as it is on this machine: fourteen ways out of it, and what a step can still do inside."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ovfarm.errors import Unavailable
from ovfarm.failures import FailureClass, FailureCode
from ovfarm.hardware import Offer, SandboxLevel, SandboxMode, Versions
from ovfarm.recipes import ProbeAction
from ovfarm.results import StepResult
from tests.runner.user import as_ordinary_user
from tests.workers.runs import LIGHT, failure, request, run
from workers import landlock, sandbox
from workers.confinement import PACKAGES
from workers.escapes import WAYS
from workers.isolate import Zygote
from workers.node import sandboxed
from workers.protocol import ChildLimits
from workers.sandbox import Bubblewrapped, Sandbox, Unwrapped, chosen
from workers.trial import escapes

SANDBOXES = (SandboxLevel.LANDLOCK, SandboxLevel.FULL)


def of_level(level: SandboxLevel, folder: Path) -> Sandbox:
    if level is SandboxLevel.FULL:
        return Bubblewrapped(folder / "home", folder / "scratch")
    return Unwrapped(folder / "home", level)


def test_all_fourteen_ways_out_are_shut_for_an_ordinary_user(tmp_path: Path) -> None:
    """The doctor tells the truth as well: it is asked the way an operator asks it."""
    home = tmp_path / "home"
    home.mkdir()
    home.chmod(0o777)
    for above in home.parents:
        if above.stat().st_uid == os.geteuid() and above != Path("/"):
            above.chmod(above.stat().st_mode | 0o755)
    command = [*as_ordinary_user(PACKAGES), sys.executable, "-m", "workers.doctor", "--sandbox"]
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "OVFARM_HOME": str(home / "farm")}
    done = subprocess.run(command, cwd=PACKAGES, env=environment, capture_output=True, text=True, check=True)
    found = {line["name"]: line["text"] for line in map(json.loads, done.stdout.splitlines())}
    assert found.pop("sandbox") == "full", done.stdout
    assert found == dict.fromkeys(WAYS, "shut")
    assert len(found) == 14


@pytest.mark.parametrize("level", SANDBOXES)
def test_a_child_is_confined_whoever_runs_the_node(level: SandboxLevel, tmp_path: Path) -> None:
    found = escapes(of_level(level, tmp_path), tmp_path / "outside", tmp_path / "scratch")
    if level is SandboxLevel.FULL:
        assert found.open == ()
    else:
        # Outside a namespace of its own root stays root, and nobody counts the processes.
        assert set(found.open) <= {"become root", "fork without end"}


def test_without_a_sandbox_the_ways_are_open(tmp_path: Path) -> None:
    """The trial sees what it looks for: most ways lead somewhere when nothing stands around a child."""
    found = escapes(Unwrapped(tmp_path / "home"), tmp_path / "outside", tmp_path / "scratch")
    assert {
        "read a file of the farm's home",
        "the environment of any process",
        "connect to the host's loopback",
        "write outside its folder",
        "write to its inputs",
        "signal another process",
        "make a user namespace",
        "trace another process",
    } <= set(found.open)
    assert not (tmp_path / "outside" / "secret.txt").exists()


@pytest.mark.parametrize("level", SANDBOXES)
def test_a_step_works_inside(level: SandboxLevel, tmp_path: Path) -> None:
    with Zygote(sandbox=of_level(level, tmp_path), preload=LIGHT) as zygote:
        asked = request(tmp_path / "scratch" / "step", ProbeAction.OK)
        assert isinstance(run(zygote, asked), StepResult)
        assert (asked.outputs / "probe.json").exists()


def test_kills_reach_into_the_namespace(tmp_path: Path) -> None:
    with Zygote(sandbox=of_level(SandboxLevel.FULL, tmp_path), preload=LIGHT) as zygote:
        for action in (ProbeAction.HANG, ProbeAction.SPIN):
            ended = failure(zygote, request(tmp_path / "scratch", action, ChildLimits(timeout_s=1.0)))
            assert ended.code is FailureCode.TIMEOUT
        assert isinstance(run(zygote, request(tmp_path / "scratch", ProbeAction.FORK)), StepResult)


def test_what_a_step_writes_is_bounded_in_all(tmp_path: Path) -> None:
    with Zygote(sandbox=of_level(SandboxLevel.FULL, tmp_path), preload=LIGHT) as zygote:
        limits = ChildLimits(timeout_s=60, scratch_bytes=1 << 20)
        asked = request(tmp_path / "scratch" / "step", ProbeAction.FILL, limits, amount=64 << 20)
        ended = failure(zygote, asked)
    assert (ended.failure_class, ended.code) == (FailureClass.LIMIT, FailureCode.SCRATCH_FULL)


def test_processor_time_is_bounded(tmp_path: Path) -> None:
    with Zygote(sandbox=of_level(SandboxLevel.FULL, tmp_path), preload=LIGHT) as zygote:
        asked = request(tmp_path / "scratch" / "step", ProbeAction.SPIN, ChildLimits(timeout_s=60, cpu_s=1))
        ended = failure(zygote, asked)
    assert (ended.failure_class, ended.code) == (FailureClass.LIMIT, FailureCode.TIMEOUT)
    assert "processor time" in ended.message


def test_a_child_that_cannot_be_confined_does_nothing(tmp_path: Path) -> None:
    """Its folder for temporary files is a file: the step must not run without one of its own."""
    with Zygote(sandbox=Unwrapped(tmp_path / "home", SandboxLevel.LANDLOCK), preload=LIGHT) as zygote:
        asked = request(tmp_path / "step", ProbeAction.OK)
        (asked.outputs.parent / "tmp").write_text("")
        ended = failure(zygote, asked)
    assert (ended.failure_class, ended.code) == (FailureClass.INFRA, FailureCode.NODE_SANDBOX)


def test_the_mode_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = tmp_path / "home", tmp_path / "scratch"
    assert chosen(SandboxMode.AUTO, *here).level is SandboxLevel.FULL
    assert chosen(SandboxMode.LANDLOCK, *here).level is SandboxLevel.LANDLOCK
    assert chosen(SandboxMode.OFF, *here).level is SandboxLevel.NONE
    monkeypatch.setenv("PATH", str(tmp_path))
    assert chosen(SandboxMode.AUTO, *here).level is SandboxLevel.LANDLOCK
    with pytest.raises(Unavailable, match="bubblewrap is not installed"):
        chosen(SandboxMode.FULL, *here)
    monkeypatch.setattr(landlock, "abi", lambda: 0)
    assert chosen(SandboxMode.AUTO, *here).level is SandboxLevel.NONE
    with pytest.raises(Unavailable, match="no Landlock"):
        chosen(SandboxMode.LANDLOCK, *here)


@pytest.mark.parametrize(
    ("mode", "level", "all_teams"),
    [
        (SandboxMode.AUTO, SandboxLevel.FULL, True),
        (SandboxMode.AUTO, SandboxLevel.LANDLOCK, True),
        (SandboxMode.AUTO, SandboxLevel.NONE, False),
        (SandboxMode.OFF, SandboxLevel.NONE, True),
    ],
)
def test_without_a_sandbox_a_node_serves_the_default_team(
    mode: SandboxMode, level: SandboxLevel, *, all_teams: bool
) -> None:
    versions = Versions(openvino="1", nncf="1", python="3")
    offer = Offer(device="cpu", device_name="T", memory_bytes=1, cores=1, versions=versions)
    told = sandboxed(offer, mode, level)
    assert (told.sandbox, told.all_teams) == (level, all_teams)


def test_an_environment_may_be_reached_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "venv").symlink_to(sys.prefix)
    script = (
        "from pathlib import Path; from ovfarm.hardware import SandboxMode;"
        "from workers.sandbox import chosen;"
        f"print(chosen(SandboxMode.FULL, Path({str(tmp_path / 'h')!r}), Path({str(tmp_path / 's')!r})).level)"
    )
    python = str(tmp_path / "venv" / "bin" / "python")
    done = subprocess.run([python, "-c", script], cwd=PACKAGES, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "full", done.stderr


def test_nothing_of_the_environment_gets_in(tmp_path: Path) -> None:
    full = Bubblewrapped(tmp_path / "home", tmp_path / "scratch")
    assert full.environment() == {}
    assert "--clearenv" not in full.command([])
    assert (
        sandbox.Unwrapped(tmp_path / "home")
        .environment()
        .keys()
        .isdisjoint({"OVFARM_DATABASE_URL", "OVFARM_S3_SECRET_ACCESS_KEY"})
    )


def test_a_request_that_cannot_be_started_is_a_failure_and_no_death(tmp_path: Path) -> None:
    with Zygote(sandbox=of_level(SandboxLevel.FULL, tmp_path), preload=LIGHT) as zygote:
        gone = request(tmp_path / "scratch", ProbeAction.OK)
        shutil.rmtree(gone.outputs.parent)
        assert failure(zygote, gone).code is FailureCode.NODE_DISK_FULL
        assert isinstance(run(zygote, request(tmp_path / "scratch", ProbeAction.OK)), StepResult)
