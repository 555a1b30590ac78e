"""The Celery application: it listens to the node's queues and turns each ring into one bell stroke."""

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

import structlog
from celery import Celery
from celery.signals import worker_ready, worker_shutting_down
from kombu import Exchange, Queue

from ovfarm.broker import EXCHANGE, celery_settings, prepare
from ovfarm.hardware import WAKE_TASK
from workers.rings import TRANSPORT

log = structlog.get_logger()
_PAUSE_S = 1.0


def celery_app(broker_url: str, home: Path, queues: Collection[str]) -> Celery:
    """Return an application that declares ``queues``, each bound to its own routing key.

    Without a key of its own every queue would get a copy of every ring.
    """
    prepare(broker_url, home)
    app = Celery("ovfarm", set_as_current=False)
    app.conf.update(celery_settings(broker_url, home, queues))
    if broker_url.startswith("filesystem"):
        app.conf.broker_transport = TRANSPORT
    exchange = Exchange(EXCHANGE)
    app.conf.task_queues = [Queue(name, exchange, routing_key=name) for name in sorted(queues)]
    return app


@dataclass(frozen=True, slots=True)
class Told:
    """What a node does when it hears something: a ring, or a second signal to leave.

    ``early`` is set when a first signal came before Celery minded signals.
    """

    wake: Callable[[], None]
    hurry: Callable[[], None]
    early: threading.Event


def mind_signals() -> threading.Event:
    """Return what a signal to leave sets until Celery minds them, which is a second after the node works."""
    early = threading.Event()
    for sent in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sent, lambda *_: early.set())
    return early


def listen(make: Callable[[], Celery], told: Told, node_name: str, slots: int) -> None:
    """Serve rings until the process is told to stop; each one calls ``told.wake`` and is done.

    A consumer that dies of its broker is made anew after a pause: meanwhile the node's timer asks.
    From the first signal on, every further one calls ``told.hurry``.
    """
    leaving = threading.Event()

    def leave(*_: object, **__: object) -> None:
        if leaving.is_set():
            told.hurry()
        leaving.set()

    def repeat(**_: object) -> None:
        if told.early.is_set():
            os.kill(os.getpid(), signal.SIGTERM)

    worker_ready.connect(repeat, weak=False)
    worker_shutting_down.connect(leave, weak=False)
    while not leaving.is_set():
        _consume(make(), told.wake, node_name, slots)
        for sent in (signal.SIGTERM, signal.SIGINT):
            signal.signal(sent, leave)
        if not leaving.wait(_PAUSE_S):
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
