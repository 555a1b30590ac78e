"""Shapes with bounds: an NPU compiles a model only when each dimension of its inputs has a largest size."""

from collections.abc import Iterable, Iterator, Sequence

from ovfarm.errors import InvalidInput
from ovfarm.recipes import Convert, StepParams
from ovfarm.results import Port


def check(steps: Iterable[tuple[StepParams, Sequence[Port]]], *, npu: bool) -> None:
    """Raise InvalidInput when a step gives inputs no bounds, or will find none in the model that it reads.

    Beside each step are the ports of the uploaded model if it reads that; none are known before a job has
    read it. ``npu`` tells whether an NPU is among the targets: a step that converts nothing is asked then.
    """
    found = [(step, port) for step, ports in steps for port in _unbounded(step, ports, npu=npu)]
    if found:
        shapes = ", ".join(dict.fromkeys(f"{port.name} {port.shape}" for _, port in found))
        unconverted = any(not isinstance(step, Convert) for step, _ in found)
        helps = hint(("convert" if unconverted else step.name, port) for step, port in found)
        raise InvalidInput(
            f"an NPU compiles inputs with bounds only, and this model has {shapes}",
            pointer="/overrides",
            code="dynamic_shape",
            hint=f"begin the recipe with a convert step, and give {helps}" if unconverted else helps,
        )


def _unbounded(step: StepParams, ports: Sequence[Port], *, npu: bool) -> Iterator[Port]:
    """Yield the inputs that stay without a bound; of a model, none where a name is given that it lacks."""
    inputs = [port for port in ports if port.direction == "input"]
    given = step.shapes if isinstance(step, Convert) else {}
    if not (step.require_static if isinstance(step, Convert) else npu):
        return
    for name, sizes in given.items():
        if any(_free(str(size)) for size in sizes):
            shape = ",".join(map(str, sizes))
            yield Port(direction="input", name=name, shape=f"[{shape}]", element_type="")
    # A name that the ports do not list may be another name of one of the inputs.
    if set(given) <= {port.name for port in inputs} | {_full_name(port) for port in inputs}:
        free = (port for port in inputs if unbounded(port.shape))
        yield from (port for port in free if not {port.name, _full_name(port)} & set(given))


def _full_name(port: Port) -> str:
    """Return an input's name with its network's, which a conversion takes as well."""
    return f"{port.network}:{port.name}" if port.network else port.name


def unbounded(shape: str) -> bool:
    """Tell whether a shape as OpenVINO writes it has a dimension, or a rank, without a largest size."""
    return any(_free(size) for size in _sizes(shape))


def hint(missing: Iterable[tuple[str, Port]]) -> str:
    """Return the options that would bound these inputs of these conversions: one row at a time."""
    lines: list[str] = []
    sizes_wanted = False
    for step, port in missing:
        sizes = [_suggested(size, at) for at, size in enumerate(_sizes(port.shape))]
        sizes_wanted |= any("SIZE" in size for size in sizes)
        lines.append(f"--set {step}.shapes.{_full_name(port)}=[{','.join(sizes)}]")
    lines = [*dict.fromkeys(lines)]
    more = " with the model's sizes for SIZE" if sizes_wanted else ""
    return f"{' '.join(lines)}{more}; a range like 1..8 is a bound too"[:1000]


def _sizes(shape: str) -> list[str]:
    return shape.strip("[]").split(",")


def _free(size: str) -> bool:
    # "..." is any rank, "2.." a range without an end.
    return size == "?" or size.endswith("..")


def _suggested(size: str, at: int) -> str:
    if size == "...":
        return "1,SIZE"
    if not _free(size):
        return size
    return "SIZE" if at else "1"
