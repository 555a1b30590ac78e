"""Rings in a folder: kombu's own writer, and messages that are cut short, empty or something else."""

import fcntl
from collections.abc import Iterator
from pathlib import Path
from queue import Empty

import pytest
from kombu import Connection, Exchange, Producer, Queue
from structlog.testing import capture_logs

from ovfarm.broker import EXCHANGE, celery_settings, prepare
from workers import rings
from workers.app import celery_app

QUEUE = Queue("cpu", Exchange(EXCHANGE), routing_key="cpu")


@pytest.fixture
def channel(tmp_path: Path) -> Iterator[rings.Channel]:
    prepare("filesystem://", tmp_path)
    # A process remembers which queues it has declared, whatever the folder.
    rings.Transport.global_state.clear()
    options = celery_settings("filesystem://", tmp_path, ["cpu"])["broker_transport_options"]
    with Connection("filesystem://", transport=rings.TRANSPORT, transport_options=options) as connection:
        yield connection.default_channel


@pytest.fixture
def messages(tmp_path: Path) -> Path:
    return tmp_path / "broker" / "messages"


def ring(channel: rings.Channel) -> None:
    Producer(channel).publish({}, exchange=QUEUE.exchange, routing_key="cpu", declare=[QUEUE])


def test_the_nodes_read_with_it(tmp_path: Path) -> None:
    with celery_app("filesystem://", tmp_path, ["cpu"]).connection_for_read() as connection:
        assert isinstance(connection.default_channel, rings.Channel)


@pytest.mark.parametrize("content", ['{"body": "cut sh', "[]", "null", "{}", '{"properties": {}}', "\0"])
def test_what_is_no_ring_is_a_line_and_does_not_come_again(
    channel: rings.Channel, messages: Path, content: str
) -> None:
    (messages / "0_x.cpu.msg").write_text(content)
    ring(channel)
    with capture_logs() as lines:
        assert channel.basic_get("cpu") is not None
        assert channel.basic_get("cpu") is None
    assert [(line["event"], line["file"]) for line in lines] == [("ring.unreadable", "0_x.cpu.msg")]
    assert list(messages.iterdir()) == []


def test_a_ring_that_is_being_written_waits(channel: rings.Channel, messages: Path) -> None:
    ring(channel)
    (path,) = messages.iterdir()
    whole = path.read_bytes()
    with path.open("wb", buffering=0) as file, capture_logs() as lines:
        assert channel.basic_get("cpu") is None, "it is made, and nothing is in it"
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(whole[:20])
        assert channel.basic_get("cpu") is None, "it is half"
        file.write(whole[20:])
        fcntl.flock(file, fcntl.LOCK_UN)
        assert channel.basic_get("cpu") is not None
    assert lines == []
    assert list(messages.iterdir()) == []


def test_a_ring_whose_writer_is_gone_is_set_aside(
    channel: rings.Channel, messages: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (messages / "0_x.cpu.msg").write_text("")
    now = iter([10.0, 10.0, 11.9, 11.9, 12.1, 12.1])
    monkeypatch.setattr(rings, "monotonic", lambda: next(now))
    with capture_logs() as lines:
        assert channel.basic_get("cpu") is None
        assert channel.basic_get("cpu") is None
        assert lines == []
        assert channel.basic_get("cpu") is None
    assert [line["event"] for line in lines] == ["ring.unreadable"]
    assert list(messages.iterdir()) == []


def test_other_queues_are_left_alone(channel: rings.Channel, messages: Path) -> None:
    (messages / "0_x.gpu.msg").write_text("{")
    with pytest.raises(Empty):
        channel._get("cpu")
    assert [path.name for path in messages.iterdir()] == ["0_x.gpu.msg"]
