"""The firing range: an API that takes files or refuses them, and a sandboxed zygote that opens them."""

import hashlib
import json
import secrets
import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self
from uuid import uuid4

import httpx
import numpy as np

from ovfarm.failures import Failure, FailureCode
from ovfarm.recipes import Convert, Evaluate, StepParams
from storage.schema import migrate
from tests.e2e.stack import TOOLS, Stack
from tests.hostile import graphs
from tests.hostile.hostile import CANARY_PORT, CONVERTED, MARKER, As, Hostile
from tests.hostile.payloads import npz
from workers.isolate import Zygote
from workers.protocol import ChildLimits, StepRequest
from workers.sandbox import Bubblewrapped

LIMITS = ChildLimits(
    timeout_s=30, memory_bytes=4 << 30, file_bytes=1 << 30, processes=600, scratch_bytes=2 << 30
)


@dataclass(slots=True)
class Seen:
    """What a run has shown; ``untyped`` are the files whose owner was told anything else than expected."""

    files: int = 0
    typed: int = 0
    untyped: list[str] = field(default_factory=list)
    markers: list[str] = field(default_factory=list)
    node_deaths: list[str] = field(default_factory=list)
    escapes: list[str] = field(default_factory=list)


class Range:
    """``with Range() as place: place.fire(file, seen)``; may be fired at from several threads."""

    def __init__(self) -> None:
        self._exits = ExitStack()
        self._lock = threading.Lock()
        self.packets = 0

    def __enter__(self) -> Self:
        folder = Path(self._exits.enter_context(TemporaryDirectory(prefix="ovfarm-hostile-")))
        migrate(f"sqlite:///{folder / 'farm.sqlite'}")
        stack = self._exits.enter_context(
            Stack(folder / "farm", f"sqlite:///{folder / 'farm.sqlite'}", environment=TOOLS)
        )
        self._api = stack.api
        self._http = self._exits.enter_context(httpx.Client(base_url=stack.url, timeout=60))
        self.scratch = folder / "scratch"
        # Below the folder of every step, and above: what a model may name must not be what it gets.
        self.secret = secrets.token_hex(16)
        for place in (folder, self.scratch):
            place.mkdir(exist_ok=True)
            (place / "secret").write_text(self.secret * 4)
        self._zygote = self._exits.enter_context(Zygote(sandbox=Bubblewrapped(folder / "home", self.scratch)))
        self._zygote.start()
        self._exits.enter_context(self._canary())
        return self

    def __exit__(self, *_: object) -> None:
        self._exits.close()

    @contextmanager
    def _canary(self) -> Iterator[None]:
        """Listen where the payloads call: nobody may get through."""
        with socket.create_server(("127.0.0.1", CANARY_PORT)) as listener:
            listener.settimeout(0.2)
            over = threading.Event()

            def listen() -> None:
                while not over.is_set():
                    try:
                        listener.accept()[0].close()
                    except TimeoutError:
                        continue
                    self.packets += 1

            thread = threading.Thread(target=listen)
            thread.start()
            yield
            over.set()
            thread.join()

    def fire(self, file: Hostile, seen: Seen) -> None:
        """Register a file, open it if it was taken, and note what its owner was told."""
        told, step = self._registered(file), self.scratch / uuid4().hex
        if told is None:
            told = self._opened(file, step)
            self.note_traces(file, step, told, seen)
            shutil.rmtree(step, ignore_errors=True)
        with self._lock:
            seen.files += 1
            if told in file.codes:
                seen.typed += 1
            else:
                seen.untyped.append(f"{file.name}: {told}, not {', '.join(sorted(file.codes))}")

    def _registered(self, file: Hostile) -> str | None:
        """Return the code of the refusal, or None when the files were taken."""
        digests = {name: hashlib.sha256(content).hexdigest() for name, content in file.files.items()}
        for digest, content in {digests[name]: content for name, content in file.files.items()}.items():
            self._http.put(f"/v1/blobs/{digest}", content=content).raise_for_status()
        body = json.dumps({"name": "hostile", "files": digests})
        asked = {"content": body, "headers": {"content-type": "application/json"}}
        answer = self._http.post(f"/v1/{file.registered_as}", **asked)  # type: ignore[arg-type] # see above
        if answer.status_code == 201:
            return None
        return (
            str(answer.json()["code"]) if answer.status_code in {413, 422} else f"HTTP {answer.status_code}"
        )

    def _opened(self, file: Hostile, step: Path) -> str:
        params, inputs = self._laid_out(file, step)
        (step / "out").mkdir(parents=True)
        request = StepRequest(
            params=params,
            inputs=inputs,
            parts=dict.fromkeys(inputs, "all"),
            outputs=step / "out",
            log=step / "log.txt",
            limits=LIMITS,
        )
        ended = self._zygote.run(request, on_progress=lambda _progress: None, stop=threading.Event())
        return ended.code.value if isinstance(ended, Failure) else CONVERTED

    def _laid_out(self, file: Hostile, step: Path) -> tuple[StepParams, dict[str, Path]]:
        if file.evaluated:
            rows = {"d.npz": npz(x=np.ones((4, 4), np.float32), labels=np.zeros(4, np.int64))}
            model = _written(file.files, step / "in" / "model")
            return Evaluate(), {"model": model, "evaluation": _written(rows, step / "in" / "evaluation")}
        if file.registered_as is As.MODEL:
            return Convert(), {"model": _written(file.files, step / "in" / "model")}
        model = _written({"m.onnx": file.model or graphs.plain()}, step / "in" / "model")
        data = _written(file.files, step / "in" / "evaluation")
        return Evaluate(), {"model": model, "reference": model, "evaluation": data}

    def note_traces(self, file: Hostile, step: Path, told: str, seen: Seen) -> None:
        written = b"".join(path.read_bytes() for path in (step / "out").rglob("*") if path.is_file())
        log = (step / "log.txt").read_bytes() if (step / "log.txt").exists() else b""
        with self._lock:
            if MARKER.encode() in log + written:
                seen.markers.append(file.name)
            if self.secret.encode() in log + written:
                seen.escapes.append(f"{file.name}: read outside")
            if told == FailureCode.NODE_LOST or self._api.poll() is not None:
                seen.node_deaths.append(file.name)


def _written(files: object, folder: Path) -> Path:
    assert isinstance(files, dict)
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder
