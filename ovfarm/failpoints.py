"""Named points where a test may stop, kill or break the process: ``OVFARM_FAIL=name:action[:hit]``.

Actions: ``kill`` (SIGKILL to itself), ``stop`` (SIGSTOP), ``error`` (OSError). ``hit`` counts from 1.
Without the variable each point costs one comparison.
"""

import os
import signal
from enum import StrEnum


class Failpoint(StrEnum):
    """The points, in the order in which a step passes them."""

    CLAIMED = "claimed"
    RUNNING = "running"
    UPLOADED = "uploaded"
    BEFORE_COMMIT = "before_commit"
    AFTER_COMMIT = "after_commit"


_WANTED = os.environ.get("OVFARM_FAIL", "")
_hits: dict[Failpoint, int] = {}


def failpoint(point: Failpoint) -> None:
    """Do what ``OVFARM_FAIL`` asks for at this point; raises OSError for the action ``error``."""
    if not _WANTED:
        return
    name, action, *hit = _WANTED.split(":")
    if name != point:
        return
    _hits[point] = _hits.get(point, 0) + 1
    if _hits[point] != int(hit[0] if hit else 1):
        return
    if action == "error":
        raise OSError(f"failpoint {point}")
    os.kill(os.getpid(), signal.SIGKILL if action == "kill" else signal.SIGSTOP)
