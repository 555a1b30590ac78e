"""One child as the zygote sees it: what it says, what it prints, how it ends, and what that means."""

import contextlib
import os
import signal
import socket
import time

from ovfarm.failures import Failure, FailureClass, FailureCode
from ovfarm.patches import Patch
from workers import limits
from workers.childlog import ChildLog
from workers.frames import BadFrame, Inbox, parsed
from workers.protocol import (
    ANSWERS,
    FRAME,
    READING,
    ChildRequest,
    FailureFrame,
    InventoryRequest,
    LastFrame,
    ProgressFrame,
    more_memory,
)
from workers.quota import Quota

_CHUNK = 1 << 16
_FEW = 32
_MOST_PROCESSES = 1024


class Offspring:
    """A forked child, the socket that it replies on, and the file that it prints to."""

    def __init__(
        self,
        name: str,
        pid: int,
        reply: socket.socket,
        log: ChildLog,
        request: ChildRequest,
    ) -> None:
        self.id = name
        self.pid = pid
        self._reply = reply
        self._log = log
        self._answers = ANSWERS[request.request]
        self._listening = True
        self._stage = ""
        self._limits = request.limits
        self._deadline = time.monotonic() + request.limits.timeout_s
        self._quota = _quota(request)
        self.processes = request.limits.processes or _MOST_PROCESSES
        self._inbox = Inbox()
        self._words: LastFrame | None = None
        self._status: int | None = None
        reply.setblocking(False)

    def open_ends(self) -> frozenset[int]:
        """Return the descriptors on which this child may still say something."""
        return frozenset({self._reply.fileno()} if self._listening else ())

    def read(self) -> list[ProgressFrame]:
        """Take what it has said; returns the progress to pass on."""
        data = _read(self._reply.fileno())
        if data is None:
            return []
        if not data:
            self._listening = False
            return []
        return self._hear(data)

    def _hear(self, data: bytes) -> list[ProgressFrame]:
        progress: list[ProgressFrame] = []
        try:
            for body in self._inbox.feed(data):
                frame = parsed(FRAME, body)
                if isinstance(frame, ProgressFrame):
                    progress.append(frame)
                    self._stage = frame.progress.stage
                elif frame.frame in self._answers:
                    self._words = self._words or frame
                else:
                    self._babble(f"a {frame.frame}, which is no answer to what was asked")
        except BadFrame as garbage:
            self._babble(garbage.message)
        return progress

    def _babble(self, words: str) -> None:
        """End it for what it said; that may be heard only after it has left."""
        self._listening = False
        if not self._killed():
            self.babbled(words)

    def cancel(self) -> None:
        """End it because nobody wants the result any more."""
        self._end(FailureClass.INFRA, FailureCode.CANCELLED, "the step was stopped by request")

    def forget(self) -> None:
        """Let go of all that is known of this child: said in another one, which it is no business of."""
        self.__dict__.clear()

    def babbled(self, words: str) -> None:
        """End it for a reply that cannot be passed on, also when it has ended with it."""
        self._words = self._failure(FailureClass.CRASH, FailureCode.BAD_REPLY, f"the step's reply is {words}")
        self._kill()

    def overrun(self) -> None:
        """End it because it, or one beside it, has started more processes than all may have."""
        if len(limits.descendants(self.pid)) > _FEW:
            message = "the step started more processes than it may"
            self._end(FailureClass.LIMIT, FailureCode.TOO_MANY_PROCESSES, message)
        else:
            message = "the step was stopped because one beside it filled the node with processes"
            self._end(FailureClass.INFRA, FailureCode.NODE_LOST, message)

    def enforce(self, now: float, *, parent_silent: bool) -> None:
        """End it when its time is over, or when its node has stopped listening."""
        if self._status is not None:
            return
        self._log.bound()
        if now > self._deadline:
            message = f"the step took longer than {self._limits.timeout_s:g} s"
            self._end(FailureClass.LIMIT, FailureCode.TIMEOUT, message)
        elif self._quota is not None and self._quota.exceeded(now, self.pid):
            message = f"the step wrote more than the {self._quota.bound} bytes that a step may"
            self._end(FailureClass.LIMIT, FailureCode.SCRATCH_FULL, message)
        elif parent_silent:
            message = "the node stopped answering, so its step was stopped"
            self._end(FailureClass.INFRA, FailureCode.NODE_LOST, message)

    def _end(self, failure_class: FailureClass, code: FailureCode, message: str) -> None:
        """Kill it; what it was killed for is its last word, whatever it says meanwhile."""
        if self._status is None and not self._killed():
            self._words = self._failure(failure_class, code, message)
        self._kill()

    def _kill(self) -> None:
        """Kill it with all below; once it is buried its number may be somebody else's."""
        if self._status is None:
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
        while self._listening and (data := _read(self._reply.fileno())):
            self._hear(data)
        self._reply.close()
        self._listening = False
        self._log.close()

    def last_words(self) -> LastFrame:
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
                patches=more_memory(self._limits),
            )
        if status == -signal.SIGXCPU:
            return self._failure(
                FailureClass.LIMIT, FailureCode.TIMEOUT, "the step used more processor time than it may"
            )
        if status < 0:
            return self._killed_by(_signal(-status))
        return self._failure(
            FailureClass.CRASH,
            FailureCode.CRASHED,
            f"the step's process left with exit code {status} and without a result",
        )

    def _killed_by(self, name: str) -> FailureFrame:
        """Say what a signal means: while a file is read, that its reader did not survive it."""
        if self._stage == READING:
            message = f"the model's reader died of {name}"
            return self._failure(FailureClass.CRASH, FailureCode.READER_CRASHED, message)
        return self._failure(FailureClass.CRASH, FailureCode.CRASHED, f"the step's process died of {name}")

    def _failure(
        self,
        failure_class: FailureClass,
        code: FailureCode,
        message: str,
        *,
        patches: tuple[Patch, ...] = (),
    ) -> FailureFrame:
        failure = Failure(failure_class=failure_class, code=code, message=message[:2000], patches=patches)
        return FailureFrame(failure=failure)


def _signal(number: int) -> str:
    """Return the name of a signal; those for programs' own use have none."""
    return signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"


def _quota(request: ChildRequest) -> Quota | None:
    """Return the watch over what a child writes: its outputs and its temporary files."""
    bound = request.limits.scratch_bytes
    if isinstance(request, InventoryRequest) or bound is None:
        return None
    return Quota(request.outputs.parent, bound)


def _read(end: int) -> bytes | None:
    """Return what is there: nothing (b"") at the end, None when there is nothing yet."""
    try:
        return os.read(end, _CHUNK)
    except BlockingIOError:
        return None
    except ConnectionResetError:
        return b""
