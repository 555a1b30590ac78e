"""Whether a model has lost too much: the drop from its reference on the same rows, against a bound."""

from collections.abc import Sequence

from ovfarm.results import Conditions, Gate, Measurement, Note, NoteCode, Unit

# Shares of rows are sums of fractions: a drop of exactly the bound must not fail by their rounding.
_ROUNDING = 1e-9


def judged(
    found: Sequence[Measurement], before: float | None, max_drop: float, conditions: Conditions
) -> Gate:
    """Return the gate of what was measured.

    ``before`` is the reference's accuracy on the same rows; without labels it is None, and the share
    of rows on which the top class differs from the reference's is the drop.
    """
    values = {measurement.name: measurement.value for measurement in found}
    on = f"on {conditions.samples} rows, {conditions.device}"
    if before is None:
        drop = 1 - values["agreement"]
        told = f"the top class differs from the reference's for {drop:.4f} {on}"
    else:
        drop = before - values["accuracy"]
        told = f"accuracy {values['accuracy']:.4f}, the reference's {before:.4f} ({on}): a drop of {drop:.4f}"
    passed = drop <= max_drop + _ROUNDING
    return Gate(
        passed=passed,
        metric="agreement" if before is None else "accuracy",
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


def drop(gate: Gate, conditions: Conditions) -> Measurement:
    """Return the drop as a measurement; below zero the model is better than its reference."""
    return Measurement(name="drop", value=gate.value or 0.0, unit=Unit.RATIO, conditions=conditions)


def note(gate: Gate) -> Note:
    """Return what to say of a gate."""
    return Note(code=NoteCode.GATE_PASSED if gate.passed else NoteCode.GATE_FAILED, message=gate.words)
