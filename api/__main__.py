"""``python -m api``: the API, until SIGTERM.

``python -m api migrate`` brings the database up to date; ``python -m api operate`` obeys the order on
its standard input (``ovfarm.teams.Order``, JSON) and prints the answer.
"""

import ipaddress
import sys

import uvicorn

from api.bell import declare_queues
from api.listening import listening
from api.operate import operate
from ovfarm.errors import InvalidInput, OvfarmError, Unavailable
from ovfarm.settings import LogFormat, Settings, read
from storage.logs import start_logging
from storage.schema import at_head, migrate


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


def main(arguments: list[str]) -> int:
    """Run the verb; returns the exit code."""
    try:
        settings = read()
        start_logging(json=settings.log is LogFormat.JSON)
        if arguments == ["migrate"]:
            settings.home.mkdir(parents=True, exist_ok=True)
            migrate(settings.database)
            declare_queues(settings)
        elif arguments == ["operate"]:
            sys.stdout.write(operate(settings, sys.stdin.read()) + "\n")
        elif arguments:
            raise InvalidInput(f"there is no {arguments[0]!r}", hint="python -m api [migrate | operate]")
        else:
            serve(settings)
    except OvfarmError as error:
        sys.stderr.write("\n".join(filter(None, [error.message, error.hint])) + "\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
