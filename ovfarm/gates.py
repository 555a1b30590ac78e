"""Gates between steps: the roles under which they are read, their files, and who passes.

A gate's artifact has one of two digests when it was measured, so that work below it is the same work
whatever the number was; the parent of a step leaves an open gate out of its key.
"""

from collections.abc import Sequence
from hashlib import sha256

from ovfarm.recipes import StepParams
from ovfarm.results import Gate, Judged

GATE_FILE = "gate.json"
CHOSEN_FILE = "chosen.json"
PASSED, FAILED = (sha256(words).hexdigest() for words in (b"gate: passed", b"gate: failed"))
AFTER, UNLESS = "gate", "unless"
# The digest with which a gate of this role lets a step begin.
_OPEN = {AFTER: PASSED, UNLESS: FAILED}


def roles(role: str, count: int) -> tuple[str, ...]:
    """Return the roles of one gate on ``count`` targets: ``gate``, then ``gate-1``."""
    return tuple(role if number == 0 else f"{role}-{number}" for number in range(count))


def is_gate(role: str) -> bool:
    """Tell whether what is read under this role is a gate."""
    return role.partition("-")[0] in _OPEN


def is_open(role: str, digest: str) -> bool:
    """Tell whether a gate of this digest lets a step begin that reads it under ``role``."""
    return _OPEN[role.partition("-")[0]] == digest


def named_gate(params: StepParams, role: str) -> str | None:
    """Return the name of the gate that a step reads under ``role``."""
    return getattr(params, "after" if role.partition("-")[0] == AFTER else "unless", None)


def digest(gate: Gate) -> str | None:
    """Return what a gate means to the steps below it, or None when its words count."""
    if gate.passed:
        return PASSED
    return FAILED if gate.failed else None


def last_passed(judged: Sequence[Judged]) -> Judged | None:
    """Return the last candidate that passed before the first that did not; those not needed are no hurdle."""
    found = None
    for candidate in judged:
        if candidate.not_needed:
            continue
        if not candidate.passed:
            break
        found = candidate
    return found
