"""A Redis for the tests: a private one, else one that runs, else (Debian, root) one that is installed."""

import contextlib
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from typing import Self

from tests.runner import apt
from tests.runner.postgres import free_port

_START_S = 10.0
# A database number that nobody else is likely to use on a server that is not ours.
_DATABASE = 13


class NoRedis(Exception):
    """There is no Redis, and none could be started."""


@contextlib.contextmanager
def redis() -> Iterator[str]:
    """Yield the URL of a Redis that the tests may write to; raises NoRedis."""
    if not shutil.which("redis-server"):
        if _answers(6379):
            yield f"redis://127.0.0.1:6379/{_DATABASE}"
            return
        _install()
    with (
        tempfile.TemporaryDirectory(prefix="ovfarm-redis-") as folder,
        RedisServer(free_port(), folder) as server,
    ):
        yield server.url


class RedisServer:
    """A Redis of our own on a port of loopback, kept in memory; it can be killed and started again."""

    def __init__(self, port: int, folder: str) -> None:
        self.port = port
        self.url = f"redis://127.0.0.1:{port}/0"
        self._folder = folder
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        binary = shutil.which("redis-server") or "redis-server"
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        self.process = subprocess.Popen(
            [binary, *options, "--dir", self._folder], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline and self.process.poll() is None:
            if _answers(self.port):
                return
            time.sleep(0.02)
        raise NoRedis(f"redis-server did not start on port {self.port}")

    def kill(self) -> None:
        """Kill it without a word."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def say(self, command: str) -> bytes:
        """Send one command and return the first line of the answer."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=2) as connection:
            connection.sendall(f"{command}\r\n".encode())
            return connection.recv(1024)


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
    except OSError:
        return False


def _install() -> None:
    if not apt.can_install():
        raise NoRedis(
            "no Redis runs on 127.0.0.1:6379 and none is installed; install one (Debian: apt-get install "
            "redis-server) or run ./farm test --no-services"
        )
    if words := apt.install("redis-server"):
        raise NoRedis(words)
