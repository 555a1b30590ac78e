"""The API's server: refuses to start where it would be open to strangers, or behind its schema."""

import ipaddress

import uvicorn

from api.listening import listening
from ovfarm.errors import InvalidInput, Unavailable
from ovfarm.settings import Settings
from storage.schema import at_head


def serve(settings: Settings) -> None:
    """Serve until the process is told to leave; raises OvfarmError when it cannot start."""
    if not settings.require_keys:
        _check_host(settings.host)
    settings.home.mkdir(parents=True, exist_ok=True)
    if not at_head(settings.database):
        raise Unavailable("the database has an older schema", hint="run: ovfarm admin migrate")
    uvicorn.Server(listening(settings)).run()


def _check_host(host: str) -> None:
    """Refuse to be reachable from other machines while anyone who reaches it may do everything."""
    try:
        local = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        local = False
    if not local:
        raise InvalidInput(
            f"OVFARM_HOST={host} would open the farm to other machines without any key",
            code="host_refused",
            hint="set OVFARM_REQUIRE_KEYS=true and make keys with: ovfarm admin keys add",
        )
