"""The parent's side of the zygote: run a step in a child of it; a child that dies is a value."""

import queue
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self
from uuid import uuid4

from ovfarm.errors import Unavailable
from ovfarm.failures import Failure, FailureClass, FailureCode
from ovfarm.hardware import Offer
from ovfarm.results import Progress, StepResult
from ovfarm.shapes import Document
from workers.childlog import evidence
from workers.frames import NOTICE, Alive, BadFrame, Inbox, Kill, Ready, Run, Said, parsed, send
from workers.protocol import (
    AnyFrame,
    ChildRequest,
    EscapesFrame,
    FailureFrame,
    InventoryFrame,
    LastFrame,
    ProgressFrame,
    ResultFrame,
)
from workers.sandbox import Sandbox

_LOOK_EVERY_S = 0.05
_START_S = 120.0


class _Generation:
    """One zygote process with the runs that it serves."""

    def __init__(self, preload: str, sandbox: Sandbox, watchdog_s: float) -> None:
        ours, theirs = socket.socketpair()
        argv = [sys.executable, "-m", "workers.zygote", str(theirs.fileno()), preload]
        self._process = subprocess.Popen(
            sandbox.command([*argv, str(watchdog_s), sandbox.level]),
            pass_fds=[theirs.fileno()],
            env=sandbox.environment(),
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        theirs.close()
        self._channel = ours
        self._sending = threading.Lock()
        self._ready = threading.Event()
        self._over = threading.Event()
        self._boxes: dict[str, queue.SimpleQueue[Said | None]] = {}
        self._beat_s = min(1.0, watchdog_s / 4)
        self.children = 0
        self.crashed = False
        for work in (self._listen, self._beat):
            threading.Thread(target=work, daemon=True, name=f"zygote-{self.pid}").start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def idle(self) -> bool:
        return not self._boxes

    @property
    def dead(self) -> bool:
        return self._over.is_set()

    def wait_ready(self) -> None:
        """Wait until the toolchain is imported; raises Unavailable when that fails."""
        while not self._ready.wait(_LOOK_EVERY_S):
            if self._over.is_set() or self._process.poll() is not None:
                raise Unavailable(
                    f"the toolchain could not be imported (exit code {self._process.wait()})",
                    code="toolchain",
                    hint="the reason is printed above; mend the installation with: ./farm setup",
                )

    def open(self, request: ChildRequest) -> tuple[str, "queue.SimpleQueue[Said | None]"]:
        name, box = uuid4().hex, queue.SimpleQueue[Said | None]()
        self._boxes[name] = box
        self.children += 1
        self.tell(Run(id=name, request=request))
        if self.dead:
            box.put(None)
        return name, box

    def forget(self, name: str) -> None:
        self._boxes.pop(name, None)

    def tell(self, order: Document) -> None:
        """Send an order; a zygote that is gone is noticed by the listener."""
        with self._sending:
            try:
                send(self._channel, order)
            except OSError:
                self._over.set()

    def _beat(self) -> None:
        while not self._over.wait(self._beat_s):
            self.tell(Alive())

    def _listen(self) -> None:
        inbox = Inbox()
        try:
            while data := self._channel.recv(1 << 16):
                for body in inbox.feed(data):
                    self._take(parsed(NOTICE, body))
        except (OSError, BadFrame):
            self._process.kill()
        self._over.set()
        for box in list(self._boxes.values()):
            box.put(None)

    def _take(self, notice: Ready | Said) -> None:
        if isinstance(notice, Ready):
            self._ready.set()
        elif box := self._boxes.get(notice.id):
            box.put(notice)

    def close(self) -> None:
        """Let go of it: it kills its children and ends."""
        self._over.set()
        self._channel.shutdown(socket.SHUT_RDWR)
        self._channel.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class Zygote:
    """A warm zygote that is renewed after ``recycle_after`` children and after any crash.

    ``preload`` is the module that it imports; ``watchdog_s`` is how long it lets children run without
    hearing from this process. ``run`` may be called from many threads; a zygote inside bubblewrap ends
    with the thread that started it (the kernel's PR_SET_PDEATHSIG), so those live as long as the node.
    """

    def __init__(
        self,
        *,
        sandbox: Sandbox,
        preload: str = "workers.kit.preload",
        recycle_after: int = 1000,
        watchdog_s: float = 30.0,
    ) -> None:
        self._sandbox = sandbox
        self._preload = preload
        self._recycle_after = recycle_after
        self._watchdog_s = watchdog_s
        self._lock = threading.Lock()
        self._current: _Generation | None = None
        self._retired: list[_Generation] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def pid(self) -> int | None:
        """The process id of the present zygote, if there is one."""
        return self._current.pid if self._current else None

    def start(self) -> None:
        """Warm up; raises Unavailable when the toolchain cannot be imported."""
        self._generation()

    def close(self) -> None:
        """End all zygotes and with them all children."""
        with self._lock:
            for generation in (*self._retired, *filter(None, [self._current])):
                generation.close()
            self._retired, self._current = [], None

    def run(
        self,
        request: ChildRequest,
        *,
        on_progress: Callable[[Progress], None],
        stop: threading.Event,
    ) -> StepResult | Offer | EscapesFrame | Failure:
        """Run a request in a fresh child and return how it ended; ``stop`` kills the child at once.

        Raises Unavailable when no zygote can be had.
        """
        generation = self._generation()
        name, box = generation.open(request)
        asked = False
        try:
            while True:
                if stop.is_set() and not asked:
                    asked = True
                    generation.tell(Kill(id=name))
                words = _next(box, generation)
                if isinstance(words, ProgressFrame):
                    on_progress(words.progress)
                elif words is not None:
                    return self._meaning(generation, words, request.log)
        finally:
            generation.forget(name)

    def _meaning(
        self, generation: _Generation, words: LastFrame, log: Path
    ) -> StepResult | Offer | EscapesFrame | Failure:
        match words:
            case ResultFrame(result=result):
                return result
            case InventoryFrame(offer=offer):
                return offer
            case EscapesFrame() as found:
                return found
            case FailureFrame(failure=failure):
                generation.crashed |= failure.failure_class is FailureClass.CRASH
                if failure.evidence or failure.failure_class is FailureClass.USER:
                    return failure
                return failure.model_copy(update={"evidence": evidence(log)})

    def _generation(self) -> _Generation:
        """Return a warm zygote, a new one if the present one is used up."""
        with self._lock:
            self._retired = [g for g in self._retired if not _closed_when_idle(g)]
            current = self._current
            if current and (current.dead or current.crashed or current.children >= self._recycle_after):
                self._retired.append(current)
                current = None
            if current is None:
                current = _Generation(self._preload, self._sandbox, self._watchdog_s)
                try:
                    current.wait_ready()
                except Unavailable:
                    current.close()
                    raise
            self._current = current
            return current


def _closed_when_idle(generation: _Generation) -> bool:
    if generation.idle:
        generation.close()
    return generation.idle


def _next(box: "queue.SimpleQueue[Said | None]", generation: _Generation) -> AnyFrame | None:
    """Return the child's next words, or None when there are none yet."""
    try:
        said = box.get(timeout=_LOOK_EVERY_S)
    except queue.Empty:
        return None
    if said is None:
        generation.crashed = True
        return FailureFrame(
            failure=Failure(
                failure_class=FailureClass.INFRA,
                code=FailureCode.NODE_LOST,
                message="the process that starts this node's steps died",
            )
        )
    return said.frame
