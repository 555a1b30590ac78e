"""Jobs: submit, look, list, cancel, read the result."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Header, Query, Response
from sqlalchemy.orm import Session

from api import pages, problems
from api.deps import At, Reading, Team
from ovfarm.errors import InvalidInput
from ovfarm.jobs import ArtifactView, JobPage, JobResult, JobSpec, JobView, Why
from ovfarm.plan import PlannedStep, plan
from ovfarm.recipes import Kind, Recipe
from ovfarm.resolution import resolve
from ovfarm.settings import Settings
from ovfarm.shapes import Document, JobId, public_id
from ovfarm.states import JobState
from storage import jobs, queries
from storage.waits import explain

router = APIRouter(prefix="/jobs", tags=["jobs"])
_PATIENCE = ((60, 1), (600, 5))
_LONGEST_PATIENCE_S = 15


class PlanView(Document):
    """What a spec would run."""

    recipe: Recipe
    steps: tuple[str, ...]


@router.post(
    "",
    name="submit",
    status_code=202,
    response_model=JobView,
    responses={
        200: {"model": PlanView, "description": "validate_only: the plan"},
        **problems.document(409, 429),
    },
)
def submit(
    spec: JobSpec,
    team: Team,
    door: At,
    response: Response,
    idempotency_key: Annotated[
        str | None,
        Header(
            pattern=r"^[\x21-\x7e]{1,200}$",
            description="names this submit: sent again with the same body it leads to the same job",
        ),
    ] = None,
    validate_only: Annotated[bool, Query(description="plan it, and run nothing")] = False,  # noqa: FBT002 - a query parameter
) -> JobView | Response:
    """Accept a job: it is stored when the answer arrives, and will end exactly once."""
    steps = plan(spec)
    _check_probes(steps, door.settings)

    def write(session: Session) -> JobView:
        made = jobs.submit(session, team, spec, key=idempotency_key)
        if validate_only:
            session.rollback()
        return made

    view = door.database.run(write)
    if validate_only:
        planned = PlanView(recipe=resolve(spec), steps=tuple(step.name for step in steps))
        return Response(planned.model_dump_json(), media_type="application/json")
    response.headers["Location"] = f"/v1/jobs/{public_id('job', view.id)}"
    _describe(response, view)
    return view


def _check_probes(steps: tuple[PlannedStep, ...], settings: Settings) -> None:
    if not settings.probe_steps and any(step.params.kind is Kind.PROBE for step in steps):
        raise InvalidInput(
            "probe steps are switched off on this farm",
            pointer="/recipe",
            code="probe_refused",
            hint="the operator switches them on with OVFARM_PROBE_STEPS=true",
        )


@router.get(
    "/{job_id}",
    name="get",
    response_model=JobView,
    responses={304: {"description": "nothing has changed"}, **problems.document(404)},
)
def get(
    job_id: JobId,
    session: Reading,
    team: Team,
    response: Response,
    if_none_match: Annotated[str | None, Header()] = None,
) -> JobView | Response:
    """Show a job as it stands; with its ETag in If-None-Match, 304 while nothing has changed."""
    tag = _tag(job_id, queries.job_version(session, team, job_id))
    if if_none_match is not None and tag in if_none_match:
        return Response(status_code=304, headers={"ETag": tag})
    view = queries.job(session, team, job_id)
    _describe(response, view)
    return view


def _tag(job_id: JobId, version: int) -> str:
    return f'"{public_id("job", job_id)}-{version}"'


def _describe(response: Response, view: JobView) -> None:
    response.headers["ETag"] = _tag(view.id, view.version)
    if not view.ended:
        age_s = (datetime.now(UTC) - view.created_at).total_seconds()
        patience = next((wait for upto, wait in _PATIENCE if age_s < upto), _LONGEST_PATIENCE_S)
        response.headers["Retry-After"] = str(patience)


@router.get("", name="list")
def list_jobs(
    session: Reading,
    team: Team,
    response: Response,
    state: Annotated[list[JobState], Query(description="only these states")] = [],  # noqa: B006 - FastAPI copies it
    page_size: Annotated[int, Query(ge=1, le=200)] = 50,
    page_token: Annotated[str | None, Query(description="from the page before")] = None,
) -> JobPage:
    """List jobs, newest first, page by page."""
    before = pages.opened(page_token, state) if page_token else None
    items, more = queries.jobs(session, team, states=state, limit=page_size, before_seq=before)
    if more is None:
        return JobPage(items=items)
    token = pages.token(more, state)
    query = "".join(f"&state={name}" for name in state)
    response.headers["Link"] = f'</v1/jobs?page_size={page_size}&page_token={token}{query}>; rel="next"'
    return JobPage(items=items, next_page_token=token)


@router.post("/{job_id}/cancel", name="cancel", status_code=202, responses=problems.document(404, 409))
def cancel(job_id: JobId, team: Team, door: At) -> JobView:
    """Ask for a job to end: what waits ends at once, what runs within two seconds."""
    return door.database.run(lambda session: jobs.cancel(session, team, job_id))


@router.get("/{job_id}/why", name="why", responses=problems.document(404))
def why(job_id: JobId, session: Reading, team: Team) -> Why:
    """Say in one sentence, with numbers, what a job waits for."""
    return explain(session, team, job_id)


@router.get("/{job_id}/result", name="result", responses=problems.document(404, 409))
def result(job_id: JobId, session: Reading, team: Team) -> JobResult:
    """Return what an ended job found out."""
    return queries.result(session, team, job_id)


@router.get("/{job_id}/artifacts", name="artifacts", responses=problems.document(404))
def artifacts(job_id: JobId, session: Reading, team: Team) -> tuple[ArtifactView, ...]:
    """List what the steps of a job have made so far."""
    return queries.artifacts(session, team, job_id)
