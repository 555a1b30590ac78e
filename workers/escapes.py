"""The fourteen ways out of the sandbox, each tried by a child on itself.

A way is open when it leads somewhere: the file was read, the packet could be sent, the call went through.
"""

import ctypes
import os
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

from workers.protocol import EscapesFrame, EscapesRequest

_CLONE_NEWUSER = 0x10000000
_PTRACE_SEIZE, _PTRACE_DETACH = 0x4206, 17
_CONNECT_S = 0.5
_LINGER_S, _COUNTED_S = 10.0, 0.5
_METADATA = ("169.254.169.254", 80)
_RESOLVER = ("1.1.1.1", 53)
Way = Callable[[EscapesRequest], bool]
FORKS = "fork without end"


def tried(request: EscapesRequest) -> EscapesFrame:
    """Try the ways that are asked for; none of them can harm the machine that it succeeds on."""
    found = {name: _leads_out(WAYS[name], request) for name in request.ways}
    return EscapesFrame(
        open=tuple(name for name, leads in found.items() if leads),
        shut=tuple(name for name, leads in found.items() if not leads),
    )


def _leads_out(way: Way, request: EscapesRequest) -> bool:
    try:
        return way(request)
    except OSError:
        return False


def _shadow(_: EscapesRequest) -> bool:
    return bool(Path("/etc/shadow").read_bytes())


def _secret(request: EscapesRequest) -> bool:
    return bool(request.secret.read_bytes())


def _own_environment(request: EscapesRequest) -> bool:
    return request.canary in "\0".join(os.environ.values())


def _any_environment(request: EscapesRequest) -> bool:
    for entry in os.scandir("/proc"):
        try:
            if entry.name.isdigit() and request.canary.encode() in Path(entry.path, "environ").read_bytes():
                return True
        except OSError:
            continue
    return False


def _loopback(request: EscapesRequest) -> bool:
    socket.create_connection(("127.0.0.1", request.port), timeout=_CONNECT_S).close()
    return True


def _metadata(_: EscapesRequest) -> bool:
    socket.create_connection(_METADATA, timeout=_CONNECT_S).close()
    return True


def _packet(_: EscapesRequest) -> bool:
    """Send nothing, but ask the kernel for a way to the resolver: with one, names could be carried out."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
        channel.connect(_RESOLVER)
    return True


def _write_outside(request: EscapesRequest) -> bool:
    (request.outside / "was-here").write_text("x")
    return True


def _write_input(request: EscapesRequest) -> bool:
    for folder in request.inputs.values():
        for path in folder.iterdir():
            with path.open("ab") as file:
                file.write(b"x")
            return True
    return False


def _signal(_: EscapesRequest) -> bool:
    os.kill(os.getppid(), 0)
    return True


def _become_root(_: EscapesRequest) -> bool:
    if os.geteuid():
        os.setuid(0)
    return os.geteuid() == 0


def _namespace(_: EscapesRequest) -> bool:
    return _in_a_fork(lambda: ctypes.CDLL(None).unshare(_CLONE_NEWUSER) == 0)


def _trace(_: EscapesRequest) -> bool:
    """Seize the zygote, which does not stop it, and let it go."""
    libc = ctypes.CDLL(None, use_errno=True)

    def seized() -> bool:
        parent = os.getppid()
        if libc.ptrace(_PTRACE_SEIZE, parent, None, None):
            return False
        libc.ptrace(_PTRACE_DETACH, parent, None, None)
        return True

    return seized()


def _forks(request: EscapesRequest) -> bool:
    """Start more processes than the limit allows; a node without one counts to 300."""
    wanted = (request.limits.processes or 250) + 50
    started: list[int] = []
    try:
        for _ in range(wanted):
            pid = os.fork()
            if pid == 0:
                time.sleep(_LINGER_S)
                os._exit(0)
            started.append(pid)
        # Whoever counts them needs a moment to do so.
        time.sleep(_COUNTED_S)
    finally:
        for pid in started:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    return True


def _in_a_fork(work: Callable[[], bool]) -> bool:
    """Do what would change this process in another one."""
    pid = os.fork()
    if pid == 0:
        os._exit(0 if work() else 1)
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status) == 0


WAYS: dict[str, Way] = {
    "read /etc/shadow": _shadow,
    "read a file of the farm's home": _secret,
    "a secret in its own environment": _own_environment,
    "the environment of any process": _any_environment,
    "connect to the host's loopback": _loopback,
    "connect to a cloud's metadata": _metadata,
    "send a packet to a resolver": _packet,
    "write outside its folder": _write_outside,
    "write to its inputs": _write_input,
    "signal another process": _signal,
    "become root": _become_root,
    "make a user namespace": _namespace,
    "trace another process": _trace,
    FORKS: _forks,
}
