from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ovfarm.recipes import Compress
from ovfarm.results import Progress
from ovfarm.shapes import READ_BACK
from workers.frames import MAX_FRAME, ORDER, BadFrame, Inbox, Run, packed, parsed
from workers.protocol import FRAME, ChildLimits, ProgressFrame, StepRequest


def frame(stage: str) -> ProgressFrame:
    return ProgressFrame(progress=Progress(stage=stage, done=1, total=2))


@given(st.lists(st.text(max_size=20), max_size=5), st.integers(1, 40))
def test_frames_survive_any_cut(stages: list[str], size: int) -> None:
    sent = b"".join(packed(frame(stage)) for stage in stages)
    inbox = Inbox()
    bodies = [b for at in range(0, len(sent), size) for b in inbox.feed(sent[at : at + size])]
    assert [parsed(FRAME, body) for body in bodies] == [frame(stage) for stage in stages]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"not json",
        b"\xff\xfe",
        b'{"frame":"progress"}',
        b'{"frame":"progress","progress":{"stage":"x","done":1,"total":2,"eta_s":NaN}}',
        b'{"frame":"other"}',
    ],
)
def test_what_is_no_frame_is_refused(body: bytes) -> None:
    with pytest.raises(BadFrame):
        parsed(FRAME, body)


def test_a_step_that_an_older_release_took_reaches_its_child(tmp_path: Path) -> None:
    params = Compress.model_validate({"mode": "fp4", "awq": True}, context=READ_BACK)
    limits = ChildLimits(timeout_s=1.0, cpu_s=1, memory_bytes=None, file_bytes=1)
    request = StepRequest(params=params, inputs={}, outputs=tmp_path, log=tmp_path / "log.txt", limits=limits)
    sent = Run(id="1", request=request)
    (body,) = Inbox().feed(packed(sent))
    assert parsed(ORDER, body) == sent


def test_a_frame_that_is_too_long_is_refused_by_its_length_alone() -> None:
    with pytest.raises(BadFrame, match="at most"):
        Inbox().feed((MAX_FRAME + 1).to_bytes(4, "big"))
    with pytest.raises(BadFrame, match="at most"):
        packed(
            frame("x").model_copy(
                update={"progress": Progress.model_construct(stage="x" * MAX_FRAME, done=1, total=1)}
            )
        )
