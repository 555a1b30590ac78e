"""Shapes with bounds: an NPU compiles a model only when each dimension of its inputs has a largest size."""

from collections.abc import Iterable, Iterator, Sequence

from ovfarm.errors import InvalidInput
from ovfarm.recipes import Convert
from ovfarm.results import Port


def check(conversions: Iterable[Convert], ports: Sequence[Port]) -> None:
    """Raise InvalidInput when a conversion will find inputs without bounds in the model that it reads.

    ``ports`` are those of the uploaded model; none are known before a job has read it.
    """
    found = [(step, port) for step in conversions for port in _unbounded(step, ports)]
    if found:
        shapes = ", ".join(dict.fromkeys(f"{port.name} {port.shape}" for _, port in found))
        raise InvalidInput(
            f"an NPU compiles inputs with bounds only, and this model has {shapes}",
            pointer="/overrides",
            code="dynamic_shape",
            hint=hint((step.name, port) for step, port in found),
        )


def _unbounded(step: Convert, ports: Sequence[Port]) -> Iterator[Port]:
    """Yield the inputs that stay without a bound; none where a shape is given by a name not listed here."""
    inputs = [port for port in ports if port.direction == "input"]
    named = {port.name for port in inputs} | {_full_name(port) for port in inputs}
    if not step.require_static or not set(step.shapes) <= named:
        return
    for port in inputs:
        given = step.shapes.get(_full_name(port), step.shapes.get(port.name))
        if "?" in given if given is not None else unbounded(port.shape):
            yield port


def _full_name(port: Port) -> str:
    """Return an input's name with its network's, which a conversion takes as well."""
    return f"{port.network}:{port.name}" if port.network else port.name


def unbounded(shape: str) -> bool:
    """Tell whether a shape as OpenVINO writes it has a dimension, or a rank, without a largest size."""
    return any(_free(size) for size in _sizes(shape))


def hint(missing: Iterable[tuple[str, Port]]) -> str:
    """Return the options that would bound these inputs of these conversions: one row at a time."""
    lines, sizes_wanted = [], False
    for step, port in missing:
        sizes = [_suggested(size, at) for at, size in enumerate(_sizes(port.shape))]
        sizes_wanted |= any("SIZE" in size for size in sizes)
        lines.append(f"--set {step}.shapes.{_full_name(port)}=[{','.join(sizes)}]")
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
