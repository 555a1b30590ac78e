"""What a person sees of a result: how right it is and on how many rows, of which type, and how it failed."""

from collections.abc import Iterable
from io import StringIO
from uuid import UUID

import pytest
from rich.console import Console

from ovfarm.cli import tables
from ovfarm.cli.patches import tell_failure
from ovfarm.failures import Failure, FailureClass, FailureCode
from ovfarm.jobs import JobResult, StepOutcome
from ovfarm.recipes import Kind
from ovfarm.results import Conditions, Measurement, Note, NoteCode, Unit


def measured(name: str, value: float, half: float | None = None, rows: int | None = 398) -> Measurement:
    low, high = (None, None) if half is None else (value - half, value + half)
    return Measurement(
        name=name, value=value, unit=Unit.RATIO, ci_low=low, ci_high=high, conditions=Conditions(samples=rows)
    )


def outcome(name: str, kind: Kind, *found: Measurement, **more: object) -> StepOutcome:
    return StepOutcome.model_validate(
        {"name": name, "kind": kind, "cached": False, "measurements": found, **more}
    )


def printed(steps: Iterable[StepOutcome], width: int = 80) -> list[str]:
    shown = StringIO()
    tables.show(JobResult(id=UUID(int=1), steps=tuple(steps), seconds=1), Console(file=shown, width=width))
    return shown.getvalue().splitlines()


def job(*found: Measurement) -> list[StepOutcome]:
    """Return what a job has found that quantized, and judged what came of it."""
    return [
        outcome("convert", Kind.CONVERT, element_types={"f32": 1000, "i64": 4}, artifact_bytes=464_000),
        outcome("quantize", Kind.QUANTIZE, element_types={"i8": 600, "f32": 400}, artifact_bytes=143_000),
        outcome("evaluate", Kind.EVALUATE, *found, model="quantize"),
    ]


@pytest.mark.parametrize(("found", "words"), [
    ([measured("accuracy", 0.9673, 0.0182), measured("agreement", 0.99)], "96.73% ±1.8 (398)"),
    ([measured("accuracy", 1.0, rows=None)], "100.00% "),
    ([measured("agreement", 0.98, 0.013), measured("cosine_distance", 0.0021)],
     "agrees 98.00% ±1.3, distance 0.0021 (398)"),
    ([measured("r_squared", 0.998)], "R² 0.9980 (398)"),
    ([measured("cosine_distance", 0.0021, rows=32)], " distance 0.0021 (32)"),
    ([], "quality"),
])  # fmt: skip
def test_the_table_says_how_right_a_model_is_and_on_how_many_rows(
    found: list[Measurement], words: str
) -> None:
    latency = measured("latency", 0.155, 0.001).model_copy(update={"subject": tables.CANDIDATE})
    bench = outcome("benchmark", Kind.BENCHMARK, latency, model="quantize", verdict="faster")
    heading, *lines = printed([*job(*found), bench])
    assert ("accuracy" in heading) == any(m.name == "accuracy" for m in found)
    assert words in f"{heading}{lines[2]}"
    assert "quantize" in lines[2]
    assert max(len(line.rstrip()) for line in [heading, *lines]) <= 120


def test_the_table_names_the_type_of_most_numbers_of_each_model() -> None:
    _, convert, quantize = printed(job(measured("accuracy", 0.9)))
    assert convert.split()[:2] == ["convert", "f32"]
    assert quantize.split()[:3] == ["quantize", "i8", "60%"]


def test_a_job_that_measured_nothing_has_no_table() -> None:
    assert printed(job()) == []


def test_brackets_in_a_note_are_no_markup() -> None:
    note = Note(code=NoteCode.AUTO, message="an output [rows, classes] and [/x] and [bold]")
    assert printed([outcome("convert", Kind.CONVERT, notes=[note])]) == [
        "convert: an output [rows, classes] and [/x] and [bold]"
    ]
    shown = StringIO()
    tables.listing(("job", ""), [("job_1", "[rows, classes] [/x]")], Console(file=shown, width=80))
    assert "[rows, classes] [/x]" in shown.getvalue()


CHECK = (
    "Exception from src/core.cpp:98:\nCheck 'shape.is_static()' failed:\nModel width shall be static\n\n}\n"
)


@pytest.mark.parametrize(("evidence", "said"), [
    (CHECK, "it was said: Model width shall be static"),
    ("RuntimeError: as it\n   was ", "it was said: was"),
    ("does not\x1b[2J fit", "does not\ufffd[2J fit"),
    ("x" * 400, f"it was said: {'x' * 300} …"),
    ("this does not fit", ""),
    ("\n}\n", ""),
    (None, ""),
])  # fmt: skip
def test_the_last_words_of_the_tool_are_shown(
    evidence: str | None, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    failure = Failure(
        failure_class=FailureClass.USER,
        code=FailureCode.PARAMETER_REFUSED,
        message="this does not fit",
        hint="make it fit",
        evidence=evidence,
    )
    tell_failure(UUID(int=1), failure)
    told = capsys.readouterr().err
    assert said in told
    assert bool(said) == ("it was said" in told)
