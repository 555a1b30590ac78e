"""What a child said is judged alike, whether it is heard while the child runs or after it has left."""

import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ovfarm.failures import FailureClass, FailureCode
from ovfarm.recipes import ProbeAction
from ovfarm.results import StepResult
from tests.workers.runs import request
from workers.childlog import ChildLog
from workers.frames import packed
from workers.offspring import Offspring
from workers.protocol import EscapesFrame, FailureFrame, LastFrame, ResultFrame

ANSWER = packed(ResultFrame(result=StepResult()))
FOREIGN = packed(EscapesFrame(open=(), shut=()))
GARBAGE = b"\x00\x00\x00\x02no"


class Line:
    """A child that has left, what it says, and the zygote's view of it."""

    def __init__(self, folder: Path) -> None:
        ours, self._theirs = socket.socketpair()
        asked = request(folder, ProbeAction.OK)
        self._process = subprocess.Popen(["true"])
        os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOWAIT)
        self.child = Offspring("a", self._process.pid, ours, ChildLog(asked.log), asked)

    def says(self, words: bytes) -> None:
        self._theirs.sendall(words)

    def ends(self) -> LastFrame:
        assert self.child.ended()
        return self.child.last_words()

    def close(self) -> None:
        self._theirs.close()
        self._process.wait()


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    line = Line(tmp_path)
    yield line
    line.close()


@pytest.mark.parametrize("read_first", [True, False], ids=["heard", "drained"])
@pytest.mark.parametrize("words", [FOREIGN, GARBAGE, ANSWER + GARBAGE, ANSWER + FOREIGN])
def test_what_is_no_answer_is_a_bad_reply(line: Line, words: bytes, *, read_first: bool) -> None:
    line.says(words)
    if read_first:
        assert line.child.read() == []
    ended = line.ends()
    assert isinstance(ended, FailureFrame)
    assert ended.failure.failure_class is FailureClass.CRASH
    assert ended.failure.code is FailureCode.BAD_REPLY


@pytest.mark.parametrize("read_first", [True, False], ids=["heard", "drained"])
def test_an_answer_is_an_answer(line: Line, *, read_first: bool) -> None:
    line.says(ANSWER)
    if read_first:
        assert line.child.read() == []
    assert line.ends() == ResultFrame(result=StepResult())


def test_what_it_was_ended_for_is_its_last_word(line: Line) -> None:
    line.child.cancel()
    line.says(GARBAGE)
    ended = line.ends()
    assert isinstance(ended, FailureFrame)
    assert ended.failure.code is FailureCode.CANCELLED
