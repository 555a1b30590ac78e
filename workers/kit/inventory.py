"""What a machine offers on one device, proven by a first inference."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import openvino as ov
import psutil
from openvino import opset13 as ops

from ovfarm.failures import FailureClass, FailureCode
from ovfarm.hardware import Device, Isa, Offer, Versions
from workers.protocol import failed

_CGROUP_V2, _CGROUP_V1 = Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/cpu")


def offer(openvino_device: str) -> Offer:
    """Return the device's offer; raises StepFailed when it is not there or cannot compute."""
    core = ov.Core()
    if openvino_device not in {name.split(".")[0] for name in core.available_devices}:
        raise failed(
            FailureClass.DEVICE,
            FailureCode.DEVICE_MISSING,
            f"OpenVINO finds no {openvino_device} here, only {', '.join(core.available_devices)}",
            hint="install the device's driver, or serve another device with OVFARM_DEVICE",
        )
    precision = _canary(core, openvino_device)
    return Offer(
        device=Device(openvino_device.lower()),
        device_name=str(core.get_property(openvino_device, "FULL_DEVICE_NAME")).strip(),
        openvino_device=openvino_device,
        architecture=str(core.get_property(openvino_device, "DEVICE_ARCHITECTURE")),
        capabilities=tuple(core.get_property(openvino_device, "OPTIMIZATION_CAPABILITIES")),
        default_precision=precision,
        isa=_isa(),
        memory_bytes=_memory(),
        cores=_cores(),
        versions=versions(),
    )


def versions() -> Versions:
    """Return the tools that are installed here; a toolkit counts when all of it is there."""
    core = Versions(openvino=version("openvino"), nncf=version("nncf"), python=platform.python_version())
    try:
        return core.model_copy(
            update={
                "torch": version("torch"),
                "transformers": version("transformers"),
                "optimum_intel": version("optimum-intel"),
                "openvino_tokenizers": version("openvino-tokenizers"),
            }
        )
    except PackageNotFoundError:
        return core


def _canary(core: ov.Core, device: str) -> str:
    """Compute one product on the device, check it, and return the precision that it chose by itself."""
    given = ops.parameter([1, 8], ov.Type.f32, name="x")
    model = ov.Model([ops.matmul(given, np.full((8, 1), 0.5, np.float32), False, False)], [given])
    compiled = core.compile_model(model, device)
    (result,) = compiled([np.full((1, 8), 2.0, np.float32)]).values()
    if not np.allclose(result, 8.0):
        raise failed(
            FailureClass.DEVICE,
            FailureCode.DEVICE_FAILED,
            f"{device} computes wrongly: 8 products of 2 and 0.5 gave {float(result[0, 0])}",
        )
    return str(compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name())


def _isa() -> tuple[Isa, ...]:
    words = set(Path("/proc/cpuinfo").read_text().split())
    return tuple(feature for feature in Isa if feature.value in words)


def _memory() -> int:
    total = int(psutil.virtual_memory().total)
    limits = (_CGROUP_V2 / "memory.max", Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
    for limit in limits:
        if limit.exists() and (text := limit.read_text().strip()).isdigit():
            total = min(total, int(text))
    return total


def _cores() -> float:
    """Return the cores that this process may use: its affinity, cut by a container's quota."""
    cores = float(len(os.sched_getaffinity(0)))
    v2 = _CGROUP_V2 / "cpu.max"
    if v2.exists():
        quota, period = v2.read_text().split()
        return min(cores, int(quota) / int(period)) if quota != "max" else cores
    v1 = _CGROUP_V1 / "cpu.cfs_quota_us"
    if v1.exists() and (quota_us := int(v1.read_text())) > 0:
        return min(cores, quota_us / int((_CGROUP_V1 / "cpu.cfs_period_us").read_text()))
    return cores
