"""API and worker as two children of one process: started, watched, restarted, and stopped together."""

import ctypes
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import httpx

from ovfarm.cli.outcome import say
from ovfarm.errors import Unavailable
from ovfarm.settings import Settings

_PR_SET_PDEATHSIG = 1
_PARTS = ("api", "workers")
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 30.0
_STEADY_S = 60.0
_STOP_S = 45.0


def free_port() -> int:
    """Return a port of loopback that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _end_with_parent() -> None:
    """Have the kernel ask this child to leave when its supervisor dies."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


class _Part:
    """One child process, and how often it has crashed of late."""

    def __init__(self, name: str, environment: dict[str, str], log: IO[bytes] | None) -> None:
        self.name = name
        self._environment = environment
        self._log = log
        self._pause_s = _FIRST_PAUSE_S
        self.start()

    def start(self) -> None:
        self.began = time.monotonic()
        self.process = subprocess.Popen(
            [sys.executable, "-m", self.name],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
            preexec_fn=_end_with_parent,
        )

    def pause_s(self) -> float:
        """Return how long to wait before a restart: longer each time, until it has been steady."""
        if time.monotonic() - self.began > _STEADY_S:
            self._pause_s = _FIRST_PAUSE_S
        pause, self._pause_s = self._pause_s, min(self._pause_s * 2, _LONGEST_PAUSE_S)
        return pause


class Farm:
    """An embedded farm in its own processes: ``with Farm(settings) as farm``.

    With ``log`` their output goes into a file, else to this process's own; when it is ``isolated``,
    no variable of this process's environment reaches them.
    """

    def __init__(self, settings: Settings, *, log: Path | None = None, isolated: bool = False) -> None:
        self.settings = settings
        self.isolated = isolated
        self._log_path = log
        self._parts: list[_Part] = []

    def __enter__(self) -> Self:
        self.settings.home.mkdir(parents=True, exist_ok=True)
        log = self._log_path.open("wb") if self._log_path else None
        environment = self._environment()
        subprocess.run([sys.executable, "-m", "api", "migrate"], env=environment, check=True)
        self._parts = [_Part(name, environment, log) for name in _PARTS]
        return self

    def _environment(self) -> dict[str, str]:
        own = {
            "OVFARM_HOME": str(self.settings.home.absolute()),
            "OVFARM_HOST": self.settings.host,
            "OVFARM_PORT": str(self.settings.port),
        }
        kept = {k: v for k, v in os.environ.items() if not (self.isolated and k.startswith("OVFARM_"))}
        return {**kept, **own, "NNCF_CI": "1"}

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def wait_ready(self, within_s: float = 90.0) -> None:
        """Wait until the API answers and a node is online; raises Unavailable with where to look."""
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            gone = [part.name for part in self._parts if part.process.poll() is not None]
            if gone:
                break
            if _ready(self.settings.url):
                return
            time.sleep(0.1)
        where = f"; its log: {self._log_path}" if self._log_path else ""
        raise Unavailable(f"the farm did not come up{where}", hint="look for what is wrong: ./farm doctor")

    def watch(self, leaving: threading.Event) -> None:
        """Restart what crashes, until ``leaving`` is set."""
        while not leaving.wait(0.2):
            for part in self._parts:
                code = part.process.poll()
                if code is not None:
                    pause_s = part.pause_s()
                    say(f"{part.name} ended with {code}; it starts again in {pause_s:g} s")
                    if leaving.wait(pause_s):
                        return
                    part.start()

    def stop(self) -> None:
        """Ask both to leave, the worker first, and see that they do."""
        for part in reversed(self._parts):
            if part.process.poll() is None:
                part.process.terminate()
        for part in reversed(self._parts):
            try:
                part.process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                part.process.kill()
                part.process.wait()
        self._parts = []


def _ready(url: str) -> bool:
    try:
        nodes = httpx.get(f"{url}/v1/nodes", timeout=2).json()
    except (httpx.HTTPError, ValueError):
        return False
    return any(node["state"] == "online" for node in nodes)
