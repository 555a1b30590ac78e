"""The broker is a doorbell: a node whose consumer dies of it works on by its timer, and listens again."""

from pathlib import Path

from ovfarm.recipes import Probe
from ovfarm.states import JobState
from tests.e2e.stack import Stack, eventually


def test_a_spoilt_broker_costs_nothing_but_a_moment(tmp_path: Path, database_url: str) -> None:
    with Stack(tmp_path / "farm", database_url) as stack:
        node = stack.worker("node")
        table = stack.home / "broker" / "control" / "ovfarm.exchange"
        assert eventually(table.exists, 5)
        good = table.read_text()
        table.write_text("")
        for message in (stack.home / "broker" / "messages").glob("*"):
            message.unlink()
        job = stack.submit(Probe(token="a"))
        assert stack.client.wait(job.id, timeout_s=20).state is JobState.SUCCEEDED, stack.log()
        (stack.home / "broker" / "messages" / "1_x.cpu.msg").write_text("{ garbage")
        second = stack.submit(Probe(token="b"))
        assert stack.client.wait(second.id, timeout_s=20).state is JobState.SUCCEEDED, stack.log()
        table.write_text(good)
        third = stack.submit(Probe(token="c"))
        assert stack.client.wait(third.id, timeout_s=20).state is JobState.SUCCEEDED, stack.log()
        assert node.poll() is None
        node.terminate()
        assert node.wait(20) == 0, stack.log()


def test_a_spoilt_ring_is_one_line_and_nothing_else(tmp_path: Path, database_url: str) -> None:
    with Stack(tmp_path / "farm", database_url) as stack:
        stack.worker("node")
        messages = stack.home / "broker" / "messages"
        (messages / "1_x.cpu.msg").write_text('{"body": "cut sh')
        (messages / "2_x.cpu.msg").write_text("")
        assert eventually(lambda: not any(messages.iterdir()), 10), stack.log()
        job = stack.submit(Probe(token="a"))
        assert stack.client.wait(job.id, timeout_s=20).state is JobState.SUCCEEDED, stack.log()
        said = stack.log()
        assert said.count("ring.unreadable") == 2, said
        assert "Traceback" not in said, said
        assert "consumer.died" not in said, said
