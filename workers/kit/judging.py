"""Whether a model has lost too much: the drop from its reference on the same rows, against a bound."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from ovfarm.failures import FailureCode
from ovfarm.results import Conditions, Gate, Measurement, Metric, Unit
from workers.kit.comparison import Drop
from workers.protocol import StepFailed

# Shares of rows are sums of fractions: a drop of exactly the bound must not fail by their rounding.
_ROUNDING = 1e-9
# The same share of squares that classes may lose of their scores' spread (``comparison``): a half.
_LONG = 0.5**0.5


def judged(drop: Drop, max_drop: float, conditions: Conditions) -> Gate:
    """Return the gate of what is lost at most."""
    passed = drop.value <= max_drop + _ROUNDING
    on = f"on {conditions.samples} rows, {conditions.device}"
    return Gate(
        passed=passed,
        metric=drop.metric,
        value=drop.value,
        bound=max_drop,
        words=f"{drop.words} ({on}), {'within' if passed else 'more than'} max_drop {max_drop:g}"[:1000],
    )


def judged_by_distance(worst: Mapping[str, float], max_drop: float) -> Gate:
    """Return the gate of a model whose parts have no classes to agree on: a cosine distance is its drop.

    Directions say nothing of sizes: differences nearly as long as the outputs themselves pass no gate.
    """
    metric: Metric = "cosine_distance" if worst["relative_l2"] <= _LONG else "relative_l2"
    told = (
        "cosine" if metric == "cosine_distance" else "relative L2, which says that they are of another size"
    )
    passed = worst[metric] <= max_drop
    words = f"the outputs of its worst network are {worst[metric]:.4f} away ({told})"
    return Gate(
        passed=passed,
        metric=metric,
        value=worst[metric],
        bound=max_drop,
        words=f"{words}, {'within' if passed else 'more than'} max_drop {max_drop:g}",
    )


class CandidateBroken(StepFailed):
    """The model that is judged computes NaN or infinity."""


@contextmanager
def candidate() -> Iterator[None]:
    """Raise CandidateBroken when outputs that are looked at inside are not finite."""
    try:
        yield
    except StepFailed as refused:
        if refused.failure.code is FailureCode.OUTPUT_NOT_FINITE:
            raise CandidateBroken(refused.failure) from refused
        raise


def broken(found: CandidateBroken, max_drop: float) -> Gate:
    """Return the gate of a model that computes no numbers: all is lost, whatever is allowed."""
    words = f"all is lost: {found.failure.message}"
    return Gate(passed=False, metric="agreement", value=1.0, bound=max_drop, words=words[:1000])


def drop(gate: Gate, conditions: Conditions) -> Measurement:
    """Return the drop as a measurement; below zero the model is better than its reference."""
    return Measurement(name="drop", value=gate.value or 0.0, unit=Unit.RATIO, conditions=conditions)
