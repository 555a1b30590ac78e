"""A node that fails by its own fault stops drawing work to itself, and comes back when it is sound."""

from collections.abc import Iterator

import pytest

from ovfarm.errors import NotFound, Unavailable
from ovfarm.failures import Failure, FailureClass, FailureCode
from ovfarm.jobs import NodeState
from storage import nodes
from tests.storage.farm import Farm
from workers.health import Health

CRASH = Failure(failure_class=FailureClass.CRASH, code=FailureCode.CRASHED, message="SIGSEGV")
DISK = Failure(failure_class=FailureClass.INFRA, code=FailureCode.NODE_DISK_FULL, message="full")
STORE = Failure(failure_class=FailureClass.INFRA, code=FailureCode.STORE, message="away")
USER = Failure(failure_class=FailureClass.USER, code=FailureCode.MODEL_UNREADABLE, message="no model")


class Device:
    """A device that can be broken, and a clock that can be set."""

    def __init__(self, farm: Farm) -> None:
        self.farm, self.broken, self.tried, self.now = farm, False, 0, 0.0
        self.health = Health(farm.database, farm.node, self.infer, rest_s=60, monotonic=lambda: self.now)

    def infer(self) -> None:
        self.tried += 1
        if self.broken:
            raise Unavailable("the device does not answer")

    def stands(self) -> NodeState:
        with self.farm.database.read() as session:
            return nodes.nodes(session, self.farm.team)[0].state


@pytest.fixture
def device(database_url: str) -> Iterator[Device]:
    farm = Farm(database_url)
    yield Device(farm)
    farm.database.close()


def test_after_a_crash_the_device_is_tried(device: Device) -> None:
    device.health.note(CRASH)
    assert (device.tried, device.stands()) == (1, NodeState.ONLINE)


def test_two_dead_canaries_make_it_sick_until_one_lives(device: Device) -> None:
    device.broken = True
    device.health.note(CRASH)
    assert (device.tried, device.stands()) == (2, NodeState.SICK)
    device.now = 61
    device.health.recover()
    assert device.stands() is NodeState.SICK
    device.broken = False
    device.now = 100
    device.health.recover()
    assert device.tried == 3, "it rests between tries"
    device.now = 122
    device.health.recover()
    assert device.stands() is NodeState.ONLINE


def test_five_own_failures_in_ten_are_too_many(device: Device) -> None:
    for end in (DISK, None, DISK, USER, DISK, STORE, DISK, STORE):
        device.health.note(end)
    assert device.stands() is NodeState.ONLINE
    device.health.note(DISK)
    assert device.stands() is NodeState.SICK


def test_the_troubles_of_users_and_of_the_store_are_not_the_nodes(device: Device) -> None:
    for _ in range(20):
        device.health.note(USER)
        device.health.note(STORE)
    assert device.stands() is NodeState.ONLINE


def test_silence_is_measured_by_the_database(device: Device) -> None:
    with device.farm.database.write() as session:
        assert nodes.silence_s(session, "node-1") < 5
        with pytest.raises(NotFound):
            nodes.silence_s(session, "nobody")
