"""Whether this node is to be trusted with the next step: proven anew after every end that looks bad.

A node whose device is broken fails fast, and so would draw all work of the pool to itself.
"""

import threading
import time
from collections import deque
from collections.abc import Callable

import structlog

from ovfarm.errors import Unavailable
from ovfarm.failures import Failure, FailureClass, FailureCode
from ovfarm.jobs import NodeState
from storage import nodes
from storage.database import Database
from storage.nodes import NodeIdentity

log = structlog.get_logger()
_TRIES = 2
_WINDOW, _BAD_IN_WINDOW = 10, 5
_ITS_OWN = {FailureClass.INFRA, FailureClass.DEVICE}
# The store's troubles are everybody's, not this node's.
_NOT_ITS_OWN = {FailureCode.STORE, FailureCode.STORE_CORRUPT}


class Health:
    """Takes note of how attempts end; ``canary`` infers once on the device, or raises Unavailable.

    A sick node tries itself again after ``rest_s`` seconds, and goes on when it has proven sound.
    """

    def __init__(
        self,
        database: Database,
        node: NodeIdentity,
        canary: Callable[[], object],
        *,
        rest_s: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._node = node
        self._canary = canary
        self._rest_s = rest_s
        self._monotonic = monotonic
        self._sick_until: float | None = None
        self._ends: deque[bool] = deque(maxlen=_WINDOW)
        self._lock = threading.Lock()

    def note(self, end: Failure | None) -> None:
        """Note one end (None is a success), and declare the node sick when it deserves it."""
        with self._lock:
            own = end is not None and end.failure_class in _ITS_OWN and end.code not in _NOT_ITS_OWN
            self._ends.append(own)
            if sum(self._ends) >= _BAD_IN_WINDOW:
                self._ends.clear()
                self._declare_sick(f"{_BAD_IN_WINDOW} of its last {_WINDOW} attempts failed by its own fault")
            elif end is not None and end.failure_class in {FailureClass.CRASH, FailureClass.DEVICE}:
                self._examine()

    def recover(self) -> None:
        """Take a sick node that has rested back into service, if the canary lives."""
        with self._lock:
            if self._sick_until is None or self._monotonic() < self._sick_until:
                return
            try:
                self._canary()
            except (Unavailable, OSError) as still:
                log.warning("node.still_sick", node=self._node.name, why=str(still))
                self._sick_until = self._monotonic() + self._rest_s
                return
            with self._database.write() as session:
                nodes.recover(session, self._node.id)
            self._sick_until = None
            log.info("node.recovered", node=self._node.name)

    def _examine(self) -> None:
        for _ in range(_TRIES):
            try:
                self._canary()
            except (Unavailable, OSError) as broken:
                why = str(broken)
            else:
                return
        self._declare_sick(why)

    def _declare_sick(self, why: str) -> None:
        log.error("node.sick", node=self._node.name, why=why)
        self._sick_until = self._monotonic() + self._rest_s
        with self._database.write() as session:
            nodes.set_state(session, self._node.id, NodeState.SICK)
