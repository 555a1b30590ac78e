"""Changes every network of a model and takes along what belongs to it."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import openvino as ov

from ovfarm.results import Port, StepResult
from workers.kit import canonical, graph, ir, networks

Change = Callable[[str, ov.Model], ov.Model]


@dataclass(slots=True)
class Written:
    """What has been written so far: weights by element type, ports as they were before the change."""

    folder: Path
    element_types: Counter[str] = field(default_factory=Counter)
    ports: list[Port] = field(default_factory=list)

    @property
    def digest(self) -> str:
        """What the model means, by which later steps know it."""
        return canonical.digest(self.folder)

    def result(self) -> StepResult:
        """Return what a step says of the model that it has written."""
        return StepResult(
            canonical_digest=self.digest,
            element_types=dict(sorted(self.element_types.items())),
        )


def rewrite(source: Path, target: Path, change: Change, *, half: bool = False) -> Written:
    """Write each network of ``source`` into ``target`` as ``change`` returns it; raises StepFailed.

    ``change`` is given a network's name and the network. The two folders may be one.
    """
    written = Written(target)
    found = networks.networks(source)
    if not found:
        return write(ir.read(source), target, change, half=half)
    package = networks.is_package(source)
    for name, path in found.items():
        saved_as = path if package else ir.SAVE_AS
        if source == target:
            saved_as = path.with_name(f"{path.stem}.new.xml")
        # The file of a lone network is called as its owner likes, and that is no part of a model.
        called = name if package else networks.ALONE
        _write(written, called, ir.read_file(source / path), saved_as, change, half=half)
        if source == target:
            _rename(target / saved_as, target / path)
    if source != target and package:
        networks.carry(source, target)
    return written


def write(model: ov.Model, target: Path, change: Change, *, half: bool = False) -> Written:
    """Write a model of one network that has been read; raises StepFailed."""
    written = Written(target)
    _write(written, networks.ALONE, model, ir.SAVE_AS, change, half=half)
    return written


def counted(folder: Path) -> Written:
    """Return what ``rewrite`` would say of a model that is there already."""
    written = Written(folder)
    for name, path in networks.networks(folder).items():
        model = ir.read_file(folder / path)
        written.ports += _ports(name, model)
        written.element_types.update(ir.element_types(model))
    return written


def _ports(name: str, model: ov.Model) -> list[Port]:
    part = "" if name == networks.ALONE else name
    return [port.model_copy(update={"network": part}) for port in graph.ports(model)]


def _write(
    written: Written, name: str, model: ov.Model, saved_as: Path, change: Change, *, half: bool
) -> None:
    written.ports += _ports(name, model)
    changed = change(name, model)
    ir.save(changed, written.folder, half=half, name=saved_as)
    # Counted in what was written: saving changes types as well.
    written.element_types.update(ir.element_types(ir.read_file(written.folder / saved_as)))


def _rename(new: Path, old: Path) -> None:
    new.replace(old)
    new.with_suffix(".bin").replace(old.with_suffix(".bin"))
