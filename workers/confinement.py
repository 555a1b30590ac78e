"""What one child is bound to, after its fork and before anything of a stranger's is opened."""

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from ovfarm.hardware import SandboxLevel
from workers import landlock, seccomp
from workers.protocol import ChildRequest, InventoryRequest

Confine = Callable[[ChildRequest], None]
PACKAGES = Path(__file__).resolve().parent.parent
# The code that a child runs, and nothing else of the checkout: the farm's home may lie in it.
CODE = (PACKAGES / "ovfarm", PACKAGES / "workers")
# As they are named and as they are: an environment may be reached through a link.
INTERPRETER = tuple(
    dict.fromkeys(
        each for path in (sys.prefix, sys.base_prefix) for each in (Path(path), Path(path).resolve())
    )
)
SYSTEM = tuple(
    Path(path)
    for path in (
        "/usr", "/lib", "/lib64", "/bin", "/etc/ld.so.cache", "/etc/localtime", "/etc/OpenCL",
        "/sys/devices", "/sys/fs/cgroup",
    )
)  # fmt: skip
# Of /proc just this: whoever may list it may read what other processes of the same user were started with.
_PROC = tuple(Path("/proc", name) for name in ("self", "cpuinfo", "meminfo", "loadavg", "stat", "version"))
_READ_DEVICES = (Path("/dev/zero"), Path("/dev/random"), Path("/dev/urandom"))
DEVICES = {"GPU": Path("/dev/dri"), "NPU": Path("/dev/accel")}


def _nothing(request: ChildRequest) -> None:
    """Leave a child as it is: the limits of ``workers.limits`` hold without a sandbox too."""
    del request


def _own_files(request: ChildRequest) -> None:
    """Leave a child its inputs to read, its outputs and its device to write, and no network.

    Raises OSError when the kernel cannot do that; a child must then not go on.
    """
    read = [*SYSTEM, *INTERPRETER, *CODE, *_PROC, *_READ_DEVICES]
    write = [Path(os.devnull)]
    if isinstance(request, InventoryRequest):
        device = request.device
    else:
        device = request.openvino_device
        read += request.inputs.values()
        write += [request.outputs, _scratch(request.outputs.parent)]
    if device in DEVICES:
        write.append(DEVICES[device])
    landlock.restrict(read=read, write=write)
    seccomp.refuse()


def _scratch(folder: Path) -> Path:
    """Give a child a folder of its own for temporary files: /tmp is everybody's."""
    own = folder / "tmp"
    own.mkdir(exist_ok=True)
    os.environ["TMPDIR"] = tempfile.tempdir = str(own)
    return own


# By level: called in the child, before anything else, so it is known by name and not by object.
CONFINEMENTS: dict[SandboxLevel, Confine] = {
    SandboxLevel.NONE: _nothing,
    SandboxLevel.LANDLOCK: _own_files,
    SandboxLevel.FULL: _own_files,
}
