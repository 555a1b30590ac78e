import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ovfarm.failures import FailureClass
from ovfarm.policy import backoff, charge, heartbeat_s, self_fence_s

DICE = random.Random(0)  # noqa: S311 - a seeded die for a test


def test_a_users_mistake_is_never_retried() -> None:
    assert backoff(FailureClass.USER, 1, 10, DICE) is None


def test_the_last_attempt_is_the_last() -> None:
    for failure in FailureClass:
        assert backoff(failure, 3, 3, DICE) is None


def test_a_limit_is_tried_once_more() -> None:
    assert backoff(FailureClass.LIMIT, 1, 10, DICE) is not None
    assert backoff(FailureClass.LIMIT, 2, 10, DICE) is None


@pytest.mark.parametrize("failure", [FailureClass.INFRA, FailureClass.DEVICE, FailureClass.CRASH])
@given(attempt=st.integers(1, 50))
def test_delays_grow_and_stay_bounded(failure: FailureClass, attempt: int) -> None:
    delay = backoff(failure, attempt, 100, DICE)
    assert delay is not None
    assert 0 < delay <= 300
    first = backoff(failure, 1, 100, DICE)
    assert first is not None
    assert attempt < 3 or delay > first


@given(lease=st.floats(0.1, 1000))
def test_a_node_stops_its_child_before_others_may_take_the_step(lease: float) -> None:
    assert 2 * heartbeat_s(lease) < self_fence_s(lease) < lease


def test_weight_divides_the_charge() -> None:
    assert charge(10, 6, 3) == 12
