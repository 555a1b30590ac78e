"""Whether a model has lost too much: the drop from its reference on the same rows, against a bound."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from ovfarm.failures import FailureCode
from ovfarm.results import Conditions, Gate, Measurement, Metric, Unit
from workers.protocol import StepFailed

# Shares of rows are sums of fractions: a drop of exactly the bound must not fail by their rounding.
_ROUNDING = 1e-9


def judged(
    found: Sequence[Measurement], before: float | None, max_drop: float, conditions: Conditions
) -> Gate:
    """Return the gate of what was measured.

    ``before`` is the reference's accuracy on the same rows; without labels it is None, and the share
    of rows on which the top class differs from the reference's is the drop. Where a row has one number,
    and no classes, it is what is missing from R² = 1.
    """
    values = {measurement.name: measurement.value for measurement in found}
    on = f"on {conditions.samples} rows, {conditions.device}"
    metric: Metric
    if before is not None:
        metric, drop = "accuracy", before - values["accuracy"]
        told = f"accuracy {values['accuracy']:.4f}, the reference's {before:.4f} ({on}): a drop of {drop:.4f}"
    elif "agreement" in values:
        metric, drop = "agreement", 1 - values["agreement"]
        told = f"the top class differs from the reference's for {drop:.4f} {on}"
    else:
        metric, drop = "r_squared", 1 - values["r_squared"]
        told = f"an output has one number a row: its R² to the reference's is {drop:.4f} below 1 {on}"
    passed = drop <= max_drop + _ROUNDING
    return Gate(
        passed=passed,
        metric=metric,
        value=drop,
        bound=max_drop,
        words=f"{told}, {'within' if passed else 'more than'} max_drop {max_drop:g}",
    )


def judged_by_distance(worst: Measurement, max_drop: float) -> Gate:
    """Return the gate of a model whose parts have no classes to agree on: a cosine distance is its drop."""
    passed = worst.value <= max_drop
    words = f"the outputs of its worst network are {worst.value:.4f} away (cosine)"
    return Gate(
        passed=passed,
        metric="cosine_distance",
        value=worst.value,
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
