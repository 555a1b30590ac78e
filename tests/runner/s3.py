"""An S3 server for the tests: moto, in a process of its own, with one bucket."""

import subprocess
import sys
import time
from types import TracebackType
from typing import Self

import httpx

from tests.runner.postgres import free_port

_START_S = 30.0
BUCKET = "farm"


class S3Server:
    """``environment`` is what a process of the farm needs to keep its blobs here."""

    def __init__(self, prefix: str = "") -> None:
        self.port = free_port()
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self.prefix = prefix

    @property
    def environment(self) -> dict[str, str]:
        return {
            "OVFARM_STORE_URL": f"s3://{BUCKET}/{self.prefix}",
            "OVFARM_S3_ENDPOINT": self.endpoint,
            "OVFARM_S3_ACCESS_KEY_ID": "test",
            "OVFARM_S3_SECRET_ACCESS_KEY": "test",
        }

    def __enter__(self) -> Self:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-p", str(self.port)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline:
            try:
                httpx.put(f"{self.endpoint}/{BUCKET}", timeout=5).raise_for_status()
            except httpx.TransportError:
                time.sleep(0.1)
            else:
                return self
        raise RuntimeError("moto did not start")

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self.process.kill()
        self.process.wait()
