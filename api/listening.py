"""How the server listens: impatient, bounded, and silent about what it is."""

import uvicorn

from api.app import create_app
from api.patience import Impatient
from ovfarm.settings import Settings

_MAX_HEADERS = 64 << 10


def listening(settings: Settings) -> uvicorn.Config:
    """Return the server's configuration; raises Unavailable when database or store are away."""
    return uvicorn.Config(
        create_app(settings),
        host=settings.host,
        port=settings.port,
        log_level="warning",
        http=Impatient,
        timeout_keep_alive=30,
        h11_max_incomplete_event_size=_MAX_HEADERS,
        server_header=False,
    )
