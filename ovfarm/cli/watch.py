"""Watching a job: live lines on a terminal, one line for each change elsewhere. Always on stderr."""

from uuid import UUID

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ovfarm.client import Client
from ovfarm.jobs import JobView, StepView
from ovfarm.shapes import public_id
from ovfarm.states import StepState

_MARKS = {
    StepState.SUCCEEDED: ("✓", "green"),
    StepState.RUNNING: ("▸", "cyan"),
    StepState.FAILED: ("✗", "red"),
    StepState.CANCELLED: ("–", "dim"),
    StepState.QUEUED: ("·", "dim"),
    StepState.BLOCKED: ("·", "dim"),
}


def watch(client: Client, job_id: UUID, *, timeout_s: float | None = None) -> JobView:
    """Show a job until it has ended and return it; raises TimeoutError. Ctrl-C leaves it running."""
    console = Console(stderr=True)
    try:
        if console.is_terminal:
            return _live(client, job_id, console, timeout_s)
        return _lines(client, job_id, console, timeout_s)
    except KeyboardInterrupt:
        console.print(f"the job goes on; look again with: ovfarm jobs wait {public_id('job', job_id)}")
        raise


def _live(client: Client, job_id: UUID, console: Console, timeout_s: float | None) -> JobView:
    with Live(console=console, refresh_per_second=8) as live:
        for view in client.changes(job_id, every_s=0.2, timeout_s=timeout_s):
            live.update(_table(view))
    return view


def _table(view: JobView) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    for step in view.steps:
        mark, style = _MARKS[step.state]
        table.add_row(Text(mark, style=style), Text(step.name, style=style), Text(_state(step)))
    return table


def _state(step: StepView) -> str:
    if step.progress and step.state is StepState.RUNNING:
        done = f"{step.progress.done}/{step.progress.total}" if step.progress.total else ""
        eta = f", {step.progress.eta_s:.0f} s left" if step.progress.eta_s else ""
        return f"{step.progress.stage} {done}{eta}"
    if step.failure and step.state is not StepState.SUCCEEDED:
        return step.failure.message
    if step.state is StepState.SUCCEEDED:
        return "cached" if step.cached else _took(step)
    return step.reason or step.state.value


def _took(step: StepView) -> str:
    if step.started_at is None or step.finished_at is None:
        return "done"
    return f"{(step.finished_at - step.started_at).total_seconds():.1f} s on {step.node_name}"


def _lines(client: Client, job_id: UUID, console: Console, timeout_s: float | None) -> JobView:
    told: dict[str, str] = {}
    for view in client.changes(job_id, every_s=0.2, timeout_s=timeout_s):
        for step in view.steps:
            mark, _ = _MARKS[step.state]
            stage = step.progress.stage if step.progress and step.state is StepState.RUNNING else ""
            line = f"{step.state} {stage}"
            if told.get(step.name) != line and step.state not in {StepState.BLOCKED, StepState.QUEUED}:
                console.print(f"{mark} {step.name}: {_state(step)}", highlight=False, markup=False)
            told[step.name] = line
    return view
