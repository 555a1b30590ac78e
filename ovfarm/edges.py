"""What steps of a recipe may name: earlier steps, of the sort that the edge needs."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Protocol


class _Step(Protocol):
    @property
    def name(self) -> str: ...


def check(steps: Sequence[_Step], makers: Collection[str]) -> None:
    """Raise ValueError for a name that comes twice, and for an edge that does not point back to its sort.

    ``makers`` are the kinds that make a model; a gate is a step with ``max_drop``.
    """
    models: list[str] = []
    gates: list[str] = []
    kept: dict[str, _Measured] = {}
    seen: set[str] = set()
    for step in steps:
        if step.name in seen:
            raise ValueError(f"two steps are named {step.name!r}; give each its own name")
        _check_models(step, models)
        _check_gates(step, gates, seen)
        measured = _measured(step, models)
        _check_statistics(step, measured, kept)
        seen.add(step.name)
        if str(getattr(step, "kind", "")) in makers:
            models.append(step.name)
        if getattr(step, "max_drop", None) is not None:
            gates.append(step.name)
        if getattr(step, "keep_statistics", False):
            kept[step.name] = measured


# What activations are measured on: which model, and how many rows; the calibration data is the job's.
_Measured = tuple[str | None, int | None]


def _measured(step: _Step, models: Sequence[str]) -> _Measured:
    nearest = models[-1] if models else None
    return getattr(step, "model", None) or nearest, getattr(step, "subset_size", None)


def _check_statistics(step: _Step, mine: _Measured, kept: Mapping[str, _Measured]) -> None:
    edge = getattr(step, "statistics", None)
    if edge is None:
        return
    if edge not in kept:
        allowed = ", ".join(kept) or "none"
        raise ValueError(
            f"step {step.name!r} takes the statistics of {edge!r}; earlier compress steps with "
            f"keep_statistics: {allowed}"
        )
    (model, rows), (its_model, its_rows) = mine, kept[edge]
    if model != its_model:
        mine_is, its_is = (name or "the uploaded model" for name in (model, its_model))
        raise ValueError(
            f"step {step.name!r} works on {mine_is}, and the statistics of {edge!r} are of {its_is}; "
            "name the same model in both"
        )
    if rows != its_rows:
        raise ValueError(
            f"step {step.name!r} takes the statistics of {edge!r}, which are of {its_rows} rows; set "
            f"{step.name}.subset_size to {its_rows}, or measure anew without statistics"
        )


def _check_models(step: _Step, models: Collection[str]) -> None:
    for edge in (getattr(step, "model", None), getattr(step, "reference", None)):
        if edge is not None and edge not in models:
            allowed = ", ".join(sorted(models)) or "none"
            raise ValueError(f"step {step.name!r} names {edge!r}; earlier steps that make a model: {allowed}")


def _check_gates(step: _Step, gates: Collection[str], seen: Collection[str]) -> None:
    for field, edge in _gates(step):
        if edge not in gates:
            allowed = ", ".join(gates) or "none"
            more = "; give it max_drop to make it a gate, if it is an evaluate step" if edge in seen else ""
            raise ValueError(
                f"step {step.name!r} names {edge!r} in {field!r}; "
                f"earlier evaluate steps with max_drop: {allowed}{more}"
            )
    of: tuple[str, ...] = getattr(step, "of", ())
    twice = [name for name in of if of.count(name) > 1]
    if twice:
        raise ValueError(f"step {step.name!r} lists {twice[0]!r} twice in 'of'; each gate has one place")
    if of and getattr(step, "model", None) is not None:
        raise ValueError(f"step {step.name!r} takes no model: the gates in 'of' say which models there are")


def _gates(step: _Step) -> Iterator[tuple[str, str]]:
    for field in ("after", "unless"):
        edge: str | None = getattr(step, field, None)
        if edge is not None:
            yield field, edge
    for edge in getattr(step, "of", ()):
        yield "of", edge
