"""The FastAPI application: routes composed, guards around them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.routing import APIRoute

from api import problems
from api.bell import bell
from api.deps import open_door
from api.guards import Guards
from api.routes import artifacts, blobs, catalog, health, jobs, metrics, nodes, recipes
from ovfarm.settings import Settings
from ovfarm.version import VERSION
from storage.database import Database
from storage.rounds import Pace, Round, Rounds

_ABOUT = """\
A farm that makes models fast on Intel hardware: register a model, submit a job, poll it, download the
optimised IR with metrics that say how sure they are. Errors are problem documents (RFC 9457).
"""


def _operation(route: APIRoute) -> str:
    return f"{route.tags[0]}_{route.name}" if route.tags else route.name


def create_app(settings: Settings) -> FastAPI:
    """Return the application for ``settings``; raises Unavailable when database or store are away."""
    database = Database(settings.database, bell=bell(settings))

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        rounds = Rounds(Round(database, Pace(settings.lease_s, settings.poll_s, settings.sweep_s)))
        rounds.start()
        yield
        await asyncio.to_thread(rounds.stop)
        database.close()

    app = FastAPI(
        title="ovfarm",
        version=VERSION,
        description=_ABOUT,
        lifespan=lifespan,
        generate_unique_id_function=_operation,
        responses=problems.document(422, 500, 503),
    )
    app.state.door = open_door(settings, database)
    app.add_middleware(Guards, max_body=settings.max_body_bytes)
    problems.install(app)
    for module in (blobs, catalog, jobs, artifacts, recipes, nodes):
        app.include_router(module.router, prefix="/v1")
    app.include_router(health.router)
    app.include_router(metrics.router)
    return app
