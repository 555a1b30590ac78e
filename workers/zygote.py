"""The zygote: one thread that has only imported the toolchain, and forks a child for each step.

``python -m workers.zygote FD PRELOAD WATCHDOG_S LEVEL``. It computes nothing itself, because a fork after
a library has started its threads hangs. It ends with its parent, and no child outlives it.
"""

import contextlib
import gc
import importlib
import os
import select
import signal
import socket
import sys
import time

from ovfarm.failures import Failure, FailureClass, FailureCode
from ovfarm.hardware import SandboxLevel
from workers import limits
from workers.child import answer
from workers.childlog import ChildLog
from workers.confinement import CONFINEMENTS
from workers.crowd import clear, crowded
from workers.frames import ORDER, Alive, BadFrame, Inbox, Kill, Ready, Run, Said, parsed, send
from workers.offspring import Offspring
from workers.protocol import ChildRequest, FailureFrame

_TICK_S = 0.05
_ROUNDS = 20


class Server:
    """Serves the orders of one parent until it is gone."""

    def __init__(self, control: socket.socket, watchdog_s: float, level: SandboxLevel) -> None:
        self._control = control
        self._inbox = Inbox()
        self._watchdog_s = watchdog_s
        self._heard = time.monotonic()
        self._confine = CONFINEMENTS[level]
        # Children share this process's user, so one could have moved it to a core of its own.
        self._cores = os.sched_getaffinity(0)
        self._sealed = level is SandboxLevel.FULL
        self._children: dict[str, Offspring] = {}

    def serve(self) -> None:
        """Serve; returns when the parent has closed its end."""
        send(self._control, Ready())
        while self._obey_and_relay():
            self._enforce()
            self._bury()
        for child in self._children.values():
            limits.kill_tree(child.pid)

    def _obey_and_relay(self) -> bool:
        sources = {fd: child for child in self._children.values() for fd in child.open_ends()}
        ready, _, _ = select.select([self._control.fileno(), *sources], [], [], _TICK_S)
        for end in ready:
            if end == self._control.fileno():
                if not self._obey():
                    return False
            else:
                self._relay(sources[end])
        return True

    def _relay(self, child: Offspring) -> None:
        try:
            frames = child.read()
        except (OSError, ValueError, RecursionError) as trouble:
            # Whatever one child makes of its end of the line, the others are served on.
            child.babbled(str(trouble))
            return
        for frame in frames:
            self._say(child, Said(id=child.id, last=False, frame=frame))

    def _obey(self) -> bool:
        data = self._control.recv(1 << 16)
        self._heard = time.monotonic()
        for body in self._inbox.feed(data):
            match parsed(ORDER, body):
                case Run() as run:
                    self._fork(run)
                case Kill(id=child_id):
                    if child := self._children.get(child_id):
                        child.cancel()
                case Alive():
                    pass
        return bool(data)

    def _fork(self, run: Run) -> None:
        parent = os.getpid()
        with contextlib.ExitStack() as opened:
            try:
                log = ChildLog(run.request.log)
                opened.callback(log.close)
                reply, reply_end = map(opened.enter_context, socket.socketpair())
                pid = os.fork()
            except OSError as refused:
                words = f"the node could not start the step: {refused}"
                self._refuse(run.id, words, FailureCode.NODE_DISK_FULL)
                return
            opened.pop_all()
        if pid == 0:
            self._become_child(run, parent, reply_end, log.descriptor)
        reply_end.close()
        self._children[run.id] = Offspring(run.id, pid, reply, log, run.request)

    def _refuse(self, name: str, words: str, code: FailureCode) -> None:
        failure = Failure(failure_class=FailureClass.INFRA, code=code, message=words)
        send(self._control, Said(id=name, last=True, frame=FailureFrame(failure=failure)))

    def _become_child(self, run: Run, parent: int, reply: socket.socket, log: int) -> None:
        """Turn this fork into a child, run its step, and leave without any clean-up of the zygote's."""
        code = 70
        try:
            os.setsid()
            for sibling in self._children.values():
                sibling.forget()
            os.sched_setaffinity(0, self._cores)
            limits.die_with_parent(parent)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            _redirect(log)
            _close_others(reply.fileno())
            limits.apply(run.request.limits)
            unconfined = self._unconfined(run.request)
            if unconfined is not None:
                send(reply, unconfined)
            else:
                answer(run.request, lambda document: send(reply, document), sealed=self._sealed)
            code = 0
        except (OSError, BadFrame) as gone:
            sys.stderr.write(f"the reply could not be sent: {gone}\n")
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def _unconfined(self, request: ChildRequest) -> FailureFrame | None:
        """Bind this child; returns the failure when that cannot be done, so that it does nothing at all."""
        try:
            self._confine(request)
        except OSError as refused:
            code = FailureCode.NODE_SANDBOX
            words = f"the node could not confine the step: {refused}"
            failure = Failure(failure_class=FailureClass.INFRA, code=code, message=words)
            return FailureFrame(failure=failure)
        return None

    def _keep_order(self) -> None:
        """End all steps when they have filled the namespace: who is to blame is told so."""
        bounds = [child.processes for child in self._children.values()]
        if self._sealed and bounds and crowded(max(bounds)):
            self._clear()

    def _clear(self) -> None:
        for child in self._children.values():
            child.overrun()
        clear()

    def _enforce(self) -> None:
        self._keep_order()
        now = time.monotonic()
        deaf = now - self._heard > self._watchdog_s
        for child in self._children.values():
            try:
                child.enforce(now, parent_silent=deaf)
            except (OSError, ValueError, RecursionError) as trouble:
                child.babbled(str(trouble))

    def _bury(self) -> None:
        """Report the children that have ended, once nothing of them runs or writes any more."""
        ended = [child for child in self._children.values() if child.ended()]
        for child in ended:
            del self._children[child.id]
        if ended and not _reap_orphans({child.pid for child in self._children.values()}) and self._sealed:
            self._clear()
        for child in ended:
            self._say(child, Said(id=child.id, last=True, frame=child.last_words()))

    def _say(self, child: Offspring, said: Said) -> None:
        try:
            send(self._control, said)
        except BrokenPipeError:
            limits.kill_tree(child.pid)
        except BadFrame as too_long:
            # What it said fits a frame of its own, but not the one that carries it on.
            child.babbled(too_long.message)
            if said.last:
                send(self._control, Said(id=child.id, last=True, frame=child.last_words()))


def _redirect(log: int) -> None:
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)


def _close_others(keep: int) -> None:
    """Close everything that the zygote had open: a child gets its reply socket and nothing else."""
    os.closerange(3, keep)
    os.closerange(keep + 1, 4096)


def _reap_orphans(children: set[int]) -> bool:
    """Kill what children have left behind: it has become the zygote's own, and is nobody's.

    Returns whether nothing is left; what forks faster than it is killed would keep this going for ever.
    """
    for _ in range(_ROUNDS):
        orphans = limits.children_of(os.getpid()) - children
        if not orphans:
            return True
        limits.kill_tree(*orphans)
        for pid in orphans:
            os.waitpid(pid, 0)
    return False


def main(fd: int, preload: str, watchdog_s: float, level: str) -> None:
    """Import the toolchain, then serve."""
    control = socket.socket(fileno=fd)
    control.set_inheritable(False)
    # A stray Ctrl-C goes to the whole terminal; the parent decides when the zygote ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    limits.adopt_orphans()
    importlib.import_module(preload)
    gc.freeze()
    Server(control, watchdog_s, SandboxLevel(level)).serve()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], float(sys.argv[3]), sys.argv[4])
