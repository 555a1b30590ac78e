"""The short form: some dozen jobs and a few faults on each stack. The long one: ``./farm test chaos``."""

import os

import pytest

from tests.chaos.run import Plan, run
from tests.chaos.world import Kind


@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", Kind)
def test_a_farm_under_fire_keeps_its_promises(kind: Kind) -> None:
    if kind is Kind.SCALE and not os.environ.get("OVFARM_TEST_POSTGRES"):
        pytest.skip("services are left out of this run")
    report = run(Plan(kind=kind, jobs=18, minutes=0.5, seed=1, nodes=2, pause_s=2.5))
    assert report.found.all == []
    assert report.jobs == 18
    assert report.faults >= 3
