"""A pool of thousands of nodes in virtual time, under the farm's own policy: fairness, waits, utilisation.

What decides here is what decides in a claim: ``start_time``, ``charge`` and ``ESTIMATE_S`` of
``ovfarm.policy``, the true-up at the end, and the least virtual time first.
"""

import heapq
import random
from dataclasses import dataclass, field

from ovfarm.policy import ESTIMATE_S, charge, start_time
from ovfarm.recipes import Kind

_KINDS = (Kind.CONVERT, Kind.QUANTIZE, Kind.COMPRESS, Kind.EVALUATE)


@dataclass(slots=True)
class Team:
    """A team that always has work from ``joins_s`` on; ``pace`` says how far off its estimates are."""

    weight: float
    pace: float = 1.0
    joins_s: float = 0.0
    virtual_time: float = 0.0
    running: int = 0
    used_s: float = 0.0
    first_start_s: float | None = None
    claims_before_first: int = 0


@dataclass(slots=True)
class Outcome:
    """What a run shows. Times are virtual seconds."""

    teams: list[Team]
    seconds: float
    busy_s: float
    nodes: int
    most_passed_over: int = 0
    ends: list[float] = field(default_factory=list)

    @property
    def jain(self) -> float:
        """Jain's index of what each team got for its weight: 1 is fair (Jain, Chiu, Hawe 1984)."""
        got = [team.used_s / team.weight for team in self.teams if team.joins_s == 0]
        return sum(got) ** 2 / (len(got) * sum(x * x for x in got))

    @property
    def utilisation(self) -> float:
        """The part of the nodes' time in which they ran something."""
        return self.busy_s / (self.seconds * self.nodes)


def simulate(teams: list[Team], nodes: int, steps: int, seed: int) -> Outcome:
    """Run ``steps`` steps on ``nodes`` nodes; every team that has joined has work at all times."""
    dice = random.Random(seed)  # noqa: S311 - durations of a simulation
    free = [(0.0, number) for number in range(nodes)]
    running: list[tuple[float, int, float, float]] = []
    clock = busy = now = 0.0
    since = [0] * len(teams)
    most = 0
    for _ in range(steps):
        now, node = heapq.heappop(free)
        while running and running[0][0] <= now:
            _, index, estimate, took = heapq.heappop(running)
            teams[index].virtual_time += (took - estimate) / teams[index].weight
            teams[index].running -= 1
        present = [i for i, team in enumerate(teams) if team.joins_s <= now]
        index = min(present, key=lambda i: (teams[i].virtual_time, i))
        team, kind = teams[index], dice.choice(_KINDS)
        clock = start_time(team.virtual_time, clock, running=team.running)
        team.running += 1
        team.virtual_time = charge(clock, ESTIMATE_S[kind], team.weight)
        took = ESTIMATE_S[kind] * team.pace * dice.lognormvariate(0.0, 0.5)
        team.used_s, busy = team.used_s + took, busy + took
        if team.first_start_s is None:
            team.first_start_s, team.claims_before_first = now, since[index]
        for other in present:
            since[other] = 0 if other == index else since[other] + 1
            most = max(most, since[other])
        heapq.heappush(running, (now + took, index, ESTIMATE_S[kind], took))
        heapq.heappush(free, (now + took, node))
    return Outcome(teams, now, busy - sum(max(end - now, 0) for end, *_ in running), nodes, most)
