"""Finds out what this node offers, by asking a child, and puts it into the pool."""

import importlib.util
import os
import shutil
import socket
import threading
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import structlog

from ovfarm.errors import Unavailable
from ovfarm.failures import Failure
from ovfarm.hardware import Device, Offer, SandboxLevel, SandboxMode
from ovfarm.hints import HINTS
from ovfarm.recipes import known_steps
from ovfarm.settings import Preload, Settings
from storage.database import Database
from storage.nodes import NodeIdentity, register
from workers.isolate import Zygote
from workers.protocol import InventoryRequest
from workers.sandbox import Sandbox, chosen

log = structlog.get_logger()

_OPENVINO_NAME = {Device.CPU: "CPU", Device.GPU: "GPU", Device.NPU: "NPU", Device.AUTO: "CPU"}


def name_of(settings: Settings) -> str:
    """Return the node's name: set by the operator, or the host's name and the device."""
    return settings.node_name or f"{socket.gethostname()}-{settings.device}"


def preload(settings: Settings) -> str:
    """Return the module that this node's zygotes import; raises Unavailable for what is not installed."""
    installed = _installed("optimum-intel") and _installed("torch")
    if settings.preload is Preload.HUGGINGFACE and not installed:
        raise Unavailable(
            "OVFARM_PRELOAD is huggingface, and torch and optimum-intel are not installed",
            hint="run: ./farm setup --hf",
        )
    if settings.preload is Preload.NONE:
        return "workers.protocol"
    if settings.preload is Preload.CORE or not installed:
        return "workers.kit.preload"
    return "workers.kit.preload_huggingface"


def _installed(package: str) -> bool:
    try:
        return bool(version(package))
    except PackageNotFoundError:
        return False


def inventory(settings: Settings, zygote: Zygote, scratch: Path) -> Offer:
    """Return what the device offers, proven by a first inference; raises Unavailable with the mend."""
    scratch.mkdir(parents=True, exist_ok=True)
    stand_in = settings.emulated.get(settings.device)
    asked = _OPENVINO_NAME[stand_in or settings.device]
    request = InventoryRequest(device=asked, log=scratch / "inventory.txt")
    found = zygote.run(request, on_progress=lambda _progress: None, stop=threading.Event())
    if isinstance(found, Failure):
        raise Unavailable(
            f"this machine cannot serve {settings.device}: {found.message}",
            code=found.code,
            hint=found.hint or HINTS[found.code].words,
        )
    if not isinstance(found, Offer):
        raise TypeError(f"an inventory was answered with {type(found).__name__}")
    own: dict[str, object] = {"device": settings.device, "pools": settings.pools, "steps": known_steps()}
    if stand_in:
        # Another name is another place: nothing made or measured here is ever taken for the real one's.
        name = f"{settings.device} emulated by {found.device_name}"[:200]
        own |= {"emulated": True, "device_name": name, "architecture": f"emulated {found.architecture}"}
    return found.model_copy(update=own)


def choose_sandbox(settings: Settings, scratch: Path) -> Sandbox:
    """Return the sandbox that the settings ask for; raises Unavailable when this machine cannot do it."""
    if os.geteuid() == 0:
        log.warning("node.root", why="a node needs no root: run it as a user of its own")
    stand_in = settings.emulated.get(settings.device)
    device = _OPENVINO_NAME[stand_in or settings.device]
    sandbox = chosen(settings.sandbox, settings.home / "sandbox", scratch, device)
    if sandbox.level is SandboxLevel.NONE:
        log.warning("node.no_sandbox", why="uploaded models run with nothing between them and this node")
    return sandbox


def loads_programs(settings: Settings, level: SandboxLevel) -> bool:
    """Tell whether this node loads PyTorch programs: switched on, in a full sandbox, with PyTorch there."""
    if not settings.torch_programs:
        return False
    if level is not SandboxLevel.FULL:
        log.warning("node.no_torch_programs", why=f"the sandbox is {level}, and they need a full one")
        return False
    if importlib.util.find_spec("torch") is None:
        log.warning("node.no_torch_programs", why="PyTorch is not installed: ./farm setup --hf")
        return False
    return True


def sandboxed(offer: Offer, mode: SandboxMode, level: SandboxLevel) -> Offer:
    """Return an offer that says what stands around its steps; without anything it is for one team only.

    An operator who says ``off`` trusts all teams.
    """
    trusted = level is not SandboxLevel.NONE or mode is SandboxMode.OFF
    return offer.model_copy(update={"sandbox": level, "all_teams": trusted})


def join(settings: Settings, database: Database, offer: Offer) -> NodeIdentity:
    """Put this node into the pool, with its scratch folder wiped of what an earlier life left."""
    name = name_of(settings)
    scratch = settings.home / "scratch" / name
    scratch.mkdir(parents=True, exist_ok=True)
    # The folder itself stays: the sandbox has it mounted.
    for left in scratch.iterdir():
        shutil.rmtree(left, ignore_errors=True) if left.is_dir() else left.unlink()
    with database.write() as session:
        return register(session, name, socket.gethostname(), offer, settings.slots)
