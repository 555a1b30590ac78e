"""What ends a real child has its code, its class and its words; a limit raised as advised suffices."""

from pathlib import Path

import pytest

from ovfarm.advice import Advice, patched
from ovfarm.failures import Failure, FailureCode
from ovfarm.hints import HINTS
from ovfarm.jobs import JobSpec, Limits
from ovfarm.patches import Patch
from ovfarm.recipes import Probe, ProbeAction, Recipe
from ovfarm.resolution import resolve
from ovfarm.results import StepResult
from tests.workers.runs import failure, request, run
from workers.isolate import Zygote
from workers.protocol import ChildLimits

ENDS = {
    ProbeAction.EXIT: FailureCode.CRASHED,
    ProbeAction.SIGNAL: FailureCode.CRASHED,
    ProbeAction.GARBAGE: FailureCode.BAD_REPLY,
    ProbeAction.FAIL: FailureCode.PARAMETER_REFUSED,
    ProbeAction.FILL: FailureCode.SCRATCH_FULL,
}


def job(limits: Limits) -> JobSpec:
    return JobSpec(recipe=Recipe(name="probe", steps=(Probe(),)), limits=limits)


def advised(ended: Failure, spec: JobSpec) -> Failure:
    return Advice(spec, resolve(spec)).on_failure(ended, "probe")


@pytest.mark.parametrize(("action", "code"), ENDS.items())
def test_whatever_ends_a_child_is_in_the_table(
    zygote: Zygote, tmp_path: Path, action: ProbeAction, code: FailureCode
) -> None:
    amount = {ProbeAction.EXIT: 3, ProbeAction.FILL: 64 << 20}.get(action, 0)
    limits = ChildLimits(timeout_s=60, scratch_bytes=1 << 20)
    ended = advised(failure(zygote, request(tmp_path, action, limits, amount=amount)), job(Limits()))
    assert ended.code is code
    assert ended.failure_class in HINTS[code].classes
    assert ended.hint == HINTS[code].words


def test_twice_the_memory_is_advised_and_enough(zygote: Zygote, tmp_path: Path) -> None:
    spec = job(Limits(memory_gib=1))
    ended = failure(zygote, request(tmp_path, ProbeAction.ALLOCATE, memory(spec), amount=5 << 28))
    assert ended.code is FailureCode.OUT_OF_MEMORY
    patch = advised(ended, spec).patches[0]
    assert patch.limits == {"memory_gib": 2}
    assert advised(ended, job(Limits())).patches[0].limits == {"memory_gib": 2}, (
        "known from the child's own bound"
    )
    again = run(zygote, request(tmp_path, ProbeAction.ALLOCATE, memory(patched(spec, patch)), amount=5 << 28))
    assert isinstance(again, StepResult)


def memory(spec: JobSpec) -> ChildLimits:
    assert spec.limits.memory_gib
    return ChildLimits(memory_bytes=spec.limits.memory_gib << 30)


def test_a_longer_time_out_is_advised_and_enough(zygote: Zygote, tmp_path: Path) -> None:
    spec = job(Limits(step_timeout_s=1.5))
    asked = request(tmp_path, ProbeAction.SLEEP, ChildLimits(timeout_s=1.5), seconds=2)
    ended = advised(failure(zygote, asked), spec)
    assert ended.code is FailureCode.TIMEOUT
    first: Patch = ended.patches[0]
    assert first.limits == {"step_timeout_s": 3.0}
    longer = ChildLimits(timeout_s=10 * patched(spec, first).limits.step_timeout_s)
    assert isinstance(run(zygote, request(tmp_path, ProbeAction.SLEEP, longer, seconds=2)), StepResult)
