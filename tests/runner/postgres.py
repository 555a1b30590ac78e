"""A Postgres for the tests: one that runs, else a private one, else (Debian, root) one that is installed."""

import contextlib
import getpass
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self
from urllib.parse import quote

import psycopg

from tests.runner import apt

# Below the range from which the kernel takes ports for outgoing connections.
_PORTS = range(20000, 32000)
_START_S = 30.0


class NoPostgres(Exception):
    """There is no Postgres, and none could be started."""


@contextlib.contextmanager
def postgres() -> Iterator[str]:
    """Yield the SQLAlchemy URL of a server on which databases may be made; raises NoPostgres."""
    running = _running()
    if running:
        yield running
        return
    if not _binary("initdb"):
        _install()
        running = _running()
        if running:
            yield running
            return
    with _private() as url:
        yield url


def _running() -> str | None:
    """Return the URL of the server on the standard port, if it lets this user make databases."""
    port = os.environ.get("PGPORT", "5432")
    for user in dict.fromkeys((os.environ.get("PGUSER", "postgres"), getpass.getuser(), "postgres")):
        password = os.environ.get("PGPASSWORD", "")
        secret = f":{quote(password)}" if password else ""
        address = f"{quote(user)}{secret}@127.0.0.1:{port}"
        try:
            with psycopg.connect(f"postgresql://{address}/postgres", connect_timeout=2) as connection:
                row = connection.execute(
                    "SELECT rolcreatedb OR rolsuper FROM pg_roles WHERE rolname = current_user"
                ).fetchone()
        except psycopg.OperationalError:
            continue
        if row and row[0]:
            return f"postgresql+psycopg://{address}"
    return None


def _binary(name: str) -> str | None:
    homes = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return shutil.which(name, path=os.pathsep.join([*map(str, homes), os.environ.get("PATH", "")]))


def _install() -> None:
    if not apt.can_install():
        raise NoPostgres(
            "no Postgres runs on 127.0.0.1:5432 and none is installed; "
            "install one (Debian: apt-get install postgresql) or run ./farm test --no-services"
        )
    if words := apt.install("postgresql"):
        raise NoPostgres(words)


@contextlib.contextmanager
def _private() -> Iterator[str]:
    """Start a server of our own in a temporary folder, as a user that is not root."""
    with tempfile.TemporaryDirectory(prefix="ovfarm-pg-") as folder, PostgresServer(Path(folder)) as server:
        yield server.url


class PostgresServer:
    """A server of our own below ``folder``; it can be killed and started again on the same port."""

    def __init__(self, folder: Path, *, options: tuple[str, ...] = ("-c", "fsync=off")) -> None:
        self.folder, self.port = folder, free_port()
        self.url = f"postgresql+psycopg://postgres@127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None
        self._options = options
        self._become = _other_user() if os.geteuid() == 0 else []

    def __enter__(self) -> Self:
        initdb = _binary("initdb")
        if not (initdb and _binary("postgres")):
            raise NoPostgres("initdb and postgres were not found")
        if self._become:
            shutil.chown(self.folder, self._become[1].removeprefix("--reuid="))
        options = ["--auth=trust", "--username=postgres", "--no-sync", "--encoding=UTF8", "--locale=C"]
        data = str(self.folder / "data")
        subprocess.run([*self._become, initdb, "-D", data, *options], check=True, stdout=subprocess.DEVNULL)
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop(signal.SIGINT)

    def start(self) -> None:
        """Start it and wait until it answers; raises NoPostgres."""
        server = _binary("postgres") or "postgres"
        command = [server, "-D", str(self.folder / "data"), "-p", str(self.port), "-k", str(self.folder)]
        self.process = subprocess.Popen(
            [*self._become, *command, *self._options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        _wait(self.url, self.process)

    def stop(self, how: signal.Signals) -> None:
        """Stop it: SIGINT politely, SIGQUIT as a crash."""
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(20)
            self.process = None


def _other_user() -> list[str]:
    """Return the command that turns root into an ordinary user, whom initdb accepts."""
    names = {entry.pw_name for entry in pwd.getpwall()}
    user = "postgres" if "postgres" in names else "nobody"
    group = pwd.getpwnam(user).pw_gid
    return ["setpriv", f"--reuid={user}", f"--regid={group}", "--clear-groups"]


def free_port() -> int:
    """Return a port of loopback below those that the kernel gives to outgoing connections."""
    for port in random.sample(_PORTS, 50):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise NoPostgres("no free port below 32768 was found")


def _wait(url: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(psycopg.OperationalError):
            psycopg.connect(url.replace("+psycopg", "") + "/postgres", connect_timeout=2).close()
            return
        time.sleep(0.1)
    raise NoPostgres("a private Postgres did not start")
