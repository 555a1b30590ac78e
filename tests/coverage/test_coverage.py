"""The short form: a decoder with its cache, a pipeline of four networks, and ONNX with external data."""

import re
from pathlib import Path

import numpy as np
import pytest

from tests.coverage.answers import Apart, check_compressed, check_converted
from tests.coverage.farm import MAKERS, covered

PAGE = Path(__file__).resolve().parents[2] / "docs" / "coverage.md"


def test_three_of_them_go_through_a_farm_and_say_the_same() -> None:
    chosen = [maker for maker in MAKERS if maker.name in {"qwen2", "bert", "onnx-external-data"}]
    assert len(chosen) == 3
    assert [verdict.reason for verdict in covered(chosen, lambda _: None)] == ["", "", ""]


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"y": np.array([1.0, 2.01])}, "off by"),
        ({"y": np.array([1.0, np.nan])}, "off by"),
        ({"y": np.array([1.0])}, "shape"),
        ({"z": np.array([1.0, 2.0])}, "the original's are y"),
        ({}, "none"),
    ],
)
def test_answers_that_differ_are_told(said: dict[str, np.ndarray], words: str) -> None:
    original = {"y": np.array([1.0, 2.0])}
    check_converted(original, original)
    with pytest.raises(Apart, match=words):
        check_converted(said, original)


def test_compressed_answers_may_move_and_not_turn() -> None:
    original = {"y": np.array([1.0, 2.0])}
    check_compressed({"y": np.array([1.1, 2.1])}, original)
    for wrong in ([2.0, 1.0], [0.0, 0.0], [np.nan, 1.0]):
        with pytest.raises(Apart, match="cosine distance"):
            check_compressed({"y": np.array(wrong)}, original)


def test_the_page_names_all_that_is_covered_and_nothing_else() -> None:
    rows = re.findall(r"^\| [^|]+ \| ((?:`[\w-]+`(?:, )?)+) \|$", PAGE.read_text(), flags=re.MULTILINE)
    named = [name for row in rows for name in re.findall(r"`([\w-]+)`", row)]
    assert sorted(named) == sorted(maker.name for maker in MAKERS)
