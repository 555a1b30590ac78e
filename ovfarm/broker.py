"""How both ends of the doorbell are set up, as plain data: the API publishes, the workers listen.

Each setting has its reason in ``docs/decisions/0003-doorbell.md``.
"""

import contextlib
import os
from collections.abc import Collection
from pathlib import Path
from uuid import uuid4

EXCHANGE = "ovfarm"
RING_EXPIRES_S = 60
ALL_QUEUES = ("cpu", "gpu", "npu")


def prepare(broker_url: str, home: Path) -> None:
    """Make the file system broker's folders and its table of bindings, all at once.

    kombu creates the table by truncating it, and a process that reads it just then dies of half a file.
    """
    if not broker_url.startswith("filesystem"):
        return
    folder = home / "broker"
    for name in ("messages", "processed", "control"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    fresh = folder / f"{uuid4().hex}.exchange"
    fresh.write_text("[]")
    with contextlib.suppress(FileExistsError):
        os.link(fresh, folder / "control" / f"{EXCHANGE}.exchange")
    fresh.unlink()


def _transport(broker_url: str, home: Path) -> dict[str, object]:
    if broker_url.startswith("filesystem"):
        folder = home / "broker"
        return {
            "data_folder_in": str(folder / "messages"),
            "data_folder_out": str(folder / "messages"),
            "processed_folder": str(folder / "processed"),
            "control_folder": str(folder / "control"),
            "store_processed": False,
            "polling_interval": 0.1,
        }
    return {"socket_timeout": 30, "socket_connect_timeout": 2, "socket_keepalive": True}


def celery_settings(broker_url: str, home: Path, queues: Collection[str]) -> dict[str, object]:
    """Return Celery's configuration; ``queues`` are those that this process declares.

    The caller makes the queues themselves (kombu stays out of the vocabulary).
    """
    local = broker_url.startswith("filesystem")
    return {
        "broker_url": broker_url,
        "broker_transport_options": _transport(broker_url, home),
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "task_ignore_result": True,
        "task_serializer": "json",
        "accept_content": ["json"],
        # The lease is the guarantee. The file system has no visibility time-out, so there a late
        # acknowledgement costs nothing and keeps a busy worker from hoarding rings.
        "task_acks_late": local,
        "worker_prefetch_multiplier": 1,
        "worker_disable_prefetch": not local,
        "worker_hijack_root_logger": False,
        "worker_redirect_stdouts": False,
        "worker_enable_remote_control": False,
        "worker_send_task_events": False,
        "task_default_exchange": EXCHANGE,
        "task_default_queue": min(queues, default="cpu"),
        "control_queue_ttl": 60,
    }
