import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ovfarm.results import Verdict
from workers.kit import stats
from workers.kit.stats import Interval

times = st.lists(st.floats(0.1, 100), min_size=12, max_size=40)


@given(st.integers(1, 5000), st.data())
def test_wilson_holds_the_share_and_stays_a_share(total: int, data: st.DataObject) -> None:
    successes = data.draw(st.integers(0, total))
    found = stats.wilson(successes, total)
    assert 0 <= found.low <= found.value <= found.high <= 1


def test_wilson_against_a_published_value() -> None:
    found = stats.wilson(81, 263)  # Newcombe 1998, table I: 0.2553 to 0.3662
    assert (round(found.low, 4), round(found.high, 4)) == (0.2553, 0.3662)


@given(times, st.floats(0.1, 10))
def test_a_ratio_of_scaled_times_is_known_exactly(blocks: list[float], factor: float) -> None:
    rows = stats.resampled(len(blocks), 0)
    found = stats.ratio_interval([b * factor for b in blocks], blocks, rows)
    assert found.value == pytest.approx(factor)
    assert found.half_width < 1e-6, "rounds stay paired, so common noise cancels"


def test_the_interval_covers_the_truth_about_95_times_in_100() -> None:
    dice = np.random.default_rng(0)
    covered = 0
    for trial in range(200):
        blocks = dice.normal(10, 1, 40)
        found = stats.median_interval(list(blocks), stats.resampled(40, trial))
        covered += found.low <= 10 <= found.high
    assert 0.88 <= covered / 200 <= 0.99


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (1.2, 1.4, Verdict.FASTER),
        (0.5, 0.9, Verdict.SLOWER),
        (0.99, 1.01, Verdict.EQUIVALENT),
        (0.9, 1.2, Verdict.INCONCLUSIVE),
        (1.01, 1.2, Verdict.INCONCLUSIVE),
    ],
)
def test_a_verdict_says_no_more_than_its_interval(low: float, high: float, expected: Verdict) -> None:
    assert stats.verdict(Interval((low + high) / 2, low, high), 0.03) is expected
