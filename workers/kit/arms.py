"""The arms of a benchmark, and the interleaved blocks in which they are timed."""

import os
import time
from dataclasses import dataclass, field
from itertools import permutations

import numpy as np
import openvino as ov

from ovfarm.results import Conditions
from workers.kit import data, device, ir, networks
from workers.protocol import Bench

CANDIDATE, REFERENCE_F32, REFERENCE_DEFAULT = "candidate", "reference_f32", "reference_default"
_WARM_UP_S = 0.3
_BLOCK_S = 0.02
_MIN_PER_BLOCK = 3


@dataclass(slots=True)
class Arm:
    """One compiled model with its input, and its samples by round: nanoseconds of each inference."""

    name: str
    compiled: ov.CompiledModel
    request: ov.InferRequest
    feed: data.Feed
    load_s: float
    compile_s: float
    stateful: bool = False
    per_block: int = _MIN_PER_BLOCK
    rounds: list[list[int]] = field(default_factory=list)

    def warm_up(self) -> None:
        """Run until caches and clocks have settled, then fix how many inferences fill a block."""
        end = time.perf_counter() + _WARM_UP_S
        took: list[int] = []
        while time.perf_counter() < end or len(took) < _MIN_PER_BLOCK:
            took.append(self._once())
        self.per_block = max(_MIN_PER_BLOCK, round(_BLOCK_S * 1e9 / float(np.median(took))))

    def block(self) -> None:
        """Time one block."""
        self.rounds.append([self._once() for _ in range(self.per_block)])

    def _once(self) -> int:
        if self.stateful:
            self.request.reset_state()
        began = time.perf_counter_ns()
        self.request.infer(self.feed, share_inputs=True)
        return time.perf_counter_ns() - began

    @property
    def block_medians(self) -> list[float]:
        """The median of each block, in milliseconds."""
        return [float(np.median(block)) / 1e6 for block in self.rounds]

    def conditions(self, batch: int) -> Conditions:
        """Return what the samples were taken under, read back from the compiled model."""
        told = device.told(self.compiled)
        return Conditions(
            device=told.get("EXECUTION_DEVICES", ""),
            precision=told.get("INFERENCE_PRECISION_HINT", ""),
            batch=batch,
            threads=_number(told.get("INFERENCE_NUM_THREADS")),
            streams=_number(told.get("NUM_STREAMS")),
            samples=sum(len(block) for block in self.rounds),
            load_average=os.getloadavg()[0],
            properties=told,
        )


def _number(text: str | None) -> int | None:
    return int(text) if text and text.lstrip("-").isdigit() else None


def network(bench: Bench, role: str, name: str) -> ov.Model:
    """Return the network of that name from a role's model."""
    folder = bench.inputs[role]
    path = networks.networks(folder).get(name)
    return ir.read_file(folder / path) if path else ir.read(folder)


def build(name: str, role: str, bench: Bench, part: str, feed: data.Feed, *, pin_f32: bool) -> Arm:
    """Load and compile one arm for latency, the network ``part`` of the model; times in seconds."""
    began = time.perf_counter()
    model = network(bench, role, part)
    loaded = time.perf_counter()
    compiled = device.compiled(model, bench, pin_f32=pin_f32, PERFORMANCE_HINT="LATENCY")
    done = time.perf_counter()
    request = compiled.create_infer_request()
    stateful = bool(request.query_state())
    return Arm(name, compiled, request, feed, loaded - began, done - loaded, stateful)


class Schedule:
    """The order of the arms in each round: every order comes equally often, each beside its mirror.

    A drift of the machine within a round then falls on all arms alike (ABBA, for any number of arms).
    """

    def __init__(self, arms: list[Arm]) -> None:
        orders = [list(order) for order in permutations(arms)]
        paired: list[list[Arm]] = []
        while orders:
            order = orders.pop(0)
            mirror = order[::-1]
            orders = [other for other in orders if other != mirror]
            paired += [order, mirror]
        self._orders = paired

    def run(self, round_number: int) -> None:
        """Time one block of each arm."""
        for arm in self._orders[round_number % len(self._orders)]:
            arm.block()
