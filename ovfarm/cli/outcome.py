"""How commands speak and end: data on stdout, words on stderr, and an exit code that says which way."""

import sys
from dataclasses import dataclass
from enum import IntEnum
from typing import Annotated

from cyclopts import Parameter

from ovfarm.cli.uploading import Uploading
from ovfarm.client import Client
from ovfarm.errors import InvalidInput, NotFound, OvfarmError, Refused, Unavailable
from ovfarm.settings import read


class Exit(IntEnum):
    """The exit codes."""

    OK = 0
    FAILED = 1
    USAGE = 2
    TIMED_OUT = 3
    UNAUTHORIZED = 4
    NOT_FOUND = 5
    REFUSED = 6
    UNREACHABLE = 75
    INTERRUPTED = 130


_BY_STATUS = {
    400: Exit.USAGE,
    401: Exit.UNAUTHORIZED,
    403: Exit.UNAUTHORIZED,
    404: Exit.NOT_FOUND,
    409: Exit.REFUSED,
    422: Exit.USAGE,
    429: Exit.REFUSED,
}


def exit_code(error: OvfarmError) -> Exit:
    """Return the exit code for an error."""
    if isinstance(error, Refused):
        return _BY_STATUS.get(error.status, Exit.FAILED)
    if isinstance(error, Unavailable):
        return Exit.UNREACHABLE
    if isinstance(error, NotFound):
        return Exit.NOT_FOUND
    return Exit.USAGE if isinstance(error, InvalidInput) else Exit.FAILED


@Parameter(name="*")
@dataclass(frozen=True, slots=True)
class Common:
    """What every command that talks to a farm takes."""

    url: Annotated[str | None, Parameter(env_var="OVFARM_URL", help="the farm's address")] = None
    key: Annotated[str | None, Parameter(env_var="OVFARM_KEY", help="your team's key")] = None
    json: Annotated[bool, Parameter(negative=(), help="print JSON on stdout")] = False

    def client(self) -> Client:
        """Return a client of the farm that is meant."""
        return Client(self.url or read().url, key=self.key, progress=Uploading(say))


COMMON = Common()


def say(text: str) -> None:
    """Write words for a person."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def put(text: str) -> None:
    """Write data."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
