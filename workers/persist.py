"""Commits an end of an attempt through outages: it asks again while the attempt may still be ours."""

import random
import time
from collections.abc import Callable

from sqlalchemy.orm import Session

from ovfarm.errors import Unavailable
from storage import outcomes
from storage.claims import Claim
from storage.database import Database

_DICE = random.SystemRandom()


def persist(
    database: Database,
    claim: Claim,
    write: Callable[[Session], None],
    *,
    for_s: float,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Run ``write`` in one transaction; raises LeaseLost, or Unavailable after ``for_s`` seconds.

    A commit whose answer was lost looks like an outage: asked again, the guard finds no row, and the
    row tells that it was this very claim that ended the step.
    """
    deadline = time.monotonic() + for_s
    unsure = False
    while True:
        try:
            with database.write() as session:
                if unsure and outcomes.ended_by(session, claim):
                    return
                write(session)
        except Unavailable:
            if time.monotonic() > deadline:
                raise
            unsure = True
            sleep(_DICE.uniform(0.05, 0.5))
        else:
            return
