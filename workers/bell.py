"""The worker's doorbell: it rings for the steps that its own commits have queued."""

from collections.abc import Callable

import structlog
from kombu.exceptions import OperationalError

from ovfarm.broker import ALL_QUEUES, RING_EXPIRES_S
from ovfarm.hardware import WAKE_TASK
from ovfarm.settings import Settings
from workers.app import celery_app

log = structlog.get_logger()


def bell(settings: Settings) -> Callable[[str], None]:
    """Return what rings a queue; a ring that cannot be sent is only late: timers ask anyway."""
    app = celery_app(settings.broker, settings.home, ALL_QUEUES)

    def ring(queue: str) -> None:
        try:
            app.send_task(WAKE_TASK, queue=queue, expires=RING_EXPIRES_S, retry=False, ignore_result=True)
        except (OperationalError, OSError, ValueError) as away:
            log.warning("bell.unavailable", queue=queue, why=str(away))

    return ring
