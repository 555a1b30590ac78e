"""Each attack from inside the sandbox: its own step ends as it should, the one beside it does not notice."""

import subprocess
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ovfarm.failures import Failure, FailureCode
from ovfarm.recipes import ProbeAction
from ovfarm.results import StepResult
from tests.workers.attacks import ATTACKS
from tests.workers.runs import request
from workers.confinement import PACKAGES
from workers.isolate import Zygote
from workers.protocol import ChildLimits
from workers.sandbox import Bubblewrapped

LIMITS = ChildLimits(timeout_s=60, scratch_bytes=8 << 20, file_bytes=1 << 30, processes=200)
# What the attacker is told; what does not end its step must have been refused, or it would have said so.
TOLD = {
    "die_of_a_nameless_signal": {FailureCode.CRASHED},
    "die_while_reading": {FailureCode.READER_CRASHED},
    "reply_with_another_frame": {FailureCode.BAD_REPLY},
    "reply_just_below_the_bound": {FailureCode.BAD_REPLY, FailureCode.CRASHED},
    "nest_folders": {FailureCode.SCRATCH_FULL},
    "hide_a_folder": {FailureCode.SCRATCH_FULL},
    "write_without_a_name": {FailureCode.SCRATCH_FULL},
    "leave_countless_files": {FailureCode.SCRATCH_FULL},
    # An ordinary user meets the kernel's limit, root the zygote's.
    "fill_the_namespace": {FailureCode.TOO_MANY_PROCESSES, FailureCode.CRASHED},
}
# These fill the namespace, which is then cleared: who is beside them is tried again elsewhere.
CROWDS = {"fill_the_namespace", "outrun_the_undertaker"}


class WithTests(Bubblewrapped):
    """The sandbox as it is, with the attacks in it."""

    def command(self, argv: Sequence[str]) -> list[str]:
        whole = super().command(argv)
        at = whole.index("--chdir")
        return [*whole[:at], "--ro-bind", str(PACKAGES / "tests"), str(PACKAGES / "tests"), *whole[at:]]


@pytest.fixture
def zygote(tmp_path: Path) -> Iterator[Zygote]:
    sandbox = WithTests(tmp_path / "home", tmp_path / "scratch")
    with Zygote(sandbox=sandbox, preload="tests.workers.attacks") as zygote:
        zygote.start()
        yield zygote
    # What is nested deeper than Python recurses would trip pytest's own clean-up, days later.
    subprocess.run(["rm", "-rf", str(tmp_path / "scratch")], check=True)


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_is_its_own_undoing(attack: str, zygote: Zygote, tmp_path: Path) -> None:
    def run(action: ProbeAction, **fields: object) -> object:
        asked = request(tmp_path / "scratch", action, LIMITS, **fields)
        return zygote.run(asked, on_progress=lambda _progress: None, stop=threading.Event())

    with ThreadPoolExecutor(2) as pool:
        beside = pool.submit(run, ProbeAction.SLEEP, seconds=2.0)
        ended = pool.submit(run, ProbeAction.OK, token=attack).result()
        neighbour = beside.result()
    if attack in TOLD:
        assert isinstance(ended, Failure)
        assert ended.code in TOLD[attack], ended
    else:
        assert isinstance(ended, StepResult), ended
    if attack not in CROWDS:
        assert isinstance(neighbour, StepResult), neighbour
    elif isinstance(neighbour, Failure):
        assert neighbour.code is FailureCode.NODE_LOST
    assert isinstance(run(ProbeAction.OK), StepResult), "the node goes on"
