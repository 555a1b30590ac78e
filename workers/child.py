"""The child's side: one request in, one step run, one reply out, and no way back."""

import importlib
import time
import traceback
from collections.abc import Callable
from typing import Protocol

from ovfarm.failures import Failure, FailureClass, FailureCode
from ovfarm.hardware import Offer
from ovfarm.recipes import Kind
from ovfarm.results import Progress, StepResult
from ovfarm.shapes import Document
from workers.protocol import (
    Bench,
    ChildRequest,
    EscapesFrame,
    EscapesRequest,
    FailureFrame,
    InventoryFrame,
    InventoryRequest,
    ProgressFrame,
    ResultFrame,
    StepFailed,
    more_memory,
)

_REPORT_EVERY_S = 0.1
_NO_MEMORY = ("bad_alloc", "Failed to allocate", "Cannot allocate memory", "could not allocate")
Say = Callable[[Document], None]


class _Step(Protocol):
    def run(self, params: object, bench: Bench) -> StepResult: ...


class _Gates(Protocol):
    def stopped(self, params: object, bench: Bench) -> StepResult | None: ...


class _Inventory(Protocol):
    def offer(self, openvino_device: str) -> Offer: ...


class _Escapes(Protocol):
    def tried(self, request: EscapesRequest) -> EscapesFrame: ...


def answer(request: ChildRequest, say: Say, *, sealed: bool) -> None:
    """Do what is asked and say how it went; whatever goes wrong in a step is said as a failure.

    ``sealed`` says that this process is in a full sandbox.
    """
    try:
        say(_reply(request, say, sealed=sealed))
    except StepFailed as failed:
        say(FailureFrame(failure=failed.failure))
    except MemoryError:
        say(FailureFrame(failure=_out_of_memory(traceback.format_exc(), request)))
    except Exception as crash:  # noqa: BLE001 - the boundary: the parent must hear of anything
        say(FailureFrame(failure=_crash(crash, request)))


def _reply(request: ChildRequest, say: Say, *, sealed: bool) -> ResultFrame | InventoryFrame | EscapesFrame:
    if isinstance(request, InventoryRequest):
        inventory: _Inventory = _module("workers.kit.inventory")
        return InventoryFrame(offer=inventory.offer(request.device))
    if isinstance(request, EscapesRequest):
        escapes: _Escapes = _module("workers.escapes")
        return escapes.tried(request)
    step: _Step = _module(f"workers.steps.{Kind(request.params.kind)}")
    bench = Bench(
        inputs=request.inputs,
        outputs=request.outputs,
        report=_Reporter(say),
        parts=request.parts,
        readings=request.readings,
        openvino_device=request.openvino_device,
        threads=request.threads,
        torch_programs=request.torch_programs and sealed,
    )
    gates: _Gates = _module("workers.kit.gates")
    return ResultFrame(result=gates.stopped(request.params, bench) or step.run(request.params, bench))


def _module(name: str):  # type: ignore[no-untyped-def] # noqa: ANN202 - a module is what it has
    return importlib.import_module(name)


class _Reporter:
    """Says how far a step is, at most ten times a second, and always the end of a stage."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._last = 0.0

    def __call__(self, stage: str, done: int, total: int) -> None:
        now = time.monotonic()
        if done < total and now - self._last < _REPORT_EVERY_S:
            return
        self._last = now
        self._say(ProgressFrame(progress=Progress(stage=stage, done=done, total=total)))


def _crash(crash: Exception, request: ChildRequest) -> Failure:
    trace = "".join(traceback.format_exception(crash))
    if any(words in str(crash) for words in _NO_MEMORY):
        return _out_of_memory(trace, request)
    return Failure(
        failure_class=FailureClass.CRASH,
        code=FailureCode.CRASHED,
        message=f"the step ended with an unexpected {type(crash).__name__}: {str(crash)[:500]}",
        evidence=trace[-4000:],
    )


def _out_of_memory(trace: str, request: ChildRequest) -> Failure:
    return Failure(
        failure_class=FailureClass.LIMIT,
        code=FailureCode.OUT_OF_MEMORY,
        message="the step asked for more memory than it may use",
        evidence=trace[-4000:],
        patches=more_memory(request.limits),
    )
