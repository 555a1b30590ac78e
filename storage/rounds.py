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


class Round:
    """What one process does for all in its rounds; it writes only where something is due.

    ``beat`` is called first, with a session: a node says there that it lives. ``monotonic`` gives seconds.
    """

    def __init__(
        self,
        database: Database,
        pace: Pace,
        beat: Callable[[Session], object] | None = None,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.pace = pace
        self._database = database
        self._beat = beat
        self._monotonic = monotonic
        self._answered = monotonic()
        # Right after its start a process cannot know whether the farm was away: it waits one lease.
        self._patient_until = monotonic() + pace.lease_s

    def make(self) -> None:
        """Make one round; raises Unavailable when the database is away."""
        if self._beat is not None:
            with self._database.write() as session:
                self._beat(session)
        self._mark_lost()
        self._note_answer()
        self._release()
        if self._monotonic() >= self._patient_until:
            self._take_back()
        self._let_come_back()
        self._ring_overdue()

    def _note_answer(self) -> None:
        """After an outage all leases look expired: give their owners one lease to come back."""
        now = self._monotonic()
        if now - self._answered > self.pace.lease_s:
            self._patient_until = now + self.pace.lease_s
        self._answered = now

    def _mark_lost(self) -> None:
        silent_for_s = self.pace.lease_s * _LOST_AFTER_LEASES
        with self._database.read() as session:
            silent = nodes.silent(session, silent_for_s)
        if silent:
            with self._database.write() as session:
                nodes.mark_lost(session, silent_for_s)

    def _release(self) -> None:
        with self._database.read() as session:
            due = sweep.due(session)
        for overdue in due:
            with self._database.write() as session:
                sweep.release_due(session, overdue)

    def _take_back(self) -> None:
        with self._database.read() as session:
            expired = sweep.expired(session)
            charged = not (expired and sweep.outage(session))
        for overdue in expired:
            try:
                with self._database.write() as session:
                    sweep.take_back(session, overdue, charged=charged)
            except LeaseLost:
                continue  # its node has renewed or ended it meanwhile
            log.warning("lease.expired", step=overdue.step_id.hex, charged=charged)

    def _let_come_back(self) -> None:
        waiting_s = self.pace.lease_s * _AVOIDED_FOR_LEASES
        with self._database.read() as session:
            away = sweep.kept_away(session, waiting_s)
        if away:
            with self._database.write() as session:
                sweep.let_come_back(session, waiting_s)

    def _ring_overdue(self) -> None:
        with self._database.read() as session:
            queues = sweep.overdue_queues(session, self.pace.poll_s)
        for queue in queues:
            self._database.ring(queue)


class Rounds:
    """A thread that makes rounds every ``sweep_s`` seconds, jittered, until it is stopped."""

    def __init__(self, one: Round) -> None:
        self._round = one
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="rounds", daemon=True)

    def start(self) -> None:
        """Start making rounds."""
        self._thread.start()

    def stop(self) -> None:
        """Finish the round and stop."""
        self._stopping.set()
        self._thread.join()

    def _keep(self) -> None:
        while not self._stopping.wait(self._round.pace.sweep_s * _DICE.uniform(0.5, 1.0)):
            try:
                self._round.make()
            except Unavailable as away:
                log.warning("rounds.unavailable", why=away.message)
