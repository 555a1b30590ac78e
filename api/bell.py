"""The API's doorbell: after a commit it tells the nodes to look. A ring that fails is only late."""

from collections.abc import Callable

import structlog
from celery import Celery
from kombu import Exchange, Queue
from kombu.exceptions import OperationalError

from ovfarm.broker import ALL_QUEUES, EXCHANGE, RING_EXPIRES_S, celery_settings
from ovfarm.hardware import WAKE_TASK
from ovfarm.settings import Settings

log = structlog.get_logger()


def bell(settings: Settings) -> Callable[[str], None]:
    """Return what rings a queue: one try, no payload, nothing raised."""
    for folder in ("messages", "processed", "control"):
        (settings.home / "broker" / folder).mkdir(parents=True, exist_ok=True)
    app = Celery("ovfarm", set_as_current=False)
    app.conf.update(celery_settings(settings.broker, settings.home, ALL_QUEUES))
    exchange = Exchange(EXCHANGE)
    queues = {name: Queue(name, exchange, routing_key=name) for name in ALL_QUEUES}
    app.conf.task_queues = list(queues.values())

    def ring(queue: str) -> None:
        try:
            app.send_task(
                WAKE_TASK,
                queue=queues.get(queue) or Queue(queue, exchange, routing_key=queue),
                expires=RING_EXPIRES_S,
                retry=False,
                ignore_result=True,
            )
        except (OperationalError, OSError) as away:
            log.warning("bell.unavailable", queue=queue, why=str(away))

    return ring
