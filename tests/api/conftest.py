"""A real API on a real socket, in a thread of the test's process."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import uvicorn
from fastapi import FastAPI

from api.listening import listening
from ovfarm.cli.supervise import free_port
from ovfarm.settings import Settings


class Server:
    """``url`` answers while the fixture lives."""

    def __init__(self, settings: Settings) -> None:
        config = listening(settings)
        assert isinstance(config.app, FastAPI)
        self.app = config.app
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run)
        self.url = settings.url
        self.home = settings.home

    def start(self) -> None:
        self._thread.start()
        while not self._server.started:
            time.sleep(0.01)

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join()


@pytest.fixture
def server(tmp_path: Path, database_url: str) -> Iterator[Server]:
    settings = Settings(
        home=tmp_path / "home",
        database_url=database_url,
        port=free_port(),
        max_body_bytes=4096,
        max_blob_bytes=1 << 20,
    )
    server = Server(settings)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def http(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=10) as client:
        yield client
