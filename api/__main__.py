"""``python -m api``: the API, until SIGTERM.

``python -m api migrate`` brings the database up to date; ``python -m api operate`` obeys the order on
its standard input (``ovfarm.teams.Order``, JSON) and prints the answer.
"""

import sys

from ovfarm.errors import InvalidInput, OvfarmError
from ovfarm.settings import LogFormat, Settings, read
from storage.logs import start_logging


def main(arguments: list[str]) -> int:
    """Run the verb; returns the exit code."""
    try:
        settings = read()
        start_logging(json=settings.log is LogFormat.JSON)
        _run(settings, arguments)
    except OvfarmError as error:
        sys.stderr.write("\n".join(filter(None, [error.message, error.hint])) + "\n")
        return 1
    return 0


def _run(settings: Settings, arguments: list[str]) -> None:
    """Import what the verb needs and no more: an operator's order does not wait for a web server."""
    match arguments:
        case []:
            from api.serving import serve

            serve(settings)
        case ["migrate"]:
            from api.bell import declare_queues
            from storage.schema import migrate

            settings.home.mkdir(parents=True, exist_ok=True)
            migrate(settings.database)
            declare_queues(settings)
        case ["operate"]:
            from api.operate import operate

            sys.stdout.write(operate(settings, sys.stdin.read()) + "\n")
        case [verb, *_]:
            raise InvalidInput(f"there is no {verb!r}", hint="python -m api [migrate | operate]")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
