"""The Celery application: it listens to the node's queues and turns each ring into one bell stroke."""

from collections.abc import Callable, Collection
from pathlib import Path

from celery import Celery
from kombu import Exchange, Queue

from ovfarm.broker import EXCHANGE, celery_settings
from ovfarm.hardware import WAKE_TASK


def celery_app(broker_url: str, home: Path, queues: Collection[str]) -> Celery:
    """Return an application that declares ``queues``, each bound to its own routing key.

    Without a key of its own every queue would get a copy of every ring.
    """
    for folder in ("messages", "processed", "control"):
        (home / "broker" / folder).mkdir(parents=True, exist_ok=True)
    app = Celery("ovfarm", set_as_current=False)
    app.conf.update(celery_settings(broker_url, home, queues))
    exchange = Exchange(EXCHANGE)
    app.conf.task_queues = [Queue(name, exchange, routing_key=name) for name in sorted(queues)]
    return app


def listen(app: Celery, wake: Callable[[], None], node_name: str, slots: int) -> None:
    """Serve rings until the process is told to stop; each one calls ``wake`` and is done."""
    app.task(wake, name=WAKE_TASK, ignore_result=True)
    app.worker_main(
        [
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
    )
