"""A farm to break: real processes on one of two stacks, started again when they die."""

import contextlib
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg

from ovfarm.client import Client
from ovfarm.settings import Settings
from storage.blobs import Blobs
from storage.database import Database
from storage.schema import migrate
from tests.chaos.proxy import Proxy
from tests.e2e.stack import Process, Stack, eventually
from tests.runner.postgres import PostgresServer, free_port
from tests.runner.redis import RedisServer
from tests.runner.s3 import BUCKET, S3Server

LEASE_S = 2.0
_TICK_S = 0.2


class Kind(StrEnum):
    """What a farm stands on: files alone, or Postgres, Redis and S3."""

    EMBEDDED = "embedded"
    SCALE = "scale"


@dataclass(slots=True)
class Services:
    """What a fault may strike besides the farm's own processes; None on the embedded stack."""

    postgres: PostgresServer | None = None
    redis: RedisServer | None = None
    store: Proxy | None = None


@dataclass(slots=True)
class World:
    """The farm under test; ``workers`` by name, each restarted with its own extra environment."""

    kind: Kind
    stack: Stack
    services: Services
    environment: Mapping[str, str]
    workers: dict[str, Process] = field(default_factory=dict)
    extra: dict[str, dict[str, str]] = field(default_factory=dict)
    stopped: set[str] = field(default_factory=set)
    leaving: threading.Event = field(default_factory=threading.Event)
    mending: list[threading.Timer] = field(default_factory=list)

    def settings(self) -> Settings:
        """Return the settings of the API's process."""
        own = {name.removeprefix("OVFARM_").lower(): value for name, value in self.environment.items()}
        return Settings.model_validate(
            {"home": self.stack.home, "database_url": self.stack.database_url, **own}
        )

    def database(self) -> Database:
        return Database(self.stack.database_url)

    def blobs(self) -> Blobs:
        settings = self.settings()
        return Blobs(settings.store, settings.s3)

    def client(self) -> Client:
        return Client(self.stack.url, timeout_s=10)

    def start_worker(self, name: str, **extra: str) -> None:
        """Start a node; its settings stay with its name."""
        own = {"OVFARM_HOME": str(self.stack.home / name)} if self.kind is Kind.SCALE else {}
        self.extra.setdefault(name, {}).update(extra)
        environment = {"OVFARM_NODE_NAME": name, "OVFARM_SLOTS": "2", **own, **self.extra[name]}
        self.workers[name] = self.stack._start("workers", **environment)

    def revive(self) -> None:
        """Start again what has died, until the world is left."""
        while not self.leaving.wait(_TICK_S):
            for name, process in list(self.workers.items()):
                if process.poll() is not None and not self.leaving.is_set():
                    # A seeded failpoint strikes once: whoever restarts is sound.
                    self.extra[name].pop("OVFARM_FAIL", None)
                    self.start_worker(name)
            if self.stack.api.poll() is not None:
                self.stack.api = self.stack._start("api")

    def mended(self) -> None:
        """Wait until each fault that lasts a while is over: what is judged is a farm at peace."""
        for timer in self.mending:
            timer.join()

    def leave(self) -> list[str]:
        """Have all nodes leave politely, and return what they left running."""
        self.leaving.set()
        for name in list(self.stopped):
            self.workers[name].send_signal(signal.SIGCONT)
        for process in self.workers.values():
            process.terminate()
        late = []
        for name, process in self.workers.items():
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                late.append(f"{name} did not leave")
                process.kill()
        eventually(lambda: not self._left(), 5)
        return [*late, *self._left()]

    def _left(self) -> list[str]:
        return [f"process {process.pid} is nobody's" for process in self.stack.zygotes()]


@contextlib.contextmanager
def world(kind: Kind, nodes: int) -> Iterator[World]:
    """Build a farm in a folder of its own, with ``nodes`` nodes of two slots."""
    with contextlib.ExitStack() as exits:
        folder = Path(exits.enter_context(TemporaryDirectory(prefix="ovfarm-chaos-")))
        folder.chmod(0o755)
        services, environment, url = Services(), {"OVFARM_LOG": "json"}, f"sqlite:///{folder}/farm.sqlite"
        if kind is Kind.SCALE:
            url = _scale(folder, services, environment, exits)
        migrate(url)
        stack = exits.enter_context(Stack(folder / "home", url, lease_s=LEASE_S, environment=environment))
        made = World(kind, stack, services, environment)
        for number in range(nodes):
            made.start_worker(f"node-{number}")
        reviver = threading.Thread(target=made.revive)
        reviver.start()
        try:
            yield made
        finally:
            made.leaving.set()
            reviver.join()


def _scale(folder: Path, services: Services, environment: dict[str, str], exits: contextlib.ExitStack) -> str:
    (folder / "postgres").mkdir()
    services.postgres = exits.enter_context(PostgresServer(folder / "postgres"))
    services.redis = exits.enter_context(RedisServer(free_port(), str(folder)))
    store = exits.enter_context(S3Server())
    services.store = Proxy(store.port)
    exits.callback(services.store.close)
    environment |= {
        **store.environment,
        "OVFARM_STORE_URL": f"s3://{BUCKET}",
        "OVFARM_S3_ENDPOINT": f"http://127.0.0.1:{services.store.port}",
        "OVFARM_BROKER_URL": services.redis.url,
    }
    server = services.postgres.url
    with psycopg.connect(f"{server.replace('+psycopg', '')}/postgres", autocommit=True) as connection:
        connection.execute("CREATE DATABASE farm")
    return f"{server}/farm"


def faketime(offset: str) -> dict[str, str]:
    """Return the environment of a process whose clock is off, or nothing where faketime is missing."""
    library = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
    if shutil.which("faketime") is None or library is None:
        return {}
    preload = ":".join(filter(None, [os.environ.get("LD_PRELOAD"), str(library)]))
    return {"LD_PRELOAD": preload, "FAKETIME": offset, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
