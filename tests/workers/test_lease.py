"""A lease is held by its own heartbeat, and a step is committed after its bytes are safe."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ovfarm.errors import LeaseLost, Unavailable
from ovfarm.settings import Settings
from ovfarm.states import StepState
from storage import outcomes
from storage.blobs import Blobs
from tests.storage.farm import Farm
from workers.attempt import Attempt
from workers.health import Health
from workers.inputs import cached
from workers.isolate import Zygote
from workers.lease import Lease, Stop
from workers.workplace import Workplace

LEASE_S = 0.6


@pytest.fixture
def farm(database_url: str) -> Iterator[Farm]:
    farm = Farm(database_url)
    yield farm
    farm.database.close()


def test_work_that_says_nothing_keeps_its_lease(farm: Farm) -> None:
    farm.submit()
    claim = farm.must_claim(lease_s=LEASE_S)
    with Lease(farm.database, claim, LEASE_S) as lease:
        time.sleep(2.5 * LEASE_S)
        assert lease.why is None
    farm.succeed(claim)


def test_a_holder_that_cannot_renew_stops_its_own_work(farm: Farm) -> None:
    farm.submit()
    claim = farm.must_claim(lease_s=LEASE_S)
    with Lease(farm.database, claim, LEASE_S) as lease:
        farm.expire(claim)
        assert lease.stop.wait(2 * LEASE_S)
        assert lease.why is Stop.LOST
    with pytest.raises(LeaseLost), farm.database.write() as session:
        outcomes.renew(session, claim, LEASE_S, None)


def test_without_a_store_no_step_succeeds(farm: Farm, zygote: Zygote, tmp_path: Path) -> None:
    zygote.start()
    settings = Settings(home=tmp_path)
    nowhere = Blobs(
        "s3://farm", {"endpoint": "http://127.0.0.1:1", "access_key_id": "a", "secret_access_key": "b"}
    )
    health = Health(farm.database, farm.node, lambda: None, rest_s=60)
    place = Workplace(settings, farm.database, nowhere, zygote, farm.node, health)
    job = farm.submit()
    claim = farm.must_claim()
    with Lease(farm.database, claim, 30.0) as lease:
        end = Attempt(place, claim, lease).run()
    assert end is not None
    assert end.code == "store"
    assert farm.view(job).steps[0].state is StepState.BLOCKED


class _Torn(Blobs):
    """A store whose connection breaks after the first bytes."""

    def stream(self, digest: str, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        del digest, start, length
        yield b"half"
        raise Unavailable("cut", code="store")


def test_a_cut_download_leaves_nothing_that_looks_whole(tmp_path: Path) -> None:
    torn = _Torn((tmp_path / "store").as_uri())
    with pytest.raises(Unavailable):
        torn.fetch("a" * 64, tmp_path / "back")
    assert not (tmp_path / "back").exists()
    for _ in range(2):
        with pytest.raises(Unavailable):
            cached("a" * 64, torn, tmp_path / "cache")
