"""The policy in a pool of a thousand nodes; with OVFARM_TEST_STEPS=1000000 the long form."""

import os

from tests.simulation.pool import Team, simulate

STEPS = int(os.environ.get("OVFARM_TEST_STEPS", "60000"))
NODES = 1000


def test_device_seconds_follow_the_weights_in_a_large_pool() -> None:
    teams = [Team(weight=1), Team(weight=3)]
    done = simulate(teams, NODES, STEPS, seed=1)
    share = teams[1].used_s / (teams[0].used_s + teams[1].used_s)
    assert abs(share - 0.75) <= 0.03
    assert done.jain > 0.99
    assert done.utilisation > 0.95


def test_estimates_that_are_far_off_are_paid_for() -> None:
    teams = [Team(weight=1, pace=pace) for pace in (0.25, 0.5, 1, 2, 4)]
    done = simulate(teams, 100, STEPS, seed=2)
    assert done.jain > 0.98


def test_a_newcomer_waits_for_one_node_and_not_for_the_queue() -> None:
    teams = [*(Team(weight=w) for w in (1, 2, 4, 8)), Team(weight=1, joins_s=400.0)]
    simulate(teams, NODES, STEPS, seed=3)
    newcomer = teams[-1]
    assert newcomer.first_start_s is not None
    assert newcomer.claims_before_first <= len(teams)
    assert newcomer.first_start_s - newcomer.joins_s < 5


def test_nobody_starves_beside_the_heaviest() -> None:
    teams = [Team(weight=1), Team(weight=100)]
    simulate(teams, 50, STEPS, seed=4)
    assert teams[0].used_s / (teams[0].used_s + teams[1].used_s) > 0.007
