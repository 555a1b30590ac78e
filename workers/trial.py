"""The trial of a sandbox: something to reach is set up on the outside, and a child tries to reach it."""

import os
import secrets
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from ovfarm.errors import Unavailable
from ovfarm.failures import Failure
from ovfarm.hardware import SandboxLevel
from workers.escapes import FORKS, WAYS
from workers.isolate import Zygote
from workers.protocol import ChildLimits, EscapesFrame, EscapesRequest
from workers.sandbox import Sandbox

_LIGHT = "workers.protocol"
_CANARY = "OVFARM_CANARY"
# What a node allows its children (``workers.request.most_processes``), for a small machine.
_FORKS = 264


def escapes(sandbox: Sandbox, home: Path, scratch: Path) -> EscapesFrame:
    """Return which ways out of ``sandbox`` are open; raises Unavailable when no child could try.

    ``scratch`` lies inside the sandbox, ``home`` outside.
    """
    canary = secrets.token_hex(16)
    home.mkdir(parents=True, exist_ok=True)
    secret = home / "secret.txt"
    secret.write_text(canary)
    inputs = scratch / "trial" / "in"
    (scratch / "trial" / "out").mkdir(parents=True, exist_ok=True)
    inputs.mkdir(exist_ok=True)
    (inputs / "model.bin").write_bytes(b"model")
    os.environ[_CANARY] = canary
    try:
        with closing(socket.create_server(("127.0.0.1", 0))) as listener, _neighbour(canary):
            request = EscapesRequest(
                secret=secret,
                outside=home,
                canary=canary,
                port=listener.getsockname()[1],
                ways=tuple(way for way in WAYS if way != FORKS),
                inputs={"model": inputs},
                outputs=scratch / "trial" / "out",
                log=scratch / "trial" / "log.txt",
                limits=ChildLimits(timeout_s=60, processes=_processes(sandbox)),
            )
            return _tried(sandbox, request)
    finally:
        del os.environ[_CANARY]
        secret.unlink()
        (home / "was-here").unlink(missing_ok=True)


def _processes(sandbox: Sandbox) -> int | None:
    return _FORKS if sandbox.level is SandboxLevel.FULL else None


@contextmanager
def _neighbour(canary: str) -> Iterator[None]:
    """Run a process of the same user that was started with a secret, as a worker is."""
    waits = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    with subprocess.Popen(waits, env={_CANARY: canary}, stdin=subprocess.PIPE) as process:
        try:
            yield
        finally:
            process.kill()


def _tried(sandbox: Sandbox, request: EscapesRequest) -> EscapesFrame:
    """Try the ways; that of the forks by itself, because its end may be that of its child."""
    with Zygote(sandbox=sandbox, preload=_LIGHT) as zygote:
        found = _run(zygote, request)
        if isinstance(found, Failure):
            raise Unavailable(f"the sandbox could not be tried: {found.message}", code=found.code)
        forks = _run(zygote, request.model_copy(update={"ways": (FORKS,)}))
    if isinstance(forks, Failure):
        forks = EscapesFrame(open=(), shut=(FORKS,))
    return EscapesFrame(open=found.open + forks.open, shut=found.shut + forks.shut)


def _run(zygote: Zygote, request: EscapesRequest) -> EscapesFrame | Failure:
    found = zygote.run(request, on_progress=lambda _progress: None, stop=threading.Event())
    if not isinstance(found, EscapesFrame | Failure):
        raise TypeError(f"a trial was answered with {type(found).__name__}")
    return found
