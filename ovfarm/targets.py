"""What a preset becomes for the devices that a job targets; an override still wins over all of it."""

from collections.abc import Collection

from ovfarm.hardware import Device
from ovfarm.recipes import Benchmark, Convert, Quantize, Recipe, StepParams


def for_devices(recipe: Recipe, devices: Collection[Device]) -> Recipe:
    """Return a preset with the defaults of these classes of devices.

    One class has its own; several, or ``auto``, have what suits all of them: quantizers for any device,
    latency, and bounded shapes as soon as one is an NPU.
    """
    return recipe.model_copy(update={"steps": tuple(_fitted(step, set(devices)) for step in recipe.steps)})


def _fitted(step: StepParams, devices: set[Device]) -> StepParams:
    match step:
        case Convert() if Device.NPU in devices:
            return step.model_copy(update={"require_static": True})
        case Quantize() if devices in ({Device.GPU}, {Device.NPU}):
            (device,) = devices
            return step.model_copy(update={"target_device": device.value})
        case Benchmark() if devices == {Device.GPU}:
            return step.model_copy(update={"hint": "throughput"})
    return step
