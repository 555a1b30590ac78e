"""The states of a step and of a job, and the only place where a transition is spelled.

The guards of every UPDATE, the diagram in ``docs/lifecycle.md`` and the property tests are all
derived from the two tables below. *Cancelling*, *waiting for a device* and *retrying* are words for
the view (``ovfarm.jobs``), not states.
"""

from enum import StrEnum

from ovfarm.errors import IllegalTransition


class StepState(StrEnum):
    """Where one step stands."""

    BLOCKED = "blocked"  # waits for earlier steps, for its time (ready_at) or for an equal step
    QUEUED = "queued"  # any node that serves its need may claim it
    RUNNING = "running"  # one attempt holds the lease
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class StepEvent(StrEnum):
    """What can happen to a step; an event leads to exactly one state."""

    RELEASE = "release"  # what it waited for has come
    CLAIM = "claim"  # a node takes it, and the attempt is charged
    SUCCEED = "succeed"  # its results are committed
    FAIL = "fail"  # no further attempt will be made
    POSTPONE = "postpone"  # back to waiting: a retry with a delay, a lost lease, an equal step in flight
    CANCEL = "cancel"  # asked for, or an earlier step did not succeed


class JobState(StrEnum):
    """Where a job stands, as its steps have it."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class JobEvent(StrEnum):
    """What can happen to a job."""

    START = "start"
    SUCCEED = "succeed"
    FAIL = "fail"
    CANCEL = "cancel"


STEP_TABLE: dict[tuple[StepState, StepEvent], StepState] = {
    (StepState.BLOCKED, StepEvent.RELEASE): StepState.QUEUED,
    (StepState.BLOCKED, StepEvent.CANCEL): StepState.CANCELLED,
    (StepState.QUEUED, StepEvent.CLAIM): StepState.RUNNING,
    (StepState.QUEUED, StepEvent.CANCEL): StepState.CANCELLED,
    (StepState.RUNNING, StepEvent.SUCCEED): StepState.SUCCEEDED,
    (StepState.RUNNING, StepEvent.FAIL): StepState.FAILED,
    (StepState.RUNNING, StepEvent.POSTPONE): StepState.BLOCKED,
    (StepState.RUNNING, StepEvent.CANCEL): StepState.CANCELLED,
}

JOB_TABLE: dict[tuple[JobState, JobEvent], JobState] = {
    (JobState.QUEUED, JobEvent.START): JobState.RUNNING,
    (JobState.QUEUED, JobEvent.CANCEL): JobState.CANCELLED,
    (JobState.QUEUED, JobEvent.FAIL): JobState.FAILED,
    (JobState.RUNNING, JobEvent.SUCCEED): JobState.SUCCEEDED,
    (JobState.RUNNING, JobEvent.FAIL): JobState.FAILED,
    (JobState.RUNNING, JobEvent.CANCEL): JobState.CANCELLED,
}

STEP_ENDED = frozenset({StepState.SUCCEEDED, StepState.FAILED, StepState.CANCELLED})
JOB_ENDED = frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED})


def after_step(state: StepState, event: StepEvent) -> StepState:
    """Return the state that ``event`` leads to from ``state``; raises IllegalTransition."""
    try:
        return STEP_TABLE[state, event]
    except KeyError:
        raise IllegalTransition(f"a step that is {state} cannot {event}") from None


def after_job(state: JobState, event: JobEvent) -> JobState:
    """Return the state that ``event`` leads to from ``state``; raises IllegalTransition."""
    try:
        return JOB_TABLE[state, event]
    except KeyError:
        raise IllegalTransition(f"a job that is {state} cannot {event}") from None


def step_sources(event: StepEvent) -> frozenset[StepState]:
    """Return the states from which ``event`` may happen: the ``WHERE state IN (…)`` of its guard."""
    return frozenset(state for state, possible in STEP_TABLE if possible is event)


def job_sources(event: JobEvent) -> frozenset[JobState]:
    """Return the states from which ``event`` may happen: the ``WHERE state IN (…)`` of its guard."""
    return frozenset(state for state, possible in JOB_TABLE if possible is event)


def step_target(event: StepEvent) -> StepState:
    """Return the one state that ``event`` leads to."""
    return next(after for (_, possible), after in STEP_TABLE.items() if possible is event)


def job_target(event: JobEvent) -> JobState:
    """Return the one state that ``event`` leads to."""
    return next(after for (_, possible), after in JOB_TABLE.items() if possible is event)
