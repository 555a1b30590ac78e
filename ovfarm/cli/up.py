"""``ovfarm up``: the embedded farm in the foreground."""

import signal
import threading
from pathlib import Path

from ovfarm.cli.outcome import Exit, say
from ovfarm.cli.supervise import Farm
from ovfarm.settings import read


def up(*, port: int | None = None, home: Path | None = None) -> int:
    """Start API and worker; one Ctrl-C (or SIGTERM) stops both, a crashed one is started again.

    Parameters
    ----------
    port
        The port of the API on loopback.
    home
        The folder of the database, the files and the logs.
    """
    settings = read()
    settings = settings.model_copy(
        update={"port": settings.port if port is None else port, "home": home or settings.home}
    )
    leaving = threading.Event()
    for sent in (signal.SIGINT, signal.SIGTERM):
        signal.signal(sent, lambda *_: leaving.set())
    with Farm(settings) as farm:
        farm.wait_ready()
        say(f"farm up at {settings.url}  (files in {settings.home}; Ctrl-C stops it)")
        farm.watch(leaving)
        say("stopping …")
    return Exit.OK
