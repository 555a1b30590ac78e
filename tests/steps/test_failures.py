"""Each way in which a user's step can fail, brought about for real; what is advised is applied and run."""

import re
from pathlib import Path

import pytest

from ovfarm.advice import patched
from ovfarm.failures import Failure, FailureClass
from ovfarm.failures import FailureCode as C
from ovfarm.hints import HINTS
from ovfarm.recipes import Quantize
from tests.steps.conftest import Benches
from tests.steps.mistakes import CASES, Case
from workers.protocol import StepFailed
from workers.steps import quantize


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.code}-{case.words}"[:40])
def test_a_mistake_is_named_and_what_is_advised_helps(case: Case, tmp_path: Path) -> None:
    user = case.make(tmp_path)
    spec = case.spec(user)
    ended = user.run(spec)
    assert isinstance(ended, Failure), ended
    assert (ended.code, ended.failure_class) == (case.code, FailureClass.USER)
    assert ended.failure_class in HINTS[ended.code].classes
    with pytest.raises(AssertionError, match=case.words):
        raise AssertionError(ended.message)
    assert ended.hint
    by_name = {name: patch for patch in ended.patches for name in patch.touched}
    for name in case.helps:
        after = user.run(patched(spec, by_name[name]))
        assert not isinstance(after, Failure), (name, after)


# A step after a failed one, and a cancelled one, fail by no work of their own (tests/storage). What needs
# a Hugging Face model is brought about where such models are built (test_huggingface, test_texts).
_OF_HUGGING_FACE = {
    C.ARCHITECTURE_UNSUPPORTED, C.TASK_UNSUPPORTED, C.EXPORT_FAILED, C.SEVERAL_NETWORKS, C.TOKENIZER_MISSING,
}  # fmt: skip
ELSEWHERE = {C.UPSTREAM, C.CANCELLED, C.DATASET_MISSING, *_OF_HUGGING_FACE}


def test_every_mistake_of_a_user_is_brought_about() -> None:
    of_users = {code for code, hint in HINTS.items() if FailureClass.USER in hint.classes}
    assert of_users == {case.code for case in CASES} | ELSEWHERE


TESTS = Path(__file__).parents[1]
# Tables of all codes, which bring nothing about.
TABLES = {"test_hints.py", "test_failures.py"}


def test_every_code_is_looked_for_by_a_test_that_brings_it_about() -> None:
    """Failures that are nobody's mistake, and notes: some test of steps, nodes or storage asserts them."""
    brought = "\n".join(
        file.read_text()
        for file in TESTS.rglob("*.py")
        if file.name not in TABLES and file.parent != TESTS / "core"
    )
    named = set(
        re.findall(r"\b(?:C|FailureCode|NoteCode)\.([A-Z_]+)\b|[\"']([a-z]+(?:_[a-z]+)*)[\"']", brought)
    )
    words = {word.lower() for pair in named for word in pair if word}
    missing = {str(code) for code in HINTS} - words - ELSEWHERE
    assert not missing


def test_a_step_without_its_data_says_so(model: Path, bench: Benches) -> None:
    """The planner refuses such a job; a step that is run all the same does not go on without."""
    with pytest.raises(StepFailed, match="no calibration data") as caught:
        quantize.run(Quantize(), bench(model=model))
    assert caught.value.failure.code is C.DATASET_MISSING
