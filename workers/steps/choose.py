"""Takes one of several models: the last whose gate passed before the first that failed."""

from pathlib import Path

from ovfarm.failures import FailureClass, FailureCode
from ovfarm.gates import AFTER, CHOSEN_FILE, last_passed
from ovfarm.recipes import Choose
from ovfarm.results import Chosen, Gate, Judged, Note, NoteCode, StepResult
from workers.kit import gates, networks, weights, whole
from workers.protocol import Bench, failed

_NOT_TAKEN = "not taken although it passed"


def run(params: Choose, bench: Bench) -> StepResult:
    """Write the files of the chosen model as they are, and ``chosen.json``; raises StepFailed.

    The inputs are, of each gate in ``params.of`` by its place, ``model-0`` and ``gate-0-0`` (the last
    number is that of the target), and the ``reference`` for when none has passed.
    """
    bench.report("choose", 0, 1)
    judged = tuple(_judged(name, number, bench) for number, name in enumerate(params.of))
    judged = tuple(_as_made(one, bench.inputs[f"model-{n}"]) for n, one in enumerate(judged))
    found = last_passed(judged)
    role = f"model-{params.of.index(found.name)}" if found else "reference"
    if missing := gates.instead_of_a_model(bench.inputs[role]):
        raise failed(
            FailureClass.USER,
            FailureCode.PARAMETER_REFUSED,
            f"no gate passed, and there is no reference to fall back on: {missing.words}",
            hint="take 'after' away from the conversion that is the reference",
        )
    chosen = Chosen(gate=found.name if found else None, judged=judged)
    networks.copy(bench.inputs[role], bench.outputs, {Path(CHOSEN_FILE)})
    written = whole.counted(bench.outputs)
    (bench.outputs / CHOSEN_FILE).write_text(chosen.model_dump_json(indent=1))
    bench.report("choose", 1, 1)
    return StepResult(
        notes=_notes(chosen),
        canonical_digest=written.digest,
        element_types=dict(sorted(written.element_types.items())),
        chosen=chosen,
    )


def _judged(name: str, number: int, bench: Bench) -> Judged:
    prefix = f"{AFTER}-{number}-"
    folders = [bench.inputs[role] for role in sorted(bench.inputs) if role.startswith(prefix)]
    return Judged(name=name, gates=tuple(map(gates.read, folders)))


def _as_made(judged: Judged, model: Path) -> Judged:
    """Return a candidate as it was judged, or as not reached when it is not what it was to be.

    A compression to INT4 that has left all weights in INT8 loses little, and gains nothing over INT8.
    """
    short = weights.falls_short(model) if judged.passed else None
    if short is None:
        return judged
    words = f"{_NOT_TAKEN}: {short}"
    return Judged(name=judged.name, gates=(Gate(passed=False, not_reached=True, words=words),))


def _notes(chosen: Chosen) -> tuple[Note, ...]:
    numbers = "; ".join(f"{one.name}: {_told(gate)}" for one in chosen.judged for gate in one.gates)
    taken = f"the model of {chosen.gate!r} was taken" if chosen.gate else "the reference was taken"
    notes = [Note(code=NoteCode.CHOSEN, message=f"{taken} ({numbers})"[:1000])]
    if chosen.gate is None:
        words = (
            "NO GATE PASSED: this is the reference as it came, nothing was gained; allow a larger max_drop"
        )
        notes.insert(0, Note(code=NoteCode.NOTHING_PASSED, message=words))
    return tuple(notes)


def _told(gate: Gate) -> str:
    if gate.not_needed:
        return "not needed"
    if gate.value is None or gate.bound is None:
        return gate.words if gate.words.startswith(_NOT_TAKEN) else "not reached"
    return f"{'passed' if gate.passed else 'failed'}, dropped {gate.value:.4f} of at most {gate.bound:g}"
