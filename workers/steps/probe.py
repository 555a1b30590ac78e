"""Exercises a node: a child that does what it is told to do to itself."""

import ctypes
import os
import signal
import sys
import time

from ovfarm.failures import FailureClass, FailureCode
from ovfarm.recipes import Probe, ProbeAction
from ovfarm.results import Measurement, StepResult, Unit
from workers.protocol import Bench, failed

_PAGE = 4096
_PROGRESS_EVERY_S = 0.1


def run(params: Probe, bench: Bench) -> StepResult:
    """Do ``params.action``; when it is one that ends well, leave ``probe.json`` and the seconds it took.

    Raises StepFailed for the action ``fail``, MemoryError when ``allocate`` asks for too much.
    """
    began = time.monotonic()
    match params.action:
        case ProbeAction.OK:
            pass
        case ProbeAction.SLEEP:
            _sleep(params.seconds, bench)
        case ProbeAction.HANG:
            _hang()
        case ProbeAction.SPIN:
            _spin()
        case ProbeAction.EXIT:
            os._exit(params.amount)
        case ProbeAction.SIGNAL:
            os.kill(os.getpid(), params.amount or signal.SIGSEGV)
            _hang()
        case ProbeAction.ALLOCATE:
            _allocate(params.amount)
        case ProbeAction.GARBAGE:
            _garbage()
        case ProbeAction.FLOOD:
            _flood(params.amount)
        case ProbeAction.FILL:
            _fill(params.amount, bench)
        case ProbeAction.FORK:
            _fork(bench)
        case ProbeAction.FAIL:
            raise failed(FailureClass.USER, FailureCode.PARAMETER_REFUSED, "the probe was told to fail")
    bench.report("probe", 1, 1)
    (bench.outputs / "probe.json").write_text(params.model_dump_json(include={"token", "action"}))
    seconds = time.monotonic() - began
    return StepResult(measurements=(Measurement(name="seconds", value=seconds, unit=Unit.SECONDS),))


def _sleep(seconds: float, bench: Bench) -> None:
    began = time.monotonic()
    total = round(seconds * 1000)
    while (gone := time.monotonic() - began) < seconds:
        bench.report("sleep", round(gone * 1000), total)
        time.sleep(min(_PROGRESS_EVERY_S, seconds - gone))


def _hang() -> None:
    while True:
        signal.pause()


def _spin() -> None:
    """Stay in native code for ever: no Python signal handler and no exception can end this."""
    sum(iter(int, 1))


def _allocate(amount: int) -> None:
    block = bytearray(amount)
    for at in range(0, amount, _PAGE):
        block[at] = 1


def _garbage() -> None:
    """Write on every socket that this process has what no frame begins with, then leave."""
    for fd in range(3, 4096):
        try:
            os.write(fd, b"\xff" * 64)
        except OSError:
            continue
    os._exit(0)


def _flood(amount: int) -> None:
    line = "x" * 1023 + "\n"
    for _ in range(amount // len(line)):
        sys.stdout.write(line)
    ctypes.CDLL(None).fflush(None)


def _fill(amount: int, bench: Bench) -> None:
    """Leave files of a mebibyte until there are ``amount`` bytes, and wait for what comes of it."""
    for number in range(amount >> 20):
        (bench.outputs / f"{number}.bin").write_bytes(b"x" * (1 << 20))
    _hang()


def _fork(bench: Bench) -> None:
    """Leave a grandchild behind in a session of its own."""
    if os.fork() == 0:
        os.setsid()
        (bench.outputs / "grandchild.pid").write_text(str(os.getpid()))
        _hang()
    while not (bench.outputs / "grandchild.pid").exists():
        time.sleep(0.01)
