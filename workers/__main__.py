"""``python -m workers``: one node of the pool, until SIGTERM. ``python -m workers health``: is it heard?"""

import sys
import threading
from contextlib import closing

import structlog

from ovfarm.errors import OvfarmError, Unavailable
from ovfarm.jobs import NodeState
from ovfarm.settings import LogFormat, Settings, read
from storage import nodes
from storage.blobs import Blobs
from storage.database import Database
from storage.logs import start_logging
from storage.rounds import Pace, Round, Rounds
from storage.schema import at_head
from workers.app import Told, celery_app, listen, mind_signals
from workers.bell import bell
from workers.drain import Slots
from workers.health import Health
from workers.isolate import Zygote
from workers.node import (
    choose_sandbox,
    inventory,
    join,
    loads_programs,
    name_of,
    preload,
    sandboxed,
)
from workers.workplace import Workplace

log = structlog.get_logger()


def serve(settings: Settings) -> None:
    """Serve until the process is told to leave; raises Unavailable when the node cannot start."""
    settings.home.mkdir(parents=True, exist_ok=True)
    if not at_head(settings.database):
        raise Unavailable("the database has an older schema", hint="run: ovfarm admin migrate")
    scratch = settings.home / "scratch" / name_of(settings)
    sandbox = choose_sandbox(settings, scratch)
    with (
        closing(Database(settings.database, bell=bell(settings))) as database,
        Zygote(
            sandbox=sandbox,
            preload=preload(settings),
            recycle_after=settings.recycle_after,
            watchdog_s=settings.lease_s,
        ) as zygote,
    ):
        zygote.start()
        offer = sandboxed(inventory(settings, zygote, scratch), settings.sandbox, sandbox.level)
        offer = offer.model_copy(update={"torch_programs": loads_programs(settings, sandbox.level)})
        early = mind_signals()
        node = join(settings, database, offer)
        health = Health(
            database, node, lambda: inventory(settings, zygote, scratch), rest_s=2 * settings.lease_s
        )
        blobs = Blobs(settings.store, settings.s3)
        place = Workplace(settings, database, blobs, zygote, node, health)
        _serve(place, early)


def _serve(place: Workplace, early: threading.Event) -> None:
    settings, database, node = place.settings, place.database, place.node
    slots = Slots(place)
    pace = Pace(settings.lease_s, settings.poll_s, settings.sweep_s)
    rounds = Rounds(
        Round(database, pace, lambda session: nodes.beat(session, node.id, leaving=slots.leaving))
    )
    slots.start()
    rounds.start()
    slots.wake()
    log.info("node.online", node=node.name, device=node.offer.device_name)
    try:
        listen(
            lambda: celery_app(settings.broker, settings.home, node.offer.queues),
            Told(wake=slots.wake, hurry=slots.hurry, early=early),
            node.name,
            settings.slots,
        )
    finally:
        _say(place, NodeState.DRAINING)
        slots.leave(settings.drain_s)
        rounds.stop()
        _say(place, NodeState.LEFT)
        log.info("node.left", node=node.name)


def _say(place: Workplace, state: NodeState) -> None:
    """Say how this node stands as it leaves; if the database is away, its silence will say it."""
    try:
        with place.database.write() as session:
            nodes.set_state(session, place.node.id, state)
    except Unavailable as away:
        log.warning("node.unheard", state=state.value, why=away.message)


def heard(settings: Settings) -> None:
    """Raise Unavailable when this machine's node has said nothing for two leases."""
    with closing(Database(settings.database)) as database, database.read() as session:
        silent_s = nodes.silence_s(session, name_of(settings))
    if silent_s > 2 * settings.lease_s:
        raise Unavailable(f"{name_of(settings)} has said nothing for {silent_s:.0f} s")


def main(arguments: list[str]) -> int:
    """Start a node, or look whether it is heard; returns the exit code."""
    try:
        settings = read()
        start_logging(json=settings.log is LogFormat.JSON)
        heard(settings) if arguments == ["health"] else serve(settings)
    except OvfarmError as error:
        sys.stderr.write(f"{error.message}\n{error.hint or ''}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
