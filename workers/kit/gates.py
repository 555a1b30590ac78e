"""The one place where gates stop a step: looked at in the child, before the step does anything."""

import math
from collections.abc import Iterable, Iterator
from pathlib import Path

from pydantic import ValidationError

from ovfarm import gates
from ovfarm.failures import FailureClass, FailureCode
from ovfarm.patches import Patch
from ovfarm.recipes import Kind, StepParams
from ovfarm.results import Gate, Measurement, Note, NoteCode, StepResult
from workers.protocol import Bench, failed

_MOST_BYTES = 1 << 16


def stopped(params: StepParams, bench: Bench) -> StepResult | None:
    """Return the result of a step that a gate stops, its own gate written; None when it is to run.

    A choice is never stopped: it is there to look at gates. Raises StepFailed for a gate that is none.
    """
    gate = None if params.kind is Kind.CHOOSE else _in_the_way(params, bench)
    if gate is None:
        return None
    write(gate, bench.outputs)
    code = NoteCode.NOT_NEEDED if gate.not_needed else NoteCode.NOT_REACHED
    return StepResult(notes=(Note(code=code, message=gate.words),))


def write(gate: Gate, outputs: Path) -> None:
    """Leave ``gate.json``."""
    (outputs / gates.GATE_FILE).write_text(gate.model_dump_json(indent=1))


def leave(gate: Gate, found: Iterable[Measurement], notes: Iterable[Note], outputs: Path) -> StepResult:
    """Write a gate that was measured, and return its result with what was measured."""
    write(gate, outputs)
    code = NoteCode.GATE_PASSED if gate.passed else NoteCode.GATE_FAILED
    return StepResult(
        measurements=tuple(found),
        notes=(*notes, Note(code=code, message=gate.words, patches=_wide_enough(gate))),
        canonical_digest=gates.digest(gate),
    )


def _wide_enough(gate: Gate) -> tuple[Patch, ...]:
    """Return the bound with which a gate would have passed; none where all was lost."""
    if not gate.failed or gate.value is None or not gate.value < 1:
        return ()
    # Rounded up to four digits, and not by what a sum of fractions is too large.
    enough = math.ceil(gate.value * 10_000 - 1e-6) / 10_000
    return (Patch(why="allow what was lost just now", overrides={"evaluate.max_drop": enough}),)


def read(folder: Path) -> Gate:
    """Return the gate in a folder; raises StepFailed."""
    try:
        with (folder / gates.GATE_FILE).open("rb") as file:
            return Gate.model_validate_json(file.read(_MOST_BYTES))
    except (OSError, ValidationError) as refused:
        raise failed(
            FailureClass.CRASH, FailureCode.BAD_OUTPUT, "a gate left nothing to read", evidence=str(refused)
        ) from refused


def instead_of_a_model(folder: Path) -> Gate | None:
    """Return the gate that stands where a model was not made, or None for anything else."""
    if [path.name for path in folder.iterdir()] != [gates.GATE_FILE]:
        return None
    gate = read(folder)
    return gate if gate.not_reached or gate.not_needed else None


def _in_the_way(params: StepParams, bench: Bench) -> Gate | None:
    for role in ("model", "reference"):
        if role in bench.inputs and (missing := instead_of_a_model(bench.inputs[role])):
            return missing
    return _after(params, bench) or _unless(params, bench)


def _read_as(role: str, bench: Bench) -> Iterator[Gate]:
    """Yield the gates of a role, one for each target."""
    for name, folder in sorted(bench.inputs.items()):
        if name.partition("-")[0] == role:
            yield read(folder)


def _after(params: StepParams, bench: Bench) -> Gate | None:
    """Return what to leave when a gate that had to pass did not."""
    name = gates.named_gate(params, gates.AFTER)
    return next((_behind(g, name) for g in _read_as(gates.AFTER, bench) if not g.passed), None)


def _behind(gate: Gate, name: str | None) -> Gate:
    if gate.not_reached:
        return gate
    why = "was not needed" if gate.not_needed else "did not pass"
    return Gate(
        passed=False, not_reached=True, words=f"not reached: gate {name!r} {why}: {gate.words}"[:1000]
    )


def _unless(params: StepParams, bench: Bench) -> Gate | None:
    """Return what to leave when a gate that had to fail did not."""
    name = gates.named_gate(params, gates.UNLESS)
    found = list(_read_as(gates.UNLESS, bench))
    if not found or any(gate.failed for gate in found):
        return None
    stopping = next((gate for gate in found if not gate.passed), None)
    if stopping:
        return _behind(stopping, name)
    return Gate(passed=False, not_needed=True, words=f"not needed: gate {name!r} passed")
