"""What is counted while rows run through a model and its reference; nothing of a row is kept."""

from collections.abc import Iterator
from dataclasses import dataclass

from ovfarm.results import Conditions, Measurement, Unit
from workers.kit import classification, comparison, stats
from workers.kit.comparison import Comparison, Drop
from workers.kit.data import Array, Batch


@dataclass(slots=True)
class Tally:
    """Right answers, and what each output was compared by; None where nothing was.

    ``labelled`` are the labels that count: one a row, or one for each token or pixel.
    """

    held: classification.Meaning
    outputs: list[Comparison]
    rows: int = 0
    labelled: int = 0
    right: int | None = None
    reference_right: int | None = None

    @classmethod
    def of(cls, known: list[classification.Meaning]) -> "Tally":
        """Return a tally of nothing, for outputs of which this is known."""
        return cls(known[0], [Comparison(held) for held in known])

    @property
    def accuracy(self) -> float | None:
        """The model's accuracy, where there were labels; raises StepFailed where none of them counts."""
        if self.right is None:
            return None
        if not self.labelled:
            raise classification.no_labels()
        return self.right / self.labelled

    @property
    def before(self) -> float | None:
        """The reference's accuracy, where there were labels."""
        return None if self.reference_right is None else self.reference_right / max(self.labelled, 1)

    @property
    def compared(self) -> list[Comparison]:
        """The outputs that have been compared with the reference's."""
        return [found for found in self.outputs if found.rows]

    def judge(self, outputs: list[Array], reference: list[Array] | None, labels: Array) -> None:
        """Count the labels that have the highest score; raises StepFailed for labels that misfit."""
        right, labelled = classification.right(outputs[0], labels, self.held)
        self.right = (self.right or 0) + right
        self.labelled += labelled
        if reference is not None:
            found, _ = classification.right(reference[0], labels, self.held)
            self.reference_right = (self.reference_right or 0) + found

    def compare(self, outputs: list[Array], reference: list[Array], batch: Batch) -> None:
        """Count agreement and distance; raises StepFailed for outputs of other shapes."""
        comparison.add(self.outputs, outputs, reference, batch)

    def drop(self, max_drop: float) -> Drop:
        """Return what is lost: accuracy where there are labels, else of the worst output."""
        if self.before is None or self.accuracy is None:
            return comparison.worst(self.outputs, max_drop)
        value = self.before - self.accuracy
        words = f"accuracy {self.accuracy:.4f}, the reference's {self.before:.4f}: a drop of {value:.4f}"
        return Drop("accuracy", value, words)

    def measurements(self, conditions: Conditions) -> list[Measurement]:
        """Return accuracy, distances and agreement, as far as counted: of several outputs, the worst."""
        found = [] if self.accuracy is None else [self._share("accuracy", self.accuracy, conditions)]
        for name, value, unit in self._distances():
            found.append(Measurement(name=name, value=value, unit=unit, conditions=conditions))
        if (agreement := self.agreement) is not None:
            found.append(self._share("agreement", agreement, conditions))
        return found

    @property
    def agreement(self) -> float | None:
        """The share of rows, tokens or pixels with the same class, of outputs that are classes if any is."""
        told = [found for found in self.compared if found.items]
        known = [found for found in told if found.certain]
        return min((found.agreement or 0.0 for found in known or told), default=None)

    def _distances(self) -> Iterator[tuple[str, float, Unit]]:
        if self.compared:
            yield "max_abs_difference", max(found.largest for found in self.compared), Unit.DISTANCE
        cosines = [found.cosine for found in self.compared if found.cosine is not None]
        if cosines:
            yield "cosine_distance", max(cosines), Unit.DISTANCE
        fits = [found.fit for found in self.compared if found.fit.count]
        if fits:
            yield "relative_l2", max(fit.relative for fit in fits), Unit.DISTANCE
            yield "r_squared", min(fit.r_squared for fit in fits), Unit.RATIO

    def _share(self, name: str, value: float, conditions: Conditions) -> Measurement:
        """Return a share with its interval, as wide as if a row were one answer: its tokens are not many."""
        share = stats.wilson(value * self.rows, self.rows)
        return Measurement(
            name=name,
            value=value,
            unit=Unit.RATIO,
            ci_low=share.low,
            ci_high=share.high,
            conditions=conditions,
        )
