"""The rounds that every process of the farm makes now and then for all: any number may, at any time."""

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog
from sqlalchemy.orm import Session

from ovfarm.errors import LeaseLost, Unavailable
from storage import nodes, sweep
from storage.database import Database

log = structlog.get_logger()
_DICE = random.SystemRandom()
# A node that has said nothing for so many leases is shown as lost; its steps are long taken back.
_LOST_AFTER_LEASES = 2
# A step goes back to the node that it failed on when no other has taken it for so many leases.
_AVOIDED_FOR_LEASES = 2


@dataclass(frozen=True, slots=True)
class Pace:
    """The times of the farm, in seconds (``ovfarm.settings``)."""

    lease_s: float
    poll_s: float
    sweep_s: float


def silence(session: Session) -> None:
    """Say nothing of oneself: the beat of a process that is no node."""
    del session


class Rounds:
    """A thread that makes the rounds every ``sweep_s`` seconds, jittered, until it is stopped.

    ``beat`` is called first in each round, with a session: a node says there that it lives.
    """

    def __init__(self, database: Database, pace: Pace, beat: Callable[[Session], object] = silence) -> None:
        self._database = database
        self._pace = pace
        self._beat = beat
        self._stopping = threading.Event()
        self._answered = time.monotonic()
        # Right after its start a process cannot know whether the farm was away: it waits one lease.
        self._patient_until = time.monotonic() + pace.lease_s
        self._thread = threading.Thread(target=self._keep, name="rounds", daemon=True)

    def start(self) -> None:
        """Start making rounds."""
        self._thread.start()

    def stop(self) -> None:
        """Finish the round and stop."""
        self._stopping.set()
        self._thread.join()

    def _keep(self) -> None:
        while not self._stopping.wait(self._pace.sweep_s * _DICE.uniform(0.5, 1.0)):
            try:
                self._round()
            except Unavailable as away:
                log.warning("rounds.unavailable", why=away.message)

    def _round(self) -> None:
        with self._database.write() as session:
            self._beat(session)
        with self._database.write() as session:
            nodes.mark_lost(session, self._pace.lease_s * _LOST_AFTER_LEASES)
        self._note_answer()
        self._release()
        if time.monotonic() >= self._patient_until:
            self._take_back()
        with self._database.write() as session:
            sweep.let_come_back(session, self._pace.lease_s * _AVOIDED_FOR_LEASES)
        with self._database.write() as session:
            sweep.ring_overdue(session, self._pace.poll_s)

    def _note_answer(self) -> None:
        """After an outage all leases look expired: give their owners one lease to come back."""
        now = time.monotonic()
        if now - self._answered > self._pace.lease_s:
            self._patient_until = now + self._pace.lease_s
        self._answered = now

    def _release(self) -> None:
        with self._database.read() as session:
            due = sweep.due(session)
        for overdue in due:
            with self._database.write() as session:
                sweep.release_due(session, overdue)

    def _take_back(self) -> None:
        with self._database.read() as session:
            expired = sweep.expired(session)
            charged = not sweep.outage(session)
        for overdue in expired:
            try:
                with self._database.write() as session:
                    sweep.take_back(session, overdue, charged=charged)
            except LeaseLost:
                continue  # its node has renewed or ended it meanwhile
            log.warning("lease.expired", step=overdue.step_id.hex, charged=charged)
