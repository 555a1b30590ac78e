"""Shapes and pre-processing that become part of the model: what it takes is then what its users have."""

from collections.abc import Mapping
from typing import TypeVar

import openvino as ov
from openvino.preprocess import ColorFormat, PrePostProcessor, ResizeAlgorithm

from ovfarm.failures import FailureClass, FailureCode
from ovfarm.tuning import Preprocess, Shape
from workers.protocol import StepFailed, failed

_RESIZE = {
    "linear": ResizeAlgorithm.RESIZE_LINEAR,
    "cubic": ResizeAlgorithm.RESIZE_CUBIC,
    "nearest": ResizeAlgorithm.RESIZE_NEAREST,
}
# By name: ov.Type("u8") is what NumPy calls so, 64 bits.
TYPES = {"u8": ov.Type.u8, "i32": ov.Type.i32, "i64": ov.Type.i64, "f16": ov.Type.f16, "f32": ov.Type.f32}
_COLORS = {"rgb_to_bgr": (ColorFormat.RGB, ColorFormat.BGR), "bgr_to_rgb": (ColorFormat.BGR, ColorFormat.RGB)}

T = TypeVar("T")


def of_network(asked: Mapping[str, T], network: str, model: ov.Model) -> dict[str, T]:
    """Return what is asked for one of several networks, by the names of its own inputs.

    ``input_ids`` means that input of each network that has it, ``decoder_model:input_ids`` that of one. A
    name with a colon may be an input's own (``serving_default_x:0``): it is looked for as it is, too.
    """
    names = {name for port in model.inputs for name in port.get_names()}
    by_name = {name: what for name, what in asked.items() if name in names}
    of_this_one = {
        name.removeprefix(f"{network}:"): what
        for name, what in asked.items()
        if name.startswith(f"{network}:") and name.removeprefix(f"{network}:") in names
    }
    return by_name | of_this_one


def refuse_unknown(name: str, inputs: Mapping[str, list[str]]) -> StepFailed:
    """Say that no network has an input of this name; ``inputs`` are those that there are, by network."""
    listed = "; ".join(f"{network}: {', '.join(names)}" for network, names in inputs.items())
    return _refused(f"no network of the model has an input {name!r}; {listed}"[:2000])


def reshape(model: ov.Model, shapes: Mapping[str, Shape]) -> None:
    """Give inputs new shapes; raises StepFailed when the graph cannot take them."""
    wanted = {_port(model, name): _partial(shape) for name, shape in shapes.items()}
    if not wanted:
        return
    try:
        model.reshape(wanted)
    except RuntimeError as refused:
        raise _refused(f"the model cannot take these shapes: {_told(shapes)}", str(refused)) from refused


def _partial(shape: Shape) -> ov.PartialShape:
    return ov.PartialShape([_dimension(size) for size in shape])


def _dimension(size: int | str) -> ov.Dimension:
    """Return a dimension: a size, ``?`` for any, ``1..8`` for a range."""
    if isinstance(size, int):
        return ov.Dimension(size)
    low, _, high = size.partition("..")
    return ov.Dimension() if size == "?" else ov.Dimension(int(low), int(high))


def preprocess(model: ov.Model, asked: Mapping[str, Preprocess]) -> ov.Model:
    """Return a model that takes the data as it is; raises StepFailed for steps that do not fit together."""
    if not asked:
        return model
    ports = {_port(model, name).get_any_name(): steps for name, steps in asked.items()}
    builder = PrePostProcessor(model)
    try:
        for name, steps in ports.items():
            _embed(builder, name, steps)
        return builder.build()
    except RuntimeError as refused:
        raise _refused("this pre-processing does not fit the model's inputs", str(refused)) from refused


def _embed(builder: PrePostProcessor, name: str, steps: Preprocess) -> None:
    port = builder.input(name)
    if steps.element_type:
        port.tensor().set_element_type(TYPES[steps.element_type])
    if steps.layout:
        port.tensor().set_layout(ov.Layout(steps.layout))
    if steps.model_layout:
        port.model().set_layout(ov.Layout(steps.model_layout))
    if steps.color:
        given, wanted = _COLORS[steps.color]
        port.tensor().set_color_format(given)
        port.preprocess().convert_color(wanted)
    if steps.resize:
        port.tensor().set_spatial_dynamic_shape()
        port.preprocess().convert_element_type(ov.Type.f32).resize(_RESIZE[steps.resize])
    if steps.mean or steps.scale:
        port.preprocess().convert_element_type(ov.Type.f32)
    if steps.mean:
        port.preprocess().mean(list(steps.mean))
    if steps.scale:
        port.preprocess().scale(list(steps.scale))


def _port(model: ov.Model, name: str) -> ov.Output:
    for port in model.inputs:
        if name in port.get_names():
            return port
    known = ", ".join(repr(port.get_any_name()) for port in model.inputs) or "none"
    raise _refused(f"the model has no input {name!r}; it has: {known}")


def _told(shapes: Mapping[str, Shape]) -> str:
    return "; ".join(f"{name} [{','.join(map(str, shape))}]" for name, shape in shapes.items())


def _refused(words: str, evidence: str | None = None) -> StepFailed:
    return failed(FailureClass.USER, FailureCode.PARAMETER_REFUSED, words, evidence=evidence)
