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
    """One compiled model with its input, and its samples by round: nanoseconds of each inference.

    With one request in the queue inferences follow each other; with several they are in flight at once.
    ``paces`` has, by round, the milliseconds per inference by which arms are compared: the median of a
    lone request, or a block's whole time by its number of inferences.
    """

    name: str
    compiled: ov.CompiledModel
    queue: ov.AsyncInferQueue
    feed: data.Feed
    load_s: float
    compile_s: float
    stateful: bool = False
    per_block: int = _MIN_PER_BLOCK
    rounds: list[list[int]] = field(default_factory=list)
    paces: list[float] = field(default_factory=list)

    @property
    def requests(self) -> int:
        """How many requests are in flight at once."""
        return len(self.queue)

    def warm_up(self) -> None:
        """Run until caches and clocks have settled, then fix how many inferences fill a block."""
        end = time.perf_counter() + _WARM_UP_S
        paces: list[float] = []
        while time.perf_counter() < end or len(paces) < _MIN_PER_BLOCK:
            paces.append(self._timed(self.requests)[1])
        self.per_block = max(_MIN_PER_BLOCK * self.requests, round(_BLOCK_S * 1e3 / float(np.median(paces))))

    def block(self) -> None:
        """Time one block."""
        samples, pace = self._timed(self.per_block)
        self.rounds.append(samples)
        self.paces.append(pace)

    def _timed(self, count: int) -> tuple[list[int], float]:
        """Return the nanoseconds of each of ``count`` inferences, and the pace in milliseconds."""
        if self.requests == 1:
            samples = [self._once() for _ in range(count)]
            return samples, float(np.median(samples)) / 1e6
        samples = []
        self.queue.set_callback(lambda request, _: samples.append(round(request.latency * 1e6)))
        began = time.perf_counter_ns()
        for _ in range(count):
            self.queue.start_async(self.feed, share_inputs=True)
        self.queue.wait_all()
        return samples, (time.perf_counter_ns() - began) / count / 1e6

    def _once(self) -> int:
        if self.stateful:
            self.queue[0].reset_state()
        began = time.perf_counter_ns()
        self.queue[0].infer(self.feed, share_inputs=True)
        return time.perf_counter_ns() - began

    @property
    def block_medians(self) -> list[float]:
        """The median latency of each block, in milliseconds."""
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
            hint=told.get("PERFORMANCE_HINT", "").lower(),
            requests=self.requests,
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


@dataclass(frozen=True, slots=True)
class Load:
    """What every arm is given: a network by name, one batch of inputs, and a performance hint."""

    network: str
    feed: data.Feed
    hint: str


def build(name: str, role: str, bench: Bench, load: Load, *, pin_f32: bool) -> Arm:
    """Load and compile one arm; times in seconds.

    Under ``throughput`` it has as many requests in flight as the device asks for, else one.
    """
    began = time.perf_counter()
    model = network(bench, role, load.network)
    hint = load.hint
    loaded = time.perf_counter()
    asked = {} if hint == "default" else {"PERFORMANCE_HINT": hint.upper()}
    compiled = device.compiled(model, bench, pin_f32=pin_f32, **asked)
    done = time.perf_counter()
    wanted = compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS") if hint == "throughput" else 1
    queue = ov.AsyncInferQueue(compiled, wanted)
    stateful = bool(queue[0].query_state())
    return Arm(name, compiled, queue, load.feed, loaded - began, done - loaded, stateful)


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
