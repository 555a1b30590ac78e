"""The zygote: one thread that has only imported the toolchain, and forks a child for each step.

``python -m workers.zygote FD PRELOAD WATCHDOG_S LEVEL``. It computes nothing itself, because a fork after
a library has started its threads hangs. It ends with its parent, and no child outlives it.
"""

import gc
import importlib
import os
import select
import signal
import socket
import sys
import time

from workers import limits
from workers.child import answer
from workers.frames import ORDER, Alive, BadFrame, Inbox, Kill, Ready, Run, Said, parsed, send
from workers.offspring import Offspring
from workers.sandbox import CONFINEMENTS, Confine

_TICK_S = 0.05


class Server:
    """Serves the orders of one parent until it is gone."""

    def __init__(self, control: socket.socket, watchdog_s: float, confine: Confine) -> None:
        self._control = control
        self._inbox = Inbox()
        self._watchdog_s = watchdog_s
        self._heard = time.monotonic()
        self._confine = confine
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
                for frame in sources[end].read(end):
                    self._say(sources[end], Said(id=sources[end].id, last=False, frame=frame))
        return True

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
        reply, reply_end = socket.socketpair()
        log, log_end = os.pipe()
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            self._become_child(run, parent, reply_end, log_end)
        reply_end.close()
        os.close(log_end)
        self._children[run.id] = Offspring(run.id, pid, reply, log, run.request)

    def _become_child(self, run: Run, parent: int, reply: socket.socket, log: int) -> None:
        """Turn this fork into a child, run its step, and leave without any clean-up of the zygote's."""
        code = 70
        try:
            os.setsid()
            limits.die_with_parent(parent)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            _redirect(log)
            _close_others(reply.fileno())
            limits.apply(run.request.limits)
            self._confine(run.request)
            answer(run.request, lambda document: send(reply, document))
            code = 0
        except (OSError, BadFrame) as gone:
            sys.stderr.write(f"the reply could not be sent: {gone}\n")
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def _enforce(self) -> None:
        now = time.monotonic()
        deaf = now - self._heard > self._watchdog_s
        for child in self._children.values():
            child.enforce(now, parent_silent=deaf)

    def _bury(self) -> None:
        """Report the children that have ended, once nothing of them runs or writes any more."""
        ended = [child for child in self._children.values() if child.ended()]
        for child in ended:
            del self._children[child.id]
        if ended:
            _reap_orphans({child.pid for child in self._children.values()})
        for child in ended:
            self._say(child, Said(id=child.id, last=True, frame=child.last_words()))

    def _say(self, child: Offspring, said: Said) -> None:
        try:
            send(self._control, said)
        except BrokenPipeError:
            limits.kill_tree(child.pid)


def _redirect(log: int) -> None:
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)


def _close_others(keep: int) -> None:
    """Close everything that the zygote had open: a child gets its reply socket and nothing else."""
    os.closerange(3, keep)
    os.closerange(keep + 1, 4096)


def _reap_orphans(children: set[int]) -> None:
    """Kill what children have left behind: it has become the zygote's own, and is nobody's."""
    while orphans := limits.children_of(os.getpid()) - children:
        for pid in orphans:
            limits.kill_tree(pid)
            os.waitpid(pid, 0)


def main(fd: int, preload: str, watchdog_s: float, level: str) -> None:
    """Import the toolchain, then serve."""
    control = socket.socket(fileno=fd)
    control.set_inheritable(False)
    # A stray Ctrl-C goes to the whole terminal; the parent decides when the zygote ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    limits.adopt_orphans()
    importlib.import_module(preload)
    gc.freeze()
    Server(control, watchdog_s, CONFINEMENTS[level]).serve()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], float(sys.argv[3]), sys.argv[4])
