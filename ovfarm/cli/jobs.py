"""``ovfarm jobs``: list, show, wait, retry, cancel, download."""

import hashlib
from pathlib import Path
from typing import Annotated
from uuid import UUID

from cyclopts import App, Parameter
from rich.console import Console

from ovfarm.cli import tables
from ovfarm.cli.optimize import finish
from ovfarm.cli.outcome import COMMON, Common, Exit, put, say
from ovfarm.cli.patches import tell_failure, tell_notes
from ovfarm.cli.retry import retry
from ovfarm.cli.watch import watch
from ovfarm.errors import InvalidInput, NotFound, Refused
from ovfarm.jobs import ArtifactView, JobResult
from ovfarm.recipes import Kind
from ovfarm.shapes import parse_id, public_id
from ovfarm.states import JobState

app = App(name="jobs", help="List, show, wait for, retry, cancel and download jobs.")
app.command(retry)


def _job(named: str) -> UUID:
    try:
        return parse_id("job", named)
    except ValueError as malformed:
        raise InvalidInput(f"{named}: {malformed}", hint="list yours: ovfarm jobs ls") from None


@app.command
def ls(
    *,
    state: Annotated[tuple[JobState, ...], Parameter(negative=())] = (),
    limit: int = 50,
    common: Common = COMMON,
) -> None:
    """List the newest jobs."""
    page = common.client().jobs(states=tuple(s.value for s in state), limit=limit)
    if common.json:
        put(page.model_dump_json())
        return
    rows = [
        (public_id("job", job.id), job.state.value, job.recipe, job.title, f"{job.created_at:%F %T}")
        for job in page.items
    ]
    tables.listing(("job", "state", "recipe", "title", "created"), rows, Console())


@app.command
def show(job: str, *, common: Common = COMMON) -> None:
    """Show a job with its steps, and what it found out once it has ended."""
    client = common.client()
    view = client.job(_job(job))
    if common.json:
        put(view.model_dump_json())
        return
    console = Console()
    console.print(
        f"{public_id('job', view.id)}  {view.state}  {view.reason or ''}", highlight=False, markup=False
    )
    rows = [
        (s.name, s.state.value, "cached" if s.cached else (s.node_name or ""), _why(s.reason, s.failure))
        for s in view.steps
    ]
    tables.listing(("step", "state", "node", ""), rows, console)
    if view.ended:
        result = client.result(view.id)
        tables.show(result, console)
        tell_notes(result)
    if view.failure:
        tell_failure(view.id, view.failure)


def _why(reason: str | None, failure: object) -> str:
    return reason or str(getattr(failure, "message", "") or "")


@app.command
def wait(*job: str, timeout: float | None = None, common: Common = COMMON) -> int:
    """Wait for jobs to end; 0 when all have succeeded, 1 otherwise, 3 when the time is over.

    Parameters
    ----------
    timeout
        Seconds to wait for each job.
    """
    client = common.client()
    codes = [finish(client, watch(client, _job(named), timeout_s=timeout), json=common.json) for named in job]
    return max(codes, default=Exit.OK)


@app.command
def why(job: str, *, common: Common = COMMON) -> None:
    """Say in one sentence, with numbers, what a job waits for."""
    found = common.client().why(_job(job))
    put(found.model_dump_json() if common.json else found.sentence)


@app.command
def cancel(*job: str, common: Common = COMMON) -> None:
    """Ask for jobs to end."""
    client = common.client()
    for named in job:
        view = client.cancel(_job(named))
        put(view.model_dump_json() if common.json else f"{named} {view.reason or view.state}")


@app.command
def download(
    job: str,
    folder: Path = Path(),
    *,
    force: Annotated[bool, Parameter(negative=())] = False,
    common: Common = COMMON,
) -> None:
    """Download a job's package into FOLDER, each file checked against its sha256.

    Parameters
    ----------
    force
        Write over files of the same names that hold something else.
    """
    client = common.client()
    try:
        result = client.result(_job(job))
        package = result.package
    except Refused as refused:
        if refused.status != 409:
            raise
        raise Refused(refused.message, status=409, hint=f"wait for it: ovfarm jobs wait {job}") from None
    if package is None:
        raise _without_package(result)
    if not force:
        _spare(client.artifact(package), folder)
    paths = client.download(client.artifact(package), folder)
    if common.json:
        put(client.artifact(package).model_dump_json())
    for path in paths:
        say(f"wrote {path}")


def _without_package(result: JobResult) -> NotFound:
    made = [step for step in result.steps if step.kind is Kind.PACKAGE]
    if made and made[-1].stopped:
        return NotFound(
            f"the job made no package: {made[-1].notes[0].message}",
            hint="allow a larger max_drop, or end the recipe with choose and package",
        )
    if made:
        return NotFound(
            "the job's package is gone: an operator let old results go",
            hint="submit the job again; what it needs is made anew",
        )
    return NotFound("the job made no package", hint="its recipe has no package step, or that failed")


def _spare(package: ArtifactView, folder: Path) -> None:
    """Raise InvalidInput for files that a download would write over."""
    for name, entry in package.manifest.files.items():
        path = folder / name
        if path.is_file() and (path.stat().st_size != entry.size or _digest(path) != entry.digest):
            raise InvalidInput(
                f"{path} is there and holds something else", hint="name a folder, or add --force"
            )


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
