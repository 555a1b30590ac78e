import os
import resource
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from ovfarm.errors import Unavailable
from ovfarm.failures import FailureClass, FailureCode
from ovfarm.recipes import ProbeAction
from ovfarm.results import Progress, StepResult
from tests.workers.runs import LIGHT, alive, children_of, eventually, failure, request, run
from workers.confinement import PACKAGES
from workers.isolate import Zygote
from workers.protocol import ChildLimits
from workers.sandbox import Unwrapped


def test_a_step_runs_in_a_child_and_its_files_are_there(zygote: Zygote, tmp_path: Path) -> None:
    asked = request(tmp_path, ProbeAction.OK, token="t")
    assert isinstance(run(zygote, asked), StepResult)
    assert (asked.outputs / "probe.json").read_text() == '{"action":"ok","token":"t"}'
    assert children_of(zygote.pid) == []


def test_progress_comes_from_the_child(zygote: Zygote, tmp_path: Path) -> None:
    said: list[Progress] = []
    run(zygote, request(tmp_path, ProbeAction.SLEEP, seconds=0.5), said.append)
    assert next(p.stage for p in said) == "sleep"
    assert [p.done for p in said[:-1]] == sorted(p.done for p in said[:-1])
    assert len(said) <= 8


@pytest.mark.parametrize(
    ("action", "amount", "words"),
    [
        (ProbeAction.EXIT, 3, "exit code 3"),
        (ProbeAction.EXIT, 0, "exit code 0 and without a result"),
        (ProbeAction.SIGNAL, signal.SIGSEGV, "SIGSEGV"),
        (ProbeAction.SIGNAL, signal.SIGBUS, "SIGBUS"),
        (ProbeAction.SIGNAL, signal.SIGILL, "SIGILL"),
        (ProbeAction.SIGNAL, signal.SIGABRT, "SIGABRT"),
    ],
)
def test_a_child_that_dies_fails_its_step_only(
    zygote: Zygote, tmp_path: Path, action: ProbeAction, amount: int, words: str
) -> None:
    ended = failure(zygote, request(tmp_path, action, amount=amount))
    assert (ended.failure_class, ended.code) == (FailureClass.CRASH, FailureCode.CRASHED)
    assert words in ended.message
    assert isinstance(run(zygote, request(tmp_path, ProbeAction.OK)), StepResult)


def test_a_kill_from_outside_is_taken_for_a_want_of_memory(zygote: Zygote, tmp_path: Path) -> None:
    ended = failure(zygote, request(tmp_path, ProbeAction.SIGNAL, amount=signal.SIGKILL))
    assert (ended.failure_class, ended.code) == (FailureClass.LIMIT, FailureCode.OUT_OF_MEMORY)


def test_memory_is_limited(zygote: Zygote, tmp_path: Path) -> None:
    limits = ChildLimits(memory_bytes=1 << 30)
    ended = failure(zygote, request(tmp_path, ProbeAction.ALLOCATE, limits, amount=4 << 30))
    assert (ended.failure_class, ended.code) == (FailureClass.LIMIT, FailureCode.OUT_OF_MEMORY)


@pytest.mark.parametrize("action", [ProbeAction.HANG, ProbeAction.SPIN])
def test_what_never_ends_is_ended(zygote: Zygote, tmp_path: Path, action: ProbeAction) -> None:
    began = time.monotonic()
    ended = failure(zygote, request(tmp_path, action, ChildLimits(timeout_s=0.5)))
    assert (ended.failure_class, ended.code) == (FailureClass.LIMIT, FailureCode.TIMEOUT)
    assert "0.5 s" in ended.message
    assert time.monotonic() - began < 5
    assert children_of(zygote.pid) == []


def test_garbage_is_a_failure_and_not_a_crash_of_the_parent(zygote: Zygote, tmp_path: Path) -> None:
    ended = failure(zygote, request(tmp_path, ProbeAction.GARBAGE))
    assert (ended.failure_class, ended.code) == (FailureClass.CRASH, FailureCode.BAD_REPLY)
    assert isinstance(run(zygote, request(tmp_path, ProbeAction.OK)), StepResult)


def test_a_typed_failure_keeps_its_type(zygote: Zygote, tmp_path: Path) -> None:
    ended = failure(zygote, request(tmp_path, ProbeAction.FAIL))
    assert (ended.failure_class, ended.code) == (FailureClass.USER, FailureCode.PARAMETER_REFUSED)


def test_a_flood_of_output_is_bounded(zygote: Zygote, tmp_path: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    asked = request(tmp_path, ProbeAction.FLOOD, amount=64 << 20)
    assert isinstance(run(zygote, asked), StepResult)
    assert asked.log.stat().st_size < 1 << 20
    assert "bytes left out" in asked.log.read_text()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20 << 10


@pytest.mark.parametrize("action", [ProbeAction.HANG, ProbeAction.SPIN, ProbeAction.SLEEP])
def test_stop_ends_a_child_within_two_seconds(zygote: Zygote, tmp_path: Path, action: ProbeAction) -> None:
    stop = threading.Event()
    threading.Timer(0.3, stop.set).start()
    began = time.monotonic()
    ended = failure(zygote, request(tmp_path, action, seconds=60), stop)
    assert ended.code is FailureCode.CANCELLED
    assert time.monotonic() - began < 2.3
    assert children_of(zygote.pid) == []


def test_what_a_child_leaves_behind_ends_with_it(zygote: Zygote, tmp_path: Path) -> None:
    asked = request(tmp_path, ProbeAction.FORK)
    assert isinstance(run(zygote, asked), StepResult)
    grandchild = int((asked.outputs / "grandchild.pid").read_text())
    assert not alive(grandchild)


def test_children_run_side_by_side(zygote: Zygote, tmp_path: Path) -> None:
    zygote.start()
    ended: list[object] = []

    def one() -> None:
        ended.append(run(zygote, request(tmp_path, ProbeAction.SLEEP, seconds=0.5)))

    threads = [threading.Thread(target=one) for _ in range(6)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [type(end) for end in ended] == [StepResult] * 6
    assert time.monotonic() - began < 2.5, "six sleeps of half a second overlap"


def test_the_zygote_is_renewed_after_so_many_children_and_after_a_crash(tmp_path: Path) -> None:
    with Zygote(sandbox=Unwrapped(tmp_path), preload=LIGHT, recycle_after=2) as zygote:
        pids = []
        for action in [ProbeAction.OK] * 3 + [ProbeAction.SIGNAL, ProbeAction.OK]:
            run(zygote, request(tmp_path, action))
            pids.append(zygote.pid)
        assert pids[0] == pids[1] != pids[2] == pids[3] != pids[4]
        assert not alive(pids[0] or 0)


def test_a_killed_zygote_takes_its_children_along_and_is_replaced(zygote: Zygote, tmp_path: Path) -> None:
    zygote.start()
    first = zygote.pid
    assert first is not None
    box: list[object] = []
    thread = threading.Thread(target=lambda: box.append(run(zygote, request(tmp_path, ProbeAction.HANG))))
    thread.start()
    assert eventually(lambda: bool(children_of(first)))
    (child,) = children_of(first)
    os.kill(first, signal.SIGKILL)
    thread.join(5)
    assert box
    assert eventually(lambda: not alive(child), 2)
    assert isinstance(run(zygote, request(tmp_path, ProbeAction.OK)), StepResult)
    assert zygote.pid != first


PARENT = """
    import sys, threading
    from pathlib import Path
    from ovfarm.recipes import ProbeAction
    from tests.workers.runs import LIGHT, request
    from workers.isolate import Zygote
    from workers.sandbox import Unwrapped
    folder = Path(sys.argv[1])
    zygote = Zygote(sandbox=Unwrapped(folder), preload=LIGHT, watchdog_s=1.0)
    zygote.start()
    print(zygote.pid, flush=True)
    zygote.run(request(folder, ProbeAction.HANG), on_progress=print, stop=threading.Event())
"""


@pytest.mark.parametrize(("sent", "zygote_stays"), [(signal.SIGKILL, False), (signal.SIGSTOP, True)])
def test_no_child_outlives_or_outruns_its_node(
    tmp_path: Path, *, sent: signal.Signals, zygote_stays: bool
) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PARENT), str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=PACKAGES,
    )
    try:
        assert parent.stdout is not None
        zygote = int(parent.stdout.readline())
        assert eventually(lambda: bool(children_of(zygote)))
        (child,) = children_of(zygote)
        parent.send_signal(sent)
        assert eventually(lambda: not alive(child), 3)
        assert zygote_stays or eventually(lambda: not alive(zygote), 3)
    finally:
        parent.kill()
        parent.communicate()
    assert eventually(lambda: not alive(zygote), 3)


def test_a_broken_toolchain_is_said_at_once(tmp_path: Path) -> None:
    with (
        Zygote(sandbox=Unwrapped(tmp_path), preload="no.such.module") as zygote,
        pytest.raises(Unavailable, match="toolchain could not be imported"),
    ):
        zygote.start()


def test_no_secret_reaches_a_child(tmp_path: Path) -> None:
    canary = "canary-5e55"
    os.environ["OVFARM_CANARY"] = canary
    try:
        with Zygote(sandbox=Unwrapped(tmp_path), preload=LIGHT) as zygote:
            zygote.start()
            environ = Path(f"/proc/{zygote.pid}/environ").read_bytes().decode()
    finally:
        del os.environ["OVFARM_CANARY"]
    assert canary not in environ
    assert "NNCF_CI=1" in environ
