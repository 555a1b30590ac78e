"""The Celery application: it listens to the node's queues and turns each ring into one bell stroke."""

import contextlib
import signal
import threading
from collections.abc import Callable, Collection
from pathlib import Path

import structlog
from celery import Celery
from celery.signals import worker_shutting_down
from kombu import Exchange, Queue

from ovfarm.broker import EXCHANGE, celery_settings, prepare
from ovfarm.hardware import WAKE_TASK

log = structlog.get_logger()
_PAUSE_S = 1.0


def celery_app(broker_url: str, home: Path, queues: Collection[str]) -> Celery:
    """Return an application that declares ``queues``, each bound to its own routing key.

    Without a key of its own every queue would get a copy of every ring.
    """
    prepare(broker_url, home)
    app = Celery("ovfarm", set_as_current=False)
    app.conf.update(celery_settings(broker_url, home, queues))
    exchange = Exchange(EXCHANGE)
    app.conf.task_queues = [Queue(name, exchange, routing_key=name) for name in sorted(queues)]
    return app


def listen(make: Callable[[], Celery], wake: Callable[[], None], node_name: str, slots: int) -> None:
    """Serve rings until the process is told to stop; each one calls ``wake`` and is done.

    A consumer that dies of its broker is made anew after a pause: meanwhile the node's timer asks.
    """
    told = threading.Event()
    worker_shutting_down.connect(lambda **_: told.set(), weak=False)
    while not told.is_set():
        _consume(make(), wake, node_name, slots)
        for sent in (signal.SIGTERM, signal.SIGINT):
            signal.signal(sent, lambda *_: told.set())
        if not told.wait(_PAUSE_S):
            log.warning("consumer.died", node=node_name)


def _consume(app: Celery, wake: Callable[[], None], node_name: str, slots: int) -> None:
    app.task(wake, name=WAKE_TASK, ignore_result=True)
    arguments = [
        "--quiet",
        "worker",
        "--pool=threads",
        f"--concurrency={slots}",
        f"--hostname={node_name}",
        "--loglevel=WARNING",
        "--without-gossip",
        "--without-mingle",
        "--without-heartbeat",
    ]
    # Celery ends with an exit code; whether the node ends is not for its consumer to say.
    with contextlib.suppress(SystemExit):
        app.worker_main(arguments)
