"""Compiling for a device, and what the compiled model says about itself."""

import openvino as ov

from ovfarm.failures import FailureClass, FailureCode
from workers.protocol import Bench, failed

_TOLD = (
    "INFERENCE_PRECISION_HINT",
    "PERFORMANCE_HINT",
    "NUM_STREAMS",
    "INFERENCE_NUM_THREADS",
    "OPTIMAL_NUMBER_OF_INFER_REQUESTS",
    "EXECUTION_DEVICES",
    "ENABLE_CPU_PINNING",
    "ENABLE_HYPER_THREADING",
    "SCHEDULING_CORE_TYPE",
    "DYNAMIC_QUANTIZATION_GROUP_SIZE",
    "KV_CACHE_PRECISION",
)


def compiled(model: ov.Model, bench: Bench, *, pin_f32: bool, **properties: str) -> ov.CompiledModel:
    """Return ``model`` compiled for the bench's device; raises StepFailed.

    ``pin_f32`` computes in f32, which is no device's default where there is something faster.
    """
    core = ov.Core()
    device = bench.openvino_device
    if device.split(".")[0] not in {name.split(".")[0] for name in core.available_devices}:
        raise failed(
            FailureClass.DEVICE,
            FailureCode.DEVICE_MISSING,
            f"this node has no {device}; it has {', '.join(core.available_devices)}",
        )
    if pin_f32:
        properties["INFERENCE_PRECISION_HINT"] = "f32"
    if bench.threads:
        properties["INFERENCE_NUM_THREADS"] = str(bench.threads)
    try:
        return core.compile_model(model, device, properties)
    except RuntimeError as refused:
        if "bad_alloc" in str(refused):
            raise
        raise failed(
            FailureClass.DEVICE,
            FailureCode.DEVICE_FAILED,
            f"{device} could not compile the model",
            evidence=str(refused),
        ) from refused


def told(model: ov.CompiledModel) -> dict[str, str]:
    """Return the settings that are really in force, read back from the compiled model."""
    known = set(model.get_property("SUPPORTED_PROPERTIES"))
    return {name: _text(model.get_property(name)) for name in _TOLD if name in known}


def _text(value: object) -> str:
    """Return a property's value without the class that wraps it (``<Type: 'f32'>`` is ``f32``)."""
    if isinstance(value, ov.Type):
        return str(value.get_type_name())
    if isinstance(value, list | tuple | set):
        return ",".join(str(item) for item in value)
    return str(value).rpartition(".")[2] if str(value).startswith("PerformanceMode") else str(value)
