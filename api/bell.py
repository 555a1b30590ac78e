"""The API's doorbell: after a commit it tells the nodes to look. A ring that fails is only late."""

from collections.abc import Callable

import structlog
from celery import Celery
from kombu import Exchange, Queue
from kombu.exceptions import OperationalError

from ovfarm.broker import ALL_QUEUES, EXCHANGE, RING_EXPIRES_S, celery_settings, prepare
from ovfarm.hardware import WAKE_TASK
from ovfarm.settings import Settings

log = structlog.get_logger()


def _publisher(settings: Settings) -> Celery:
    prepare(settings.broker, settings.home)
    app = Celery("ovfarm", set_as_current=False)
    app.conf.update(celery_settings(settings.broker, settings.home, ALL_QUEUES))
    app.conf.task_queues = [_queue(name) for name in ALL_QUEUES]
    return app


def _queue(name: str) -> Queue:
    return Queue(name, Exchange(EXCHANGE), routing_key=name)


def declare_queues(settings: Settings) -> None:
    """Declare the queues before any process uses them: two at once break the file system broker.

    A broker that does not answer is no hindrance: each process declares what it uses.
    """
    try:
        with _publisher(settings).connection_for_write(connect_timeout=2) as connection:
            for name in ALL_QUEUES:
                _queue(name)(connection).declare()
    except (OperationalError, OSError) as away:
        log.warning("broker.unavailable", why=str(away))


def bell(settings: Settings) -> Callable[[str], None]:
    """Return what rings a queue: one try, no payload, nothing raised."""
    app = _publisher(settings)

    def ring(queue: str) -> None:
        try:
            app.send_task(
                WAKE_TASK,
                queue=_queue(queue),
                expires=RING_EXPIRES_S,
                retry=False,
                ignore_result=True,
            )
        except (OperationalError, OSError, ValueError) as away:
            log.warning("bell.unavailable", queue=queue, why=str(away))

    return ring
