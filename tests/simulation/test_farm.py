"""The real storage functions in virtual time: whatever the seed breaks, every accepted job ends once."""

import os
import random

import pytest

from tests.simulation.farm import SimulatedFarm, Story

JOBS = int(os.environ.get("OVFARM_TEST_SIMULATED_JOBS", "15"))
SEEDS = range(int(os.environ.get("OVFARM_TEST_SIMULATED_SEEDS", "2")))


def told(seed: int, monkeypatch: pytest.MonkeyPatch) -> Story:
    """Return the story of a seed; the ids of its rows come from the seed as well."""
    monkeypatch.setattr(os, "urandom", random.Random(seed).randbytes)  # noqa: S311 - one seed is one run
    return SimulatedFarm(seed, JOBS).run()


@pytest.mark.parametrize("seed", SEEDS)
def test_no_seed_loses_or_doubles_anything(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    story = told(seed, monkeypatch)
    assert story.found.all == []
    assert story.jobs == JOBS
    assert story.faults > JOBS / 10


def test_one_seed_is_one_run(monkeypatch: pytest.MonkeyPatch) -> None:
    assert told(1, monkeypatch) == told(1, monkeypatch)
