"""``ovfarm jobs retry``: a job that has ended, once more, with what should be different."""

from dataclasses import dataclass
from typing import Annotated

from cyclopts import Parameter
from pydantic import ValidationError

from ovfarm.advice import patched
from ovfarm.cli import files
from ovfarm.cli.optimize import LIMIT, finish
from ovfarm.cli.outcome import COMMON, Common, Exit, put, say
from ovfarm.cli.patches import settings
from ovfarm.cli.watch import watch as watch_job
from ovfarm.errors import InvalidInput
from ovfarm.fields import mistake
from ovfarm.jobs import Cache, JobSpec
from ovfarm.patches import Patch
from ovfarm.shapes import parse_id, public_id

_RECIPE = "another recipe, by name or as a file; the job's own --set are dropped with the old one"


@Parameter(name="*")
@dataclass(frozen=True, slots=True)
class Changes:
    """What should be different this time."""

    overrides: Annotated[
        tuple[str, ...], Parameter(help="STEP.PARAMETER=VALUE", name="--set", negative=())
    ] = ()
    recipe: Annotated[str | None, Parameter(help=_RECIPE)] = None
    limits: Annotated[tuple[str, ...], LIMIT] = ()
    cache: Annotated[Cache | None, Parameter(help="reuse finished work, do it again, or neither")] = None


NONE = Changes()


def retry(
    job: str,
    *,
    changes: Changes = NONE,
    watch: Annotated[bool, Parameter(help="wait for the end and show it")] = True,
    common: Common = COMMON,
) -> int:
    """Submit a job again, as it was or with changes; steps that are the same come from the cache."""
    client = common.client()
    try:
        named = parse_id("job", job)
    except ValueError as malformed:
        raise InvalidInput(f"{job}: {malformed}", hint="list yours: ovfarm jobs ls") from None
    view = client.submit(_changed(client.job(named).spec, changes))
    say(f"{public_id('job', view.id)} submitted to {client.transport.url}")
    if not watch:
        put(view.model_dump_json() if common.json else public_id("job", view.id))
        return Exit.OK
    return finish(client, watch_job(client, view.id), json=common.json)


def _changed(spec: JobSpec, changes: Changes) -> JobSpec:
    if changes.recipe:
        spec = spec.model_copy(update={"recipe": files.recipe(changes.recipe), "overrides": {}})
    if changes.cache:
        spec = spec.model_copy(update={"cache": changes.cache})
    asked = {"overrides": settings(changes.overrides), "limits": settings(changes.limits, "--limit")}
    try:
        if any(asked.values()):
            return patched(spec, Patch.model_validate({"why": "asked for", **asked}))
        return JobSpec.model_validate(spec.model_dump())
    except ValidationError as invalid:
        raise InvalidInput(mistake(invalid, JobSpec, Patch)) from None
