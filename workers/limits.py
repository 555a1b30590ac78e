"""What the kernel holds a child to, and how all that a child has started is found and ended."""

import contextlib
import ctypes
import os
import resource
import signal
from pathlib import Path

from workers.protocol import ChildLimits

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
# The kernel should take a child before the worker, and both before a database on the same host.
_OOM_SCORE = "900"
_LAST_WORDS_S = 5


def _prctl(option: int, value: int) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when ``parent`` ends, also if it has ended just now."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent ends."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def apply(limits: ChildLimits) -> None:
    """Bind this process and all that it starts; a limit above the hard one becomes the hard one."""
    wanted = {
        resource.RLIMIT_AS: limits.memory_bytes,
        resource.RLIMIT_FSIZE: limits.file_bytes,
        resource.RLIMIT_NOFILE: limits.open_files,
        resource.RLIMIT_NPROC: limits.processes,
        resource.RLIMIT_CORE: 0,
    }
    for kind, value in wanted.items():
        if value is not None:
            _bind(kind, value, value)
    if limits.cpu_s is not None:
        # At the soft limit the signal says why; at the hard one the kernel just kills.
        _bind(resource.RLIMIT_CPU, limits.cpu_s, limits.cpu_s + _LAST_WORDS_S)
    # Some containers mount /proc read-only; the order of victims is then the kernel's own.
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_OOM_SCORE)


def _bind(kind: int, soft: int, hard: int) -> None:
    _, most = resource.getrlimit(kind)
    if most != resource.RLIM_INFINITY:
        soft, hard = min(soft, most), min(hard, most)
    resource.setrlimit(kind, (soft, hard))


def _parents() -> dict[int, int]:
    """Return each process's parent, as ``/proc`` has them now."""
    parents: dict[int, int] = {}
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            # The name may hold anything, so the fields are counted from its closing bracket.
            fields = Path(entry.path, "stat").read_text(errors="replace").rpartition(")")[2].split()
            parents[int(entry.name)] = int(fields[1])
    return parents


def children_of(parent: int) -> set[int]:
    """Return the processes directly below ``parent``."""
    return {pid for pid, above in _parents().items() if above == parent}


def descendants(*roots: int) -> list[int]:
    """Return all processes below ``roots``, wherever their sessions are."""
    parents = _parents()
    found: list[int] = []
    frontier = set(roots)
    while frontier:
        frontier = {pid for pid, parent in parents.items() if parent in frontier}
        found += frontier
    return found


def kill_tree(*roots: int) -> None:
    """Kill processes, their groups and everything below them, with one look at all that run.

    A look for each of them would take hours where one has left thirty thousand behind.
    """
    for pid in (*roots, *descendants(*roots)):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
    for root in roots:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(root, signal.SIGKILL)
