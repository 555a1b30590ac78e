"""How a zygote is started: as it is, or inside bubblewrap; and which of them this machine can do."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from ovfarm.errors import Unavailable
from ovfarm.hardware import SandboxLevel, SandboxMode
from workers import landlock, seccomp
from workers.confinement import CODE, DEVICES, INTERPRETER, PACKAGES, SYSTEM

_NOBODY = "65534"
_TRY_S = 20


class Sandbox(Protocol):
    """How a zygote is started; what happens after each fork is named by ``level``."""

    @property
    def level(self) -> SandboxLevel:
        """The name by which a node reports it."""
        ...

    def command(self, argv: Sequence[str]) -> list[str]:
        """Return the command that starts the zygote inside."""
        ...

    def environment(self) -> dict[str, str]:
        """Return all variables that the started process gets: an allow-list, never this process's own."""
        ...


def _variables(home: Path) -> dict[str, str]:
    """Return what a zygote is told: nothing secret, and that its tools send no telemetry."""
    telemetry = home / "intel" / "openvino_telemetry"
    telemetry.parent.mkdir(parents=True, exist_ok=True)
    telemetry.write_text("0")
    return {
        "PATH": os.defpath,
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "PYTHONPATH": str(PACKAGES),
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
        "NNCF_CI": "1",
        "HF_HUB_OFFLINE": "1",
        "VIRTUAL_ENV": sys.prefix,
    }


class Unwrapped:
    """Processes and limits, and with the level ``landlock`` each child's own bounds, but no bubblewrap."""

    def __init__(self, home: Path, level: SandboxLevel = SandboxLevel.NONE) -> None:
        self.level = level
        self._home = home

    def command(self, argv: Sequence[str]) -> list[str]:
        """Return the command as it is."""
        return list(argv)

    def environment(self) -> dict[str, str]:
        """Return an environment without secrets."""
        return _variables(self._home)


class Bubblewrapped:
    """Inside bubblewrap: no network, no other process, no home, only the system, the code and ``scratch``.

    ``openvino_device`` is the one whose device nodes are let in.
    """

    level = SandboxLevel.FULL

    def __init__(self, home: Path, scratch: Path, openvino_device: str = "CPU") -> None:
        self._home = home
        self._scratch = scratch
        self._device = DEVICES.get(openvino_device)

    def command(self, argv: Sequence[str]) -> list[str]:
        """Return the command; the folder for scratch must exist by then, and stay."""
        self._scratch.mkdir(parents=True, exist_ok=True)
        options = [
            "--unshare-all", "--unshare-user", "--disable-userns", "--die-with-parent", "--new-session",
            "--cap-drop", "ALL", "--uid", _NOBODY, "--gid", _NOBODY, "--hostname", "sandbox",
            "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp",  # noqa: S108 - the one inside
        ]  # fmt: skip
        for path in (*SYSTEM, *INTERPRETER, *CODE, self._home):
            options += _shown(path)
        if self._device:
            options += ["--dev-bind-try", str(self._device), str(self._device)]
        options += ["--bind", str(self._scratch), str(self._scratch), "--chdir", str(self._scratch)]
        for name, value in _variables(self._home).items():
            options += ["--setenv", name, value]
        return [_program(), *options, *argv]

    def environment(self) -> dict[str, str]:
        """Return nothing: the first process inside keeps what it is started with, for all to read."""
        return {}


def _shown(path: Path) -> list[str]:
    """Return the options that show a path inside as it is outside: links stay links."""
    if path.is_symlink():
        return ["--symlink", str(path.readlink()), str(path)]
    return ["--ro-bind-try", str(path), str(path)]


def _program() -> str:
    found = shutil.which("bwrap")
    if found is None:
        raise Unavailable("bubblewrap is not installed", hint="Debian: apt-get install bubblewrap")
    return found


def chosen(mode: SandboxMode, home: Path, scratch: Path, openvino_device: str = "CPU") -> Sandbox:
    """Return the strongest sandbox that ``mode`` allows; raises Unavailable when it asks for more."""
    if mode is SandboxMode.OFF:
        return Unwrapped(home)
    full = Bubblewrapped(home, scratch, openvino_device)
    lacking = _lacking_landlock() or _lacking_bubblewrap(full)
    if mode is not SandboxMode.LANDLOCK and not lacking:
        return full
    if mode is SandboxMode.FULL:
        raise Unavailable(f"no full sandbox here: {lacking}", hint="see: ./farm doctor --sandbox")
    if lacking := _lacking_landlock():
        if mode is SandboxMode.LANDLOCK:
            raise Unavailable(f"no Landlock here: {lacking}", hint="Linux 5.13 or newer has it")
        return Unwrapped(home)
    return Unwrapped(home, SandboxLevel.LANDLOCK)


def _lacking_landlock() -> str:
    """Return what keeps children from being confined, or nothing."""
    if not landlock.abi():
        return "the kernel has no Landlock"
    return "" if seccomp.known() else "no seccomp filter is written for this machine"


def _lacking_bubblewrap(full: Bubblewrapped) -> str:
    """Return what keeps bubblewrap from working, or nothing, by trying it."""
    try:
        tried = subprocess.run(
            full.command([sys.executable, "-c", "pass"]),
            env=full.environment(),
            capture_output=True,
            text=True,
            timeout=_TRY_S,
            check=False,
        )
    except Unavailable as missing:
        return missing.message
    except subprocess.TimeoutExpired:
        return "bubblewrap does not come back"
    return tried.stderr.strip()[-500:] if tried.returncode else ""
