"""Tables for people: what a job found out, and lists."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ovfarm.jobs import JobResult, StepOutcome
from ovfarm.recipes import MODEL_MAKERS, Kind
from ovfarm.results import Measurement, Verdict
from ovfarm.shapes import shown

REFERENCE, DEFAULT, CANDIDATE = "reference_f32", "reference_default", "candidate"
# Where nobody says how wide a line is, because it goes to a file.
_WIDE = 120
# Of so large a share of its numbers a type is that of the whole model.
_NEARLY_ALL = 0.9


@dataclass(frozen=True, slots=True)
class Variant:
    """One line of the result: a model and what was measured of it."""

    name: str
    judged: StepOutcome | None
    element_types: Mapping[str, int]
    latency: Measurement | None
    size_bytes: int | None

    @property
    def accuracy(self) -> Measurement | None:
        """How often it was right, where there were labels."""
        return find(self.judged, "accuracy")


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
        candidate = bench is not None and bench.model == maker.name
        arms = [(maker.name, CANDIDATE)] if candidate else _reference_arms(maker, result)
        for name, arm in arms:
            latency = find(bench, "latency", arm)
            evaluation = judged[-1] if judged else None
            lines.append(Variant(name, evaluation, maker.element_types, latency, maker.artifact_bytes))
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
    """Print what a job found out, as far as it came; nothing where nothing was measured."""
    if any(step.measurements for step in result.steps):
        if not console.is_terminal:
            console.width = max(console.width, _WIDE)
        console.print(_table(result))
    for step in result.steps:
        for note in step.notes:
            console.print(Text(f"{step.name}: {shown(note.message)}", style="dim"))


def _table(result: JobResult) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    lines, bench = variants(result), benchmark(result)
    title = "accuracy" if any(line.accuracy for line in lines) else "quality"
    for column in ("variant", "type", title, "p50 ms", "size", "vs f32", "vs default", "verdict"):
        table.add_column(column, justify="left" if column in {"variant", "type", "verdict"} else "right")
    for line in lines:
        mine = bench is not None and bench.model == line.name
        table.add_row(
            line.name,
            _type(line.element_types),
            _quality(line.judged),
            _interval(line.latency),
            _size(line.size_bytes),
            _ratio(find(bench, "speedup", REFERENCE)) if mine else "",
            _ratio(find(bench, "speedup", DEFAULT)) if mine else "",
            _verdict(bench.verdict) if mine and bench else "",
        )
    return table


def _type(element_types: Mapping[str, int]) -> str:
    """Return the type of most of a model's numbers, with their share where others have a part in it."""
    if not element_types:
        return "–"
    most, count = max(element_types.items(), key=lambda item: item[1])
    share = count / sum(element_types.values())
    return most if share >= _NEARLY_ALL else f"{most} {share:.0%}"


def _quality(judged: StepOutcome | None) -> str:
    """Return how right a model was, else how like its reference, and on how many rows."""
    if accuracy := find(judged, "accuracy"):
        return _share(accuracy) + _rows(accuracy)
    agreement, fit = find(judged, "agreement"), find(judged, "r_squared")
    distance = find(judged, "cosine_distance")
    words = [f"agrees {_share(agreement)}"] if agreement else []
    words += [f"R² {fit.value:.4f}"] if fit and not agreement else []
    words += [f"distance {distance.value:.4f}"] if distance else []
    first = agreement or fit or distance
    return ", ".join(words) + _rows(first) if first else "–"


def _rows(measured: Measurement) -> str:
    return f" ({measured.conditions.samples})" if measured.conditions.samples is not None else ""


def _share(measured: Measurement) -> str:
    if measured.ci_low is None or measured.ci_high is None:
        return f"{measured.value:.2%}"
    return f"{measured.value:.2%} ±{(measured.ci_high - measured.ci_low) * 50:.1f}"


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
        # What others have written is text, whatever brackets are in it.
        table.add_row(*(Text(cell) for cell in row))
    console.print(table)
