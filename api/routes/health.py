"""Whether the API lives, whether it can work, and which release it is."""

from fastapi import APIRouter, Response

from api.deps import At, Door
from ovfarm.errors import Unavailable
from ovfarm.shapes import Document
from ovfarm.version import VERSION
from storage.schema import at_head

router = APIRouter(tags=["health"])


class Readiness(Document):
    """What the API depends on: ``ok``, or what is wrong."""

    database: str
    schema_version: str
    store: str


class Version(Document):
    """The release."""

    version: str


@router.get("/healthz", name="live", status_code=204, response_class=Response)
def live() -> None:
    """Answer: the process lives."""


@router.get("/readyz", name="ready", responses={503: {"model": Readiness}})
def ready(door: At, response: Response) -> Readiness:
    """Tell whether database, schema and store answer."""
    found = Readiness(database=_database(door), schema_version=_schema(door), store=_store(door))
    if {found.database, found.schema_version, found.store} != {"ok"}:
        response.status_code = 503
    return found


@router.get("/version", name="version")
def version() -> Version:
    """Return the release."""
    return Version(version=VERSION)


def _database(door: Door) -> str:
    try:
        with door.database.read() as session:
            session.connection()
    except Unavailable as away:
        return away.message
    return "ok"


def _schema(door: Door) -> str:
    try:
        return "ok" if at_head(door.settings.database) else "older than this release"
    except Unavailable as away:
        return away.message


def _store(door: Door) -> str:
    try:
        door.blobs.size("0" * 64)
    except Unavailable as away:
        return away.message
    return "ok"
