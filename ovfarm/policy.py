"""Decisions without I/O: how long to wait, when to give up, what a step is expected to cost."""

import random

from ovfarm.failures import FailureClass
from ovfarm.recipes import Kind

# Device-seconds that a claim charges before the truth is known (start-time fair queueing; the
# finish trues it up). Rough medians of small models; the order matters more than the values.
ESTIMATE_S: dict[Kind, float] = {
    Kind.CONVERT: 5.0,
    Kind.QUANTIZE: 30.0,
    Kind.COMPRESS: 20.0,
    Kind.EVALUATE: 10.0,
    Kind.BENCHMARK: 15.0,
    Kind.CHOOSE: 1.0,
    Kind.PACKAGE: 1.0,
    Kind.PROBE: 1.0,
}

_FIRST_DELAY_S: dict[FailureClass, float] = {
    FailureClass.INFRA: 2.0,
    FailureClass.DEVICE: 5.0,
    FailureClass.LIMIT: 5.0,
    FailureClass.CRASH: 1.0,
}
_LONGEST_DELAY_S = 300.0


def backoff(failure: FailureClass, attempt: int, max_attempts: int, dice: random.Random) -> float | None:
    """Return the seconds until the next attempt, or None to give up.

    Exponential with full jitter over its upper half, so that steps that failed together do not come
    back together. A limit is tried once more at most; a user's mistake never.
    """
    if failure is FailureClass.USER or attempt >= max_attempts:
        return None
    if failure is FailureClass.LIMIT and attempt >= 2:
        return None
    longest = min(_FIRST_DELAY_S[failure] * 2.0 ** (attempt - 1), _LONGEST_DELAY_S)
    return longest * dice.uniform(0.5, 1.0)


def heartbeat_s(lease_s: float) -> float:
    """Return how often a lease is renewed: three chances before it runs out."""
    return lease_s / 3


def self_fence_s(lease_s: float) -> float:
    """Return how long after its last renewal a node stops its own child, by its own clock."""
    return lease_s * 0.8


def start_time(virtual_time: float, clock: float, *, running: int) -> float:
    """Return where a team's next claim starts: a team that was away gets no credit for it.

    A team with steps ``running`` was not away: when its time is below the clock, it was charged too
    much before, and that is its own.
    """
    return virtual_time if running else max(virtual_time, clock)


def charge(start: float, cost_s: float, weight: float) -> float:
    """Return a team's virtual time after a claim (Goyal, Vin, Cheng 1996: start-time fair queueing)."""
    return start + cost_s / weight
