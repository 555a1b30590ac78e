"""What crosses the socket between a node and its children, and what a step sees of the world."""

from collections.abc import Callable
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from ovfarm.datasets import Reading
from ovfarm.errors import OvfarmError
from ovfarm.failures import Failure, FailureClass, FailureCode
from ovfarm.hardware import Offer
from ovfarm.patches import Patch
from ovfarm.recipes import StepParams
from ovfarm.results import Progress, StepResult
from ovfarm.shapes import Document


class ChildLimits(Document):
    """What one child may use. Zero or None means no limit of that sort."""

    timeout_s: float = 3600
    cpu_s: int | None = None
    memory_bytes: int | None = None
    file_bytes: int | None = None
    open_files: int = 1024
    processes: int | None = None
    scratch_bytes: int | None = None


class StepRequest(Document):
    """One step to run: parameters, a folder for each input role, a folder for the outputs."""

    request: Literal["step"] = "step"
    params: StepParams
    inputs: dict[str, Path] = {}
    parts: dict[str, str] = {}
    readings: dict[str, Reading] = {}
    outputs: Path
    log: Path
    openvino_device: str = "CPU"
    threads: int = 0
    torch_programs: bool = False
    limits: ChildLimits = ChildLimits()


class InventoryRequest(Document):
    """Ask a child what the machine offers; ``device`` is OpenVINO's name of it."""

    request: Literal["inventory"] = "inventory"
    device: str = "CPU"
    log: Path
    limits: ChildLimits = ChildLimits(timeout_s=120)


class EscapesRequest(Document):
    """Try every way out of the sandbox: each part names what stands outside it, waiting to be reached.

    ``secret`` is a file that a child must not read, ``outside`` a folder that it must not write to,
    ``canary`` a word in the environment of the node, ``port`` one of the host's loopback.
    """

    request: Literal["escapes"] = "escapes"
    secret: Path
    outside: Path
    canary: str
    port: int
    ways: tuple[str, ...]
    inputs: dict[str, Path]
    outputs: Path
    log: Path
    openvino_device: str = "CPU"
    limits: ChildLimits = ChildLimits(timeout_s=60)


ChildRequest = StepRequest | InventoryRequest | EscapesRequest
Request = Annotated[ChildRequest, Field(discriminator="request")]


class ProgressFrame(Document):
    """The child is this far."""

    frame: Literal["progress"] = "progress"
    progress: Progress


class ResultFrame(Document):
    """The step succeeded."""

    frame: Literal["result"] = "result"
    result: StepResult


class FailureFrame(Document):
    """The step failed, and says how."""

    frame: Literal["failure"] = "failure"
    failure: Failure


class InventoryFrame(Document):
    """What the machine offers."""

    frame: Literal["inventory"] = "inventory"
    offer: Offer


class EscapesFrame(Document):
    """Which ways out are ``open``, and which are ``shut``."""

    frame: Literal["escapes"] = "escapes"
    open: tuple[str, ...]
    shut: tuple[str, ...]


# What may answer what; anything else is babble.
ANSWERS: dict[str, frozenset[str]] = {
    "step": frozenset({"result", "failure"}),
    "inventory": frozenset({"inventory", "failure"}),
    "escapes": frozenset({"escapes", "failure"}),
}
LastFrame = ResultFrame | FailureFrame | InventoryFrame | EscapesFrame
AnyFrame = ProgressFrame | LastFrame
Frame = Annotated[AnyFrame, Field(discriminator="frame")]
FRAME: TypeAdapter[AnyFrame] = TypeAdapter(Frame)

# The stage in which a step opens what it was given.
READING = "read"
Report = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Bench:
    """A step's whole world: local folders by role, a device, and a way to say how far it is.

    ``inputs`` maps a role (``model``, ``reference``, ``calibration``, ``evaluation``, ``recipe``) to a
    folder; ``parts`` says which rows of a dataset role count (``ovfarm.jobs.Part``), ``readings``
    how its columns become inputs; ``threads`` is 0 for the device's default; ``torch_programs`` says that
    PyTorch programs may be loaded: the operator wants it, and the sandbox around this very process is full.
    """

    inputs: dict[str, Path]
    outputs: Path
    report: Report
    parts: dict[str, str]
    openvino_device: str = "CPU"
    threads: int = 0
    torch_programs: bool = False
    readings: dict[str, Reading] = field(default_factory=dict)


def more_memory(limits: ChildLimits) -> tuple[Patch, ...]:
    """Return the patch that asks for twice the memory that a child had; none when it had no bound."""
    if not limits.memory_bytes:
        return ()
    twice = 2 * ceil(limits.memory_bytes / (1 << 30))
    return (Patch(why=f"a node with twice the memory: {twice} GiB", limits={"memory_gib": twice}),)


class StepFailed(OvfarmError):
    """A step ended without a result, for a reason that it can name."""

    code = "step_failed"

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message, code=failure.code, hint=failure.hint)
        self.failure = failure


def failed(
    failure_class: FailureClass,
    code: FailureCode,
    message: str,
    *,
    hint: str | None = None,
    evidence: str | None = None,
    patches: tuple[Patch, ...] = (),
) -> StepFailed:
    """Return the exception to raise for a failure, with the tool's words cut to a bearable length.

    Without a ``hint`` the words of ``ovfarm.hints`` are shown; ``patches`` come before its own.
    """
    shown = evidence[:4000] if evidence else None
    return StepFailed(
        Failure(
            failure_class=failure_class,
            code=code,
            message=message[:2000],
            hint=hint,
            evidence=shown,
            patches=patches,
        )
    )
