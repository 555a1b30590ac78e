"""PyTorch programs in real children: loaded inside a full sandbox, and nowhere else, whatever they carry."""

import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from ovfarm.failures import Failure, FailureClass, FailureCode
from ovfarm.hardware import SandboxLevel
from ovfarm.recipes import Convert
from ovfarm.results import StepResult
from ovfarm.settings import Settings
from tests.steps.torch_networks import saved
from tests.workers.hostile_programs import RAN, REACH, in_samples, in_torchscript, in_weights
from workers.confinement import PACKAGES
from workers.isolate import Zygote
from workers.node import loads_programs
from workers.protocol import ChildLimits, StepRequest
from workers.sandbox import Bubblewrapped, Sandbox, Unwrapped

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
LIMITS = ChildLimits(timeout_s=120, memory_bytes=8 << 30, processes=600, scratch_bytes=1 << 30)
SHAPES = {"x": ("?", 1, 16, 16)}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("programs")


@pytest.fixture(scope="module")
def zygote(place: Path) -> Iterator[Zygote]:
    with Zygote(sandbox=Bubblewrapped(place / "home", place / "scratch")) as zygote:
        zygote.start()
        yield zygote


def run(
    zygote: Zygote,
    place: Path,
    data: bytes,
    *,
    allowed: bool = True,
    limits: ChildLimits = LIMITS,
    name: str = "",
) -> tuple[object, str]:
    """Convert a program in a child; returns its end and its log."""
    step = place / "scratch" / (name or uuid4().hex)
    (step / "in").mkdir(parents=True)
    (step / "out").mkdir()
    (step / "in" / "model.pt").write_bytes(data)
    request = StepRequest(
        params=Convert(shapes=SHAPES),
        inputs={"model": step / "in"},
        outputs=step / "out",
        log=step / "log.txt",
        torch_programs=allowed,
        limits=limits,
    )
    ended = zygote.run(request, on_progress=lambda _progress: None, stop=threading.Event())
    return ended, (step / "log.txt").read_text() if (step / "log.txt").exists() else ""


def made(way: str, folder: Path) -> bytes:
    path = folder / f"{way}-{uuid4().hex}.pt"
    saved("convolution", way, path)
    return path.read_bytes()


@pytest.mark.parametrize("way", ["scripted", "traced", "exported"])
def test_a_program_is_converted_inside_a_full_sandbox(
    way: str, zygote: Zygote, place: Path, tmp_path: Path
) -> None:
    ended, log = run(zygote, place, made(way, tmp_path))
    assert isinstance(ended, StepResult), (ended, log)
    assert ended.element_types["f32"] > 72


@pytest.mark.parametrize("level", [SandboxLevel.NONE, SandboxLevel.LANDLOCK])
def test_below_it_no_program_is_loaded_whatever_the_request_says(level: SandboxLevel, tmp_path: Path) -> None:
    below: Sandbox = Unwrapped(tmp_path / "home", level)
    with Zygote(sandbox=below, preload="workers.steps.convert") as zygote:
        ended, _ = run(zygote, tmp_path, in_samples(tmp_path, f"open({str(tmp_path / 'ran')!r}, 'w')"))
    assert isinstance(ended, Failure)
    assert (ended.failure_class, ended.code) == (FailureClass.INFRA, FailureCode.NODE_SANDBOX)
    assert not (tmp_path / "ran").exists()


def test_a_node_that_is_not_told_to_loads_none(zygote: Zygote, place: Path, tmp_path: Path) -> None:
    ended, _ = run(zygote, place, made("traced", tmp_path), allowed=False)
    assert isinstance(ended, Failure)
    assert ended.code is FailureCode.NODE_SANDBOX


def test_a_node_offers_it_only_with_the_switch_and_a_full_sandbox() -> None:
    on, off = Settings(torch_programs=True), Settings(torch_programs=False)
    assert loads_programs(on, SandboxLevel.FULL)
    assert not loads_programs(off, SandboxLevel.FULL)
    assert not any(loads_programs(on, level) for level in (SandboxLevel.NONE, SandboxLevel.LANDLOCK))


@pytest.mark.parametrize("carrier", [in_samples, in_weights, in_torchscript])
def test_what_a_program_runs_reaches_nothing(
    carrier: Callable[[Path, str], bytes], zygote: Zygote, place: Path, tmp_path: Path
) -> None:
    (place / "secret").write_text("secret")
    name = uuid4().hex
    given = place / "scratch" / name / "in" / "model.pt"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        code = REACH.format(
            ran=RAN,
            outside=place,
            given=given,
            code=PACKAGES / "workers" / "child.py",
            port=listener.getsockname()[1],
        )
        data = carrier(tmp_path, code)
        ended, log = run(zygote, place, data, name=name)
        listener.settimeout(0.2)
        with pytest.raises(TimeoutError):
            listener.accept()
    assert isinstance(ended, Failure), ended
    assert (ended.failure_class, ended.code) == (FailureClass.USER, FailureCode.MODEL_UNREADABLE)
    assert "OPEN" not in log, log
    # TorchScript's own reader follows no names of Python's; that of torch.export does.
    assert (RAN in log) is (carrier is not in_torchscript), log
    assert log.count("shut:") == (8 if RAN in log else 0)
    assert sorted(path.name for path in place.iterdir()) == ["home", "scratch", "secret"]
    assert given.read_bytes() == data


def test_the_same_code_reaches_things_where_nothing_is_around_it(tmp_path: Path) -> None:
    """Seeded: the payload does what it says when it is run, so that its failing elsewhere means something."""
    (tmp_path / "secret").write_text("secret")
    places = {"outside": tmp_path, "given": tmp_path / "model.pt2", "code": tmp_path / "code", "port": 1}
    (tmp_path / "model.pt2").write_bytes(in_samples(tmp_path, REACH.format(ran=RAN, **places)))
    command = [sys.executable, "-c", "import sys, torch; torch.export.load(sys.argv[1])"]
    done = subprocess.run(
        [*command, str(tmp_path / "model.pt2")], capture_output=True, text=True, check=False
    )
    assert RAN in done.stderr
    for what in ("a shell", "a file outside", "a secret outside", "its own input"):
        assert f"OPEN: {what}" in done.stderr
    assert {"shell", "file"} <= {path.name for path in tmp_path.iterdir()}


@pytest.mark.parametrize(
    ("code", "limits", "told"),
    [
        ("import os; os._exit(0)", LIMITS, {FailureCode.CRASHED, FailureCode.READER_CRASHED}),
        ("while True: pass", LIMITS.model_copy(update={"timeout_s": 15.0}), {FailureCode.TIMEOUT}),
        ("x = bytearray(1 << 40)", LIMITS, {FailureCode.OUT_OF_MEMORY}),
        ("raise SystemExit", LIMITS, {FailureCode.CRASHED, FailureCode.READER_CRASHED}),
    ],
)
def test_a_program_that_goes_wrong_ends_typed(
    code: str, limits: ChildLimits, told: set[FailureCode], zygote: Zygote, place: Path, tmp_path: Path
) -> None:
    ended, log = run(zygote, place, in_samples(tmp_path, code), limits=limits)
    assert isinstance(ended, Failure), ended
    assert ended.code in told, (ended, log)
    again, log = run(zygote, place, made("traced", tmp_path))
    assert isinstance(again, StepResult), (again, log)
