"""What a preset becomes for the devices that a job targets; an override still wins over all of it."""

from collections.abc import Collection, Mapping

from pydantic import JsonValue

from ovfarm.hardware import Device
from ovfarm.recipes import Benchmark, Compress, Convert, Quantize, Recipe, StepParams


def for_devices(
    recipe: Recipe, devices: Collection[Device], overrides: Mapping[str, JsonValue] | None = None
) -> Recipe:
    """Return a preset with the defaults of these classes of devices.

    One class has its own; several, or ``auto``, have what suits all of them: quantizers for any device,
    latency, and bounded shapes as soon as one is an NPU. INT4 for an NPU alone is symmetric, as OpenVINO's
    guide has it (docs.openvino.ai, "OpenVINO GenAI on NPU"). The mode ``auto`` of a compression is the same
    for all: its table is by model, and has no devices. FP8, which
    ``overrides`` may ask for, is made for any device alike.
    """
    steps = (_fitted(step, set(devices), overrides or {}) for step in recipe.steps)
    return bounded(recipe.model_copy(update={"steps": tuple(steps)}), devices)


def bounded(recipe: Recipe, devices: Collection[Device]) -> Recipe:
    """Return a recipe whose conversions refuse inputs without bounds, if one of the devices is an NPU.

    That is no default of a preset, but what the device compiles, so it is asked of any recipe.
    """
    if Device.NPU not in devices:
        return recipe
    bound = {"require_static": True}
    steps = (s.model_copy(update=bound) if isinstance(s, Convert) else s for s in recipe.steps)
    return recipe.model_copy(update={"steps": tuple(steps)})


def _fitted(step: StepParams, devices: set[Device], overrides: Mapping[str, JsonValue]) -> StepParams:
    match step:
        case Quantize() if devices in ({Device.GPU}, {Device.NPU}):
            by_kind = overrides.get(f"{step.kind}.mode", step.mode)
            if overrides.get(f"{step.name}.mode", by_kind) != "int8":
                return step
            (device,) = devices
            return step.model_copy(update={"target_device": device.value})
        case Compress(mode="int4_asym") if devices == {Device.NPU}:
            return step.model_copy(update={"mode": "int4_sym"})
        case Benchmark() if devices == {Device.GPU}:
            return step.model_copy(update={"hint": "throughput"})
    return step
