"""What every node does now and then for all: say that it lives, and sweep."""

import random
import threading
import time

import structlog

from ovfarm.errors import LeaseLost, Unavailable
from storage import nodes, sweep
from workers.workplace import Workplace

log = structlog.get_logger()
_DICE = random.SystemRandom()
# A node that has said nothing for so many leases is shown as lost; its steps are long taken back.
_LOST_AFTER_LEASES = 2


class Rounds:
    """A thread that makes the rounds every ``sweep_s`` seconds, jittered, until it is stopped."""

    def __init__(self, place: Workplace) -> None:
        self._place = place
        self._stopping = threading.Event()
        self._answered = time.monotonic()
        self._patient_until = 0.0
        self._thread = threading.Thread(target=self._keep, name="rounds", daemon=True)

    def start(self) -> None:
        """Start making rounds."""
        self._thread.start()

    def stop(self) -> None:
        """Finish the round and stop."""
        self._stopping.set()
        self._thread.join()

    def _keep(self) -> None:
        while not self._stopping.wait(self._place.settings.sweep_s * _DICE.uniform(0.5, 1.0)):
            try:
                self._round()
            except Unavailable as away:
                log.warning("rounds.unavailable", why=away.message)

    def _round(self) -> None:
        database, settings = self._place.database, self._place.settings
        with database.write() as session:
            nodes.beat(session, self._place.node.id)
            nodes.mark_lost(session, settings.lease_s * _LOST_AFTER_LEASES)
        self._note_answer(settings.lease_s)
        self._release()
        if time.monotonic() >= self._patient_until:
            self._take_back()
        with database.write() as session:
            sweep.ring_overdue(session, settings.poll_s)

    def _note_answer(self, lease_s: float) -> None:
        """After an outage all leases look expired: give their owners one lease to come back."""
        now = time.monotonic()
        if now - self._answered > lease_s:
            self._patient_until = now + lease_s
        self._answered = now

    def _release(self) -> None:
        with self._place.database.read() as session:
            due = sweep.due(session)
        for overdue in due:
            with self._place.database.write() as session:
                sweep.release_due(session, overdue)

    def _take_back(self) -> None:
        with self._place.database.read() as session:
            expired = sweep.expired(session)
        for overdue in expired:
            try:
                with self._place.database.write() as session:
                    sweep.take_back(session, overdue)
            except LeaseLost:
                continue  # its node has renewed or ended it meanwhile
            log.warning("lease.expired", step=overdue.step_id.hex)
