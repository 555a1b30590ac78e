import itertools

import pytest

from ovfarm.errors import IllegalTransition
from ovfarm.states import (
    JOB_ENDED,
    JOB_TABLE,
    STEP_ENDED,
    STEP_TABLE,
    JobEvent,
    JobState,
    StepEvent,
    StepState,
    after_job,
    after_step,
    job_sources,
    job_target,
    step_sources,
    step_target,
)


@pytest.mark.parametrize(("state", "event"), list(itertools.product(StepState, StepEvent)))
def test_every_pair_of_a_step_is_in_the_table_or_refused(state: StepState, event: StepEvent) -> None:
    if (state, event) in STEP_TABLE:
        assert after_step(state, event) is step_target(event)
        assert state in step_sources(event)
    else:
        with pytest.raises(IllegalTransition, match=f"{state} cannot {event}"):
            after_step(state, event)
        assert state not in step_sources(event)


@pytest.mark.parametrize(("state", "event"), list(itertools.product(JobState, JobEvent)))
def test_every_pair_of_a_job_is_in_the_table_or_refused(state: JobState, event: JobEvent) -> None:
    if (state, event) in JOB_TABLE:
        assert after_job(state, event) is job_target(event)
        assert state in job_sources(event)
    else:
        with pytest.raises(IllegalTransition, match=f"{state} cannot {event}"):
            after_job(state, event)


def test_an_event_leads_to_one_state_and_ends_are_final() -> None:
    for table in (STEP_TABLE, JOB_TABLE):
        targets: dict[str, set[str]] = {}
        for (_, event), after in table.items():
            targets.setdefault(event.value, set()).add(after.value)
        assert all(len(states) == 1 for states in targets.values())
    assert not STEP_ENDED & {state for state, _ in STEP_TABLE}
    assert not JOB_ENDED & {state for state, _ in JOB_TABLE}
