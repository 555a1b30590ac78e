"""A lease held by heartbeats: it says when the child must stop, and why."""

import threading
import time
from collections.abc import Callable
from enum import Enum, auto
from types import TracebackType
from typing import Self

from ovfarm.errors import LeaseLost, Unavailable
from ovfarm.policy import heartbeat_s, self_fence_s
from ovfarm.results import Progress
from storage import outcomes
from storage.claims import Claim
from storage.database import Database

TICK_S = 0.5


class Stop(Enum):
    """Why a child is to stop before its time."""

    CANCELLED = auto()
    LOST = auto()
    LEAVING = auto()


class Lease:
    """``with Lease(…) as lease`` keeps a claim alive; ``lease.stop`` is set when the work must end.

    It renews three times within a lease, looks for a cancel every half second, and counts by its own
    monotonic clock: without a renewal for 0.8 of a lease it stops the child, whatever the database says.
    """

    def __init__(
        self,
        database: Database,
        claim: Claim,
        lease_s: float,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._claim = claim
        self._lease_s = lease_s
        self._monotonic = monotonic
        self._renewed = monotonic()
        self._progress: Progress | None = None
        self._stage, self._stage_began = "", 0.0
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._keep, name=f"lease-{claim.name}", daemon=True)
        self.stop = threading.Event()
        self.why: Stop | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop renewing: what remains of the lease is for the commit."""
        self._closing.set()
        self._thread.join()

    def report(self, progress: Progress) -> None:
        """Take the child's words, work out what is left of the stage; the next tick writes it down."""
        now = self._monotonic()
        with self._lock:
            if progress.stage != self._stage:
                self._stage, self._stage_began = progress.stage, now
            eta_s = None
            if progress.done:
                pace_s = (now - self._stage_began) / progress.done
                eta_s = round(pace_s * (progress.total - progress.done), 1)
            self._progress = progress.model_copy(update={"eta_s": eta_s})

    def end(self, why: Stop) -> None:
        """Ask the work to end; the first reason stays."""
        self.why = self.why or why
        self.stop.set()

    @property
    def alive(self) -> bool:
        """Whether this node may still believe that the step is its own."""
        return self._monotonic() - self._renewed < self_fence_s(self._lease_s)

    def _keep(self) -> None:
        while not self._closing.wait(min(TICK_S, heartbeat_s(self._lease_s))):
            try:
                self._tick()
            except LeaseLost:
                self.end(Stop.LOST)
            except Unavailable:
                # The database may come back in time; the clock below decides, not the error.
                pass
            if not self.alive:
                self.end(Stop.LOST)
            if self.why is Stop.LOST:
                return

    def _tick(self) -> None:
        with self._lock:
            progress, self._progress = self._progress, None
        began = self._monotonic()
        if progress is None and began - self._renewed < heartbeat_s(self._lease_s):
            with self._database.read() as session:
                cancel = outcomes.cancel_requested(session, self._claim)
        else:
            with self._database.write() as session:
                cancel = outcomes.renew(session, self._claim, self._lease_s, progress)
            self._renewed = began
        if cancel:
            self.end(Stop.CANCELLED)
