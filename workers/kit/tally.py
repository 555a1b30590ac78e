"""What is counted while rows run through a model and its reference; nothing of a row is kept."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from ovfarm.failures import FailureClass, FailureCode
from ovfarm.results import Conditions, Measurement, Unit
from workers.kit import classification, stats
from workers.kit.data import Array
from workers.protocol import failed


@dataclass(slots=True)
class Tally:
    """Right answers, agreement and distances so far; None where nothing was compared."""

    rows: int = 0
    right: int | None = None
    reference_right: int | None = None
    agreeing: int | None = None
    largest: float = 0.0
    cosines: dict[int, float] = field(default_factory=dict)
    fits: dict[int, stats.Fit] = field(default_factory=dict)

    @property
    def before(self) -> float | None:
        """The reference's accuracy, where there were labels."""
        return None if self.reference_right is None else self.reference_right / self.rows

    def judge(self, outputs: list[Array], reference: list[Array] | None, labels: Array) -> None:
        """Count the rows whose highest score is at the label; raises StepFailed for labels that misfit."""
        self.right = (self.right or 0) + classification.right(outputs[0], labels)
        if reference is not None:
            found = classification.right(reference[0], labels)
            self.reference_right = (self.reference_right or 0) + found

    def compare(self, outputs: list[Array], reference: list[Array]) -> None:
        """Count agreement and distance; raises StepFailed for outputs of other shapes.

        Of an output with one number a row the highest is always the same, and its direction is a sign:
        such numbers are compared by R².
        """
        if [o.shape for o in outputs] != [r.shape for r in reference]:
            raise failed(
                FailureClass.USER,
                FailureCode.MODEL_MISMATCH,
                f"the outputs have the shapes {[o.shape for o in outputs]}, the reference's "
                f"{[r.shape for r in reference]}",
            )
        pairs = [(_flat(mine), _flat(theirs)) for mine, theirs in zip(outputs, reference, strict=True)]
        if not classification.one_number(outputs[0]):
            same = classification.top(outputs[0]) == classification.top(reference[0])
            self.agreeing = (self.agreeing or 0) + int(same.sum())
        for number, (mine, theirs) in enumerate(pairs):
            self.largest = max(self.largest, float(np.abs(mine - theirs).max()))
            if classification.one_number(mine):
                self.fits.setdefault(number, stats.Fit()).add(mine, theirs)
                continue
            self.cosines[number] = self.cosines.get(number, 0.0) + stats.cosine_distances(mine, theirs)

    def measurements(self, conditions: Conditions) -> list[Measurement]:
        """Return accuracy, distances, R² and agreement, as far as they were counted."""
        found = [] if self.right is None else [self._share("accuracy", self.right, conditions)]
        for name, value, unit in self._distances():
            found.append(Measurement(name=name, value=value, unit=unit, conditions=conditions))
        if self.agreeing is not None:
            found.append(self._share("agreement", self.agreeing, conditions))
        return found

    def _distances(self) -> Iterator[tuple[str, float, Unit]]:
        """Yield what outputs were compared by: of several, the worst."""
        if self.cosines or self.fits:
            yield "max_abs_difference", self.largest, Unit.DISTANCE
        if self.cosines:
            yield "cosine_distance", max(0.0, *self.cosines.values()) / self.rows, Unit.DISTANCE
        if self.fits:
            yield "r_squared", min(fit.r_squared for fit in self.fits.values()), Unit.RATIO

    def _share(self, name: str, count: int, conditions: Conditions) -> Measurement:
        share = stats.wilson(count, self.rows)
        return Measurement(
            name=name,
            value=share.value,
            unit=Unit.RATIO,
            ci_low=share.low,
            ci_high=share.high,
            conditions=conditions,
        )


def _flat(output: Array) -> Array:
    """Return an output as rows of doubles."""
    return output.reshape(len(output), -1).astype(np.float64)
