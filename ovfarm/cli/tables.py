"""Tables for people: what a job found out, and lists."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from ovfarm.jobs import JobResult, StepOutcome
from ovfarm.recipes import MODEL_MAKERS, Kind
from ovfarm.results import Measurement, Verdict

REFERENCE, DEFAULT, CANDIDATE = "reference_f32", "reference_default", "candidate"


@dataclass(frozen=True, slots=True)
class Variant:
    """One line of the result: a model and what was measured of it."""

    name: str
    accuracy: Measurement | None
    latency: Measurement | None
    size_bytes: int | None


def find(step: StepOutcome | None, name: str, subject: str | None = None) -> Measurement | None:
    """Return a step's measurement by name, and by subject where there are several."""
    measured = step.measurements if step else ()
    return next((m for m in measured if m.name == name and subject in {None, m.subject}), None)


def benchmark(result: JobResult) -> StepOutcome | None:
    """Return the last benchmark of a job."""
    found = [step for step in result.steps if step.kind is Kind.BENCHMARK]
    return found[-1] if found else None


def variants(result: JobResult) -> list[Variant]:
    """Return a line for each model that the job made; the reference has one for each precision."""
    bench = benchmark(result)
    lines: list[Variant] = []
    for maker in (step for step in result.steps if step.kind in MODEL_MAKERS and not step.stopped):
        judged = [s for s in result.steps if s.kind is Kind.EVALUATE and s.model == _judged(maker, result)]
        accuracy = find(judged[-1] if judged else None, "accuracy")
        candidate = bench is not None and bench.model == maker.name
        arms = [(maker.name, CANDIDATE)] if candidate else _reference_arms(maker, result)
        for name, arm in arms:
            lines.append(Variant(name, accuracy, find(bench, "latency", arm), maker.artifact_bytes))
    return lines


def _judged(maker: StepOutcome, result: JobResult) -> str | None:
    """Return the name of the model that was judged: of a choice, the one that it took."""
    if maker.chosen is None:
        return maker.name
    if maker.chosen.gate is None:
        return next((step.name for step in result.steps if step.kind is Kind.CONVERT), None)
    # With several targets each has its own evaluation: evaluate@cpu, evaluate@gpu.
    named = (step for step in result.steps if step.name.partition("@")[0] == maker.chosen.gate)
    return next((step.model for step in named), None)


def _reference_arms(maker: StepOutcome, result: JobResult) -> list[tuple[str, str]]:
    first = next((step for step in result.steps if step.kind is Kind.CONVERT), None)
    if first is None or maker.name != first.name or benchmark(result) is None:
        return [(maker.name, "")]
    return [(f"{maker.name} (f32)", REFERENCE), (f"{maker.name} (default)", DEFAULT)]


def show(result: JobResult, console: Console) -> None:
    """Print what a job found out."""
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for column in ("variant", "accuracy", "p50 ms", "size", "vs f32", "vs default", "verdict"):
        table.add_column(column, justify="left" if column in {"variant", "verdict"} else "right")
    bench = benchmark(result)
    for line in variants(result):
        mine = bench is not None and bench.model == line.name
        table.add_row(
            line.name,
            f"{line.accuracy.value:.2%}" if line.accuracy else "–",
            _interval(line.latency),
            _size(line.size_bytes),
            _ratio(find(bench, "speedup", REFERENCE)) if mine else "",
            _ratio(find(bench, "speedup", DEFAULT)) if mine else "",
            _verdict(bench.verdict) if mine and bench else "",
        )
    console.print(table)
    for step in result.steps:
        for note in step.notes:
            console.print(f"[dim]{step.name}: {note.message}[/dim]")


def _interval(measured: Measurement | None) -> str:
    if measured is None:
        return "–"
    if measured.ci_low is None or measured.ci_high is None:
        return f"{measured.value:.3f}"
    return f"{measured.value:.3f} ±{(measured.ci_high - measured.ci_low) / 2:.3f}"


def _ratio(measured: Measurement | None) -> str:
    if measured is None or measured.ci_low is None or measured.ci_high is None:
        return "–"
    return f"{measured.value:.2f}x ±{(measured.ci_high - measured.ci_low) / 2:.2f}"


def _size(count: int | None) -> str:
    if count is None:
        return "–"
    return f"{count / 1e6:.2f} MB" if count >= 1e6 else f"{count / 1e3:.0f} kB"


def _verdict(verdict: Verdict | None) -> str:
    return verdict.value if verdict else ""


def listing(columns: Sequence[str], rows: Sequence[Sequence[str]], console: Console) -> None:
    """Print a list with a heading."""
    table = Table(*columns, box=None, pad_edge=False, header_style="bold")
    # What a row is called by is copied into the next command: never cut it.
    table.columns[0].no_wrap = True
    table.columns[0].min_width = max((len(row[0]) for row in rows), default=0)
    for row in rows:
        table.add_row(*row)
    console.print(table)
