"""What steps find out: measurements with their conditions, progress, and the files they made."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Literal

from pydantic import Field

from ovfarm.patches import Patch
from ovfarm.shapes import Digest, Document, FileName, Name


class Unit(StrEnum):
    """The units of measurements."""

    RATIO = "ratio"
    MILLISECONDS = "ms"
    SECONDS = "s"
    BYTES = "bytes"
    COUNT = "count"
    DISTANCE = "distance"
    PER_SECOND = "per_second"


class Verdict(StrEnum):
    """What a comparison allows one to say."""

    FASTER = "faster"
    SLOWER = "slower"
    EQUIVALENT = "equivalent"
    INCONCLUSIVE = "inconclusive"


class Conditions(Document):
    """What a measurement was taken under, as read back from the compiled model where possible."""

    device: str = ""
    precision: str = ""
    batch: int | None = None
    threads: int | None = None
    streams: int | None = None
    hint: str = ""
    requests: int | None = None
    samples: int | None = None
    load_average: float | None = None
    emulated: bool = False
    properties: dict[str, str] = {}


class Measurement(Document):
    """One number: name, value, unit, its 95 % interval, its conditions and the file of raw samples.

    ``subject`` says which arm or variant it is of (``candidate``, ``reference_f32`` …).
    """

    name: str
    subject: str = "candidate"
    value: float
    unit: Unit
    ci_low: float | None = None
    ci_high: float | None = None
    conditions: Conditions = Conditions()
    samples: FileName | None = None


class Progress(Document):
    """How far the child is, in its own words; ``eta_s`` is worked out by the parent."""

    stage: str = Field(max_length=60)
    done: int = Field(ge=0)
    total: int = Field(ge=0)
    eta_s: float | None = None


class NoteCode(StrEnum):
    """What a note is about; stable, like the codes of failures."""

    LITTLE_CALIBRATION_DATA = "little_calibration_data"
    LITTLE_EVALUATION_DATA = "little_evaluation_data"
    SMOOTH_QUANT_OFF = "smooth_quant_off"
    TRANSFORMER = "transformer"
    TRANSFORMER_NOT_TOLD = "transformer_not_told"
    RANDOM_DATA = "random_data"
    NARROW_WEIGHTS = "narrow_weights"
    WIDE_WEIGHTS = "wide_weights"
    WEIGHTS_MIXED = "weights_mixed"
    WEIGHTS_NOT_AS_ASKED = "weights_not_as_asked"
    REDUCED_PRECISION = "reduced_precision"
    ACCURACY_LOST = "accuracy_lost"
    OUTPUTS_DIFFER = "outputs_differ"
    BUDGET_OVER = "budget_over"
    BUSY_HOST = "busy_host"
    SLOW_TO_LOAD = "slow_to_load"
    MODEL_CACHE = "model_cache"
    EMULATED = "emulated"
    EXPORTED = "exported"
    RANDOM_WEIGHTS = "random_weights"
    TOKENIZER_NOT_CONVERTED = "tokenizer_not_converted"
    EIGHT_BITS = "eight_bits"
    AUTO = "auto"
    FREE_SHAPES = "free_shapes"
    ONE_NETWORK = "one_network"
    EMPTY_STATE = "empty_state"
    GATE_PASSED = "gate_passed"
    GATE_FAILED = "gate_failed"
    NOT_REACHED = "not_reached"
    NOT_NEEDED = "not_needed"
    CHOSEN = "chosen"
    NOTHING_PASSED = "nothing_passed"


class Note(Document):
    """Something the user should know although the step succeeded.

    ``hint`` and ``patches`` say what to do about it; as a job's result is shown they are filled in.
    """

    code: NoteCode
    message: str = Field(max_length=1000)
    hint: str | None = Field(default=None, max_length=1000)
    patches: tuple[Patch, ...] = Field(default=(), max_length=16)


def stopped(notes: Iterable[Note]) -> bool:
    """Tell by its notes whether a step did nothing because of a gate."""
    return any(note.code in {NoteCode.NOT_REACHED, NoteCode.NOT_NEEDED} for note in notes)


class Port(Document):
    """An input or an output of a model: its name, its shape as OpenVINO writes it, its element type.

    ``network`` is the part of a model with several that it belongs to (``encoder_model``, ``unet``).
    """

    direction: Literal["input", "output"]
    name: str = Field(max_length=1000)
    shape: str = Field(max_length=1000)
    element_type: str = Field(max_length=20)
    network: str = Field(default="", max_length=200)


Metric = Literal["accuracy", "agreement", "r_squared", "cosine_distance", "relative_l2"]


class Gate(Document):
    """What a gate found (``gate.json``): ``value`` is the drop of ``metric``, ``bound`` the most allowed.

    Behind a gate that did not pass, a step leaves one of its own: ``not_reached``, or ``not_needed``
    where it was to be done only if the other failed.
    """

    passed: bool
    not_reached: bool = False
    not_needed: bool = False
    metric: Metric | None = None
    value: float | None = None
    bound: float | None = None
    words: str = Field(max_length=1000)

    @property
    def failed(self) -> bool:
        """Whether it was measured and the drop was too large."""
        return not (self.passed or self.not_reached or self.not_needed)


class Judged(Document):
    """A candidate: the name of its ``evaluate`` step, and the gate of each target."""

    name: Name
    gates: tuple[Gate, ...] = Field(min_length=1)

    @property
    def passed(self) -> bool:
        """Whether it passed on every target."""
        return all(gate.passed for gate in self.gates)

    @property
    def not_needed(self) -> bool:
        """Whether nobody had to ask."""
        return all(gate.not_needed for gate in self.gates)


class Chosen(Document):
    """What a choice came to: the gate whose model was taken, or None for the reference; and all gates."""

    gate: Name | None
    judged: tuple[Judged, ...]


class StepResult(Document):
    """What a step returns; the files that it wrote are collected by the parent.

    ``canonical_digest`` is the meaning of the model it made (names of generated layers left out) or of
    the gate, by which later steps are keyed; ``element_types`` counts the constants of that model by
    type. ``ports`` are those of the model as it was uploaded, from the step that read it. ``chosen``
    is what a choice took.
    """

    measurements: tuple[Measurement, ...] = ()
    verdict: Verdict | None = None
    notes: tuple[Note, ...] = ()
    canonical_digest: Digest | None = None
    element_types: dict[str, int] = {}
    ports: tuple[Port, ...] = Field(default=(), max_length=10_000)
    chosen: Chosen | None = None


def emulated(result: StepResult) -> StepResult:
    """Return a result that says of each number that the CPU stood in for the device."""
    note = Note(code=NoteCode.EMULATED, message="a CPU stood in for the device: these numbers are none of it")
    return result.model_copy(
        update={
            "measurements": tuple(
                m.model_copy(update={"conditions": m.conditions.model_copy(update={"emulated": True})})
                for m in result.measurements
            ),
            "notes": (*result.notes, note) if result.measurements else result.notes,
        }
    )


class FileEntry(Document):
    """One file of a manifest: its bytes by sha256, and their number."""

    digest: Digest
    size: int = Field(ge=0)


class Manifest(Document):
    """An immutable set of files: a model, a dataset, or what a step produced."""

    files: dict[FileName, FileEntry] = Field(min_length=1, max_length=10_000)

    @property
    def size(self) -> int:
        """The bytes of all files."""
        return sum(entry.size for entry in self.files.values())

    def size_without(self, folder: str) -> int:
        """Return the bytes of all files but those in a folder."""
        return sum(entry.size for name, entry in self.files.items() if not name.startswith(f"{folder}/"))
