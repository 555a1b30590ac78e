"""One child as the zygote sees it: what it says, what it prints, how it ends, and what that means."""

import contextlib
import os
import signal
import socket
import time
from collections import deque
from pathlib import Path

from ovfarm.failures import Failure, FailureClass, FailureCode
from ovfarm.hints import HINTS
from workers import limits
from workers.frames import BadFrame, Inbox, parsed
from workers.protocol import (
    FRAME,
    FailureFrame,
    InventoryFrame,
    InventoryRequest,
    ProgressFrame,
    ResultFrame,
    StepRequest,
)

_CHUNK = 1 << 16
_HEAD, _TAIL = 64 << 10, 256 << 10
Words = ResultFrame | FailureFrame | InventoryFrame


class Log:
    """What a child prints: its head and its tail, however much there is between."""

    def __init__(self) -> None:
        self._head = b""
        self._tail: deque[bytes] = deque()
        self._kept = 0
        self._dropped = 0

    def write(self, data: bytes) -> None:
        """Take bytes; the oldest beyond the bound are dropped and counted."""
        room = _HEAD - len(self._head)
        self._head += data[:room]
        if rest := data[room:]:
            self._tail.append(rest)
            self._kept += len(rest)
        while self._kept - len(self._tail[0] if self._tail else b"") > _TAIL:
            dropped = len(self._tail.popleft())
            self._kept -= dropped
            self._dropped += dropped

    def text(self) -> str:
        """Return what is left, with a line in the place of what is not."""
        gap = f"\n… {self._dropped} bytes left out …\n".encode() if self._dropped else b""
        return (self._head + gap + b"".join(self._tail)).decode(errors="replace")


class Offspring:
    """A forked child with its two ends: the socket that it replies on, the pipe that it prints to."""

    def __init__(
        self,
        name: str,
        pid: int,
        reply: socket.socket,
        log: int,
        request: StepRequest | InventoryRequest,
    ) -> None:
        self.id = name
        self.pid = pid
        self._reply = reply
        self._log_end = log
        self._log_path = request.log
        self._timeout_s = request.limits.timeout_s
        self._deadline = time.monotonic() + request.limits.timeout_s
        self._inbox = Inbox()
        self._log = Log()
        self._open = {reply.fileno(), log}
        self._words: Words | None = None
        self._status: int | None = None
        reply.setblocking(False)
        os.set_blocking(log, False)

    def open_ends(self) -> frozenset[int]:
        """Return the descriptors on which this child may still say something."""
        return frozenset(self._open)

    def read(self, end: int) -> list[ProgressFrame]:
        """Take what has come on ``end``; returns the progress to pass on."""
        data = _read(end)
        if data is None:
            return []
        if not data:
            self._open.discard(end)
            return []
        if end == self._log_end:
            self._log.write(data)
            return []
        return self._hear(data)

    def _hear(self, data: bytes) -> list[ProgressFrame]:
        progress: list[ProgressFrame] = []
        try:
            for body in self._inbox.feed(data):
                frame = parsed(FRAME, body)
                if isinstance(frame, ProgressFrame):
                    progress.append(frame)
                else:
                    self._words = self._words or frame
        except BadFrame as garbage:
            self._open.discard(self._reply.fileno())
            self._end(FailureClass.CRASH, FailureCode.BAD_REPLY, f"the step's reply is {garbage.message}")
        return progress

    def cancel(self) -> None:
        """End it because nobody wants the result any more."""
        self._end(FailureClass.INFRA, FailureCode.CANCELLED, "the step was stopped by request")

    def enforce(self, now: float, *, parent_silent: bool) -> None:
        """End it when its time is over, or when its node has stopped listening."""
        if self._status is not None:
            return
        if now > self._deadline:
            message = f"the step took longer than {self._timeout_s:g} s"
            self._end(FailureClass.LIMIT, FailureCode.TIMEOUT, message)
        elif parent_silent:
            message = "the node stopped answering, so its step was stopped"
            self._end(FailureClass.INFRA, FailureCode.NODE_LOST, message)

    def _end(self, failure_class: FailureClass, code: FailureCode, message: str) -> None:
        """Kill it; what it was killed for is its last word, whatever it says meanwhile."""
        if self._status is None and not self._killed():
            self._words = self._failure(failure_class, code, message)
        limits.kill_tree(self.pid)

    def _killed(self) -> bool:
        return isinstance(self._words, FailureFrame)

    def ended(self) -> bool:
        """Tell whether the process is gone; what it had still to say is then read."""
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if not pid:
            return False
        self._status = os.waitstatus_to_exitcode(status)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self._drain()
        return True

    def _drain(self) -> None:
        for end in tuple(self._open):
            while end in self._open and (data := _read(end)):
                self._hear(data) if end != self._log_end else self._log.write(data)
        self._reply.close()
        os.close(self._log_end)
        self._open.clear()
        _keep(self._log_path, self._log.text())

    def last_words(self) -> Words:
        """Return how it ended: what it said, or what its exit status means."""
        if self._words is not None:
            return self._words
        return self._obituary(self._status or 0)

    def _obituary(self, status: int) -> FailureFrame:
        if status == -signal.SIGKILL:
            return self._failure(
                FailureClass.LIMIT,
                FailureCode.OUT_OF_MEMORY,
                "the step was killed from outside, most often by the kernel for want of memory",
            )
        if status < 0:
            name = signal.Signals(-status).name
            return self._failure(
                FailureClass.CRASH, FailureCode.CRASHED, f"the step's process died of {name}"
            )
        return self._failure(
            FailureClass.CRASH,
            FailureCode.CRASHED,
            f"the step's process left with exit code {status} and without a result",
        )

    def _failure(self, failure_class: FailureClass, code: FailureCode, message: str) -> FailureFrame:
        evidence = self._log.text()[-4000:] or None
        return FailureFrame(
            failure=Failure(
                failure_class=failure_class,
                code=code,
                message=message[:2000],
                hint=HINTS.get(code),
                evidence=evidence,
            )
        )


def _read(end: int) -> bytes | None:
    """Return what is there: nothing (b"") at the end, None when there is nothing yet."""
    try:
        return os.read(end, _CHUNK)
    except BlockingIOError:
        return None
    except ConnectionResetError:
        return b""


def _keep(path: Path, text: str) -> None:
    """Write the log down; a folder that is gone has no use for it any more."""
    with contextlib.suppress(OSError):
        path.write_text(text)
