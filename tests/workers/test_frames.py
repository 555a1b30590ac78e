import pytest
from hypothesis import given
from hypothesis import strategies as st

from ovfarm.results import Progress
from workers.frames import MAX_FRAME, BadFrame, Inbox, packed, parsed
from workers.protocol import FRAME, ProgressFrame


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


def test_a_frame_that_is_too_long_is_refused_by_its_length_alone() -> None:
    with pytest.raises(BadFrame, match="at most"):
        Inbox().feed((MAX_FRAME + 1).to_bytes(4, "big"))
    with pytest.raises(BadFrame, match="at most"):
        packed(
            frame("x").model_copy(
                update={"progress": Progress.model_construct(stage="x" * MAX_FRAME, done=1, total=1)}
            )
        )
