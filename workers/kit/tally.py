"""What is counted while rows run through a model and its reference; nothing of a row is kept."""

from dataclasses import dataclass, field

import numpy as np

from ovfarm.failures import FailureClass, FailureCode
from ovfarm.results import Conditions, Measurement, Unit
from workers.kit import stats
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

    @property
    def before(self) -> float | None:
        """The reference's accuracy, where there were labels."""
        return None if self.reference_right is None else self.reference_right / self.rows

    def judge(self, outputs: list[Array], reference: list[Array] | None, labels: Array) -> None:
        """Count the rows whose highest score is at the label."""
        self.right = (self.right or 0) + _right(outputs, labels)
        if reference is not None:
            self.reference_right = (self.reference_right or 0) + _right(reference, labels)

    def compare(self, outputs: list[Array], reference: list[Array]) -> None:
        """Count agreement and distance; raises StepFailed for outputs of other shapes."""
        if [o.shape for o in outputs] != [r.shape for r in reference]:
            raise failed(
                FailureClass.USER,
                FailureCode.MODEL_MISMATCH,
                f"the outputs have the shapes {[o.shape for o in outputs]}, the reference's "
                f"{[r.shape for r in reference]}",
            )
        pairs = [(_flat(mine), _flat(theirs)) for mine, theirs in zip(outputs, reference, strict=True)]
        top, other_top = (first.argmax(axis=1) for first in pairs[0])
        self.agreeing = (self.agreeing or 0) + int((top == other_top).sum())
        for number, (mine, theirs) in enumerate(pairs):
            self.largest = max(self.largest, float(np.abs(mine - theirs).max()))
            self.cosines[number] = self.cosines.get(number, 0.0) + stats.cosine_distances(mine, theirs)

    def measurements(self, conditions: Conditions) -> list[Measurement]:
        """Return ``accuracy``, the distances and ``agreement``, as far as they were counted."""
        found = [] if self.right is None else [self._share("accuracy", self.right, conditions)]
        if self.agreeing is None:
            return found
        cosine = max(max(total / self.rows, 0.0) for total in self.cosines.values())
        for name, value in (("max_abs_difference", self.largest), ("cosine_distance", cosine)):
            found.append(Measurement(name=name, value=value, unit=Unit.DISTANCE, conditions=conditions))
        return [*found, self._share("agreement", self.agreeing, conditions)]

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


def _right(outputs: list[Array], labels: Array) -> int:
    scores = outputs[0].reshape(len(outputs[0]), -1)
    return int((scores.argmax(axis=1) == labels).sum())


def _flat(output: Array) -> Array:
    """Return an output as rows of doubles."""
    return output.reshape(len(output), -1).astype(np.float64)
