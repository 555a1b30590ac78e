"""Slots: threads that claim until nothing is left, woken by a ring or by their own jittered timer."""

import random
import threading
import time

import structlog
from structlog.contextvars import bound_contextvars

from ovfarm.errors import Unavailable
from ovfarm.shapes import public_id
from storage.claims import Claim, claim
from workers.attempt import Attempt
from workers.lease import Lease, Stop
from workers.workplace import Workplace

log = structlog.get_logger()
_DICE = random.SystemRandom()
_TICK_S = 0.1


class Slots:
    """A node's slots. ``wake`` is the doorbell; ``leave`` stops claiming, then ends what runs.

    ``hurry`` ends it at once: from a signal handler too, whether anyone leaves yet or not.
    """

    def __init__(self, place: Workplace) -> None:
        self._place = place
        self._bell = threading.Condition()
        self._rings = 0
        self._leaving = threading.Event()
        self._hurried = threading.Event()
        self._leases: set[Lease] = set()
        self._threads = [
            threading.Thread(target=self._serve, name=f"slot-{number}")
            for number in range(place.settings.slots)
        ]

    def start(self) -> None:
        """Start claiming."""
        for thread in self._threads:
            thread.start()

    def wake(self) -> None:
        """Look for work now: somebody says that there is some."""
        with self._bell:
            self._rings += 1
            self._bell.notify_all()

    @property
    def leaving(self) -> bool:
        """Whether this node takes nothing new because it goes."""
        return self._leaving.is_set()

    def hurry(self) -> None:
        """Have ``leave`` wait for nothing."""
        self._hurried.set()

    def leave(self, patience_s: float) -> None:
        """Claim no more; give what still runs after ``patience_s`` seconds back, and return."""
        self._leaving.set()
        self.wake()
        deadline = time.monotonic() + patience_s
        while any(thread.is_alive() for thread in self._threads) and time.monotonic() < deadline:
            if self._hurried.wait(_TICK_S):
                break
        for lease in list(self._leases):
            lease.end(Stop.LEAVING)
        for thread in self._threads:
            thread.join()

    def _serve(self) -> None:
        heard = 0
        while not self._leaving.is_set():
            with self._bell:
                self._bell.wait_for(lambda: self._rings != heard, self._pause_s())  # noqa: B023 - read at once
                heard = self._rings
            self._recover()
            self._drain()

    def _recover(self) -> None:
        try:
            self._place.health.recover()
        except Unavailable as away:
            log.warning("health.unavailable", why=away.message)

    def _pause_s(self) -> float:
        """Spread the timers of all nodes, so that they do not ask at the same time."""
        return self._place.settings.poll_s * _DICE.uniform(0.5, 1.0)

    def _drain(self) -> None:
        """Claim and run until nothing is eligible; the next ring or the timer tries again."""
        while not self._leaving.is_set():
            try:
                with self._place.database.write() as session:
                    claimed = claim(session, self._place.node, self._place.settings.lease_s)
            except Unavailable as away:
                log.warning("claim.unavailable", why=away.message)
                return
            if claimed is None:
                return
            self._attempt(claimed)

    def _attempt(self, claimed: Claim) -> None:
        lease = Lease(self._place.database, claimed, self._place.settings.lease_s)
        self._leases.add(lease)
        ids = {"job": public_id("job", claimed.job_id), "step": claimed.name, "attempt": claimed.attempt}
        try:
            with bound_contextvars(claim=claimed.id.hex, **ids), lease:
                end = Attempt(self._place, claimed, lease).run()
                if lease.why is None:
                    self._place.health.note(end)
        except Unavailable as away:
            log.warning("health.unavailable", why=away.message)
        except Exception:
            # A slot outlives whatever a step makes of it: the lease runs out, the step goes on elsewhere.
            log.exception("attempt.crashed", step=claimed.name)
        finally:
            self._leases.discard(lease)
