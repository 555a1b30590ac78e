"""The seam for the sandbox: how a zygote is started, and what each child is confined to."""

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from workers.protocol import InventoryRequest, StepRequest

Confine = Callable[[StepRequest | InventoryRequest], None]
PACKAGES = Path(__file__).resolve().parent.parent


class Sandbox(Protocol):
    """How a zygote is started; what happens after each fork is named by ``level``."""

    @property
    def level(self) -> str:
        """The name by which a node reports it."""
        ...

    def command(self, argv: Sequence[str]) -> list[str]:
        """Return the command that starts the zygote inside."""
        ...

    def environment(self) -> dict[str, str]:
        """Return all variables that the zygote gets: an allow-list, never this process's own."""
        ...


class Unsandboxed:
    """Processes and limits alone, for one's own models: the level ``none``."""

    level = "none"

    def __init__(self, scratch: Path) -> None:
        self._home = scratch / "home"

    def command(self, argv: Sequence[str]) -> list[str]:
        """Return the command as it is."""
        return list(argv)

    def environment(self) -> dict[str, str]:
        """Return an environment without secrets, in which the tools send no telemetry."""
        telemetry = self._home / "intel" / "openvino_telemetry"
        telemetry.parent.mkdir(parents=True, exist_ok=True)
        telemetry.write_text("0")
        return {
            "PATH": os.defpath,
            "HOME": str(self._home),
            "LANG": "C.UTF-8",
            "PYTHONPATH": str(PACKAGES),
            "PYTHONHASHSEED": "0",
            "PYTHONDONTWRITEBYTECODE": "1",
            "NNCF_CI": "1",
            "HF_HUB_OFFLINE": "1",
            "VIRTUAL_ENV": sys.prefix,
        }


def _confine_nothing(request: StepRequest | InventoryRequest) -> None:
    """Leave a child as it is: the limits of ``workers.limits`` hold without a sandbox too."""
    del request


# What binds a fresh child to its own inputs and outputs, by level: called in the child, before
# anything else, so it is known by name and not by object.
CONFINEMENTS: dict[str, Confine] = {Unsandboxed.level: _confine_nothing}
