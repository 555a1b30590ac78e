"""``python -m workers``: one node of the pool, until SIGTERM."""

import sys
from contextlib import closing

import structlog

from ovfarm.errors import OvfarmError, Unavailable
from ovfarm.jobs import NodeState
from ovfarm.settings import Settings
from storage import nodes
from storage.blobs import Blobs
from storage.database import Database
from storage.schema import at_head
from workers.app import celery_app, listen
from workers.bell import bell
from workers.drain import Slots
from workers.isolate import Zygote
from workers.node import inventory, join, name_of
from workers.rounds import Rounds
from workers.sandbox import Unsandboxed
from workers.workplace import Workplace

log = structlog.get_logger()


def serve(settings: Settings) -> None:
    """Serve until the process is told to leave; raises Unavailable when the node cannot start."""
    settings.home.mkdir(parents=True, exist_ok=True)
    if not at_head(settings.database):
        raise Unavailable("the database has an older schema", hint="run: ovfarm admin migrate")
    scratch = settings.home / "scratch" / name_of(settings)
    with (
        closing(Database(settings.database, bell=bell(settings))) as database,
        Zygote(
            sandbox=Unsandboxed(scratch.parent),
            recycle_after=settings.recycle_after,
            watchdog_s=settings.lease_s,
        ) as zygote,
    ):
        zygote.start()
        offer = inventory(settings, zygote, scratch)
        node = join(settings, database, offer)
        place = Workplace(settings, database, Blobs(settings.store), zygote, node)
        _serve(place)


def _serve(place: Workplace) -> None:
    slots, rounds = Slots(place), Rounds(place)
    slots.start()
    rounds.start()
    slots.wake()
    log.info("node.online", node=place.node.name, device=place.node.offer.device_name)
    try:
        settings, queues = place.settings, place.node.offer.queues
        listen(
            lambda: celery_app(settings.broker, settings.home, queues),
            slots.wake,
            place.node.name,
            settings.slots,
        )
    finally:
        with place.database.write() as session:
            nodes.set_state(session, place.node.id, NodeState.DRAINING)
        slots.leave(place.settings.drain_s)
        rounds.stop()
        with place.database.write() as session:
            nodes.set_state(session, place.node.id, NodeState.LOST)
        log.info("node.left", node=place.node.name)


def main() -> int:
    """Start a node; returns the exit code."""
    try:
        serve(Settings())
    except OvfarmError as error:
        sys.stderr.write(f"{error.message}\n{error.hint or ''}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
