"""What a benchmark is, and how its samples become a line."""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Samples:
    """Values of the thing measured and of its reference, taken in turns; both in the same unit."""

    value: list[float]
    reference: list[float]


@dataclass(frozen=True, slots=True)
class Benchmark:
    """``what`` is measured over what; ``goal`` bounds the ratio from above; ``seconds`` it takes.

    With ``at_least`` the goal bounds it from below: more is better.
    """

    name: str
    what: str
    goal: float
    unit: str
    seconds: float
    run: Callable[[], Samples]
    at_least: bool = False

    def line(self) -> dict[str, str | float | int]:
        """Run it and return its line; the difference is for those who think in milliseconds."""
        samples = self.run()
        value, reference = median(samples.value), median(samples.reference)
        return {
            "name": self.name,
            "what": self.what,
            "value": value,
            "reference": reference,
            "ratio": value / reference,
            "difference": value - reference,
            "goal": self.goal,
            "met": value / reference >= self.goal if self.at_least else value / reference <= self.goal,
            "unit": self.unit,
            "samples": len(samples.value),
        }
