"""Each way in which a user's step can fail, brought about for real; what is advised is applied and run."""

from dataclasses import replace
from pathlib import Path

import pytest

from ovfarm.advice import patched
from ovfarm.failures import Failure, FailureClass
from ovfarm.failures import FailureCode as C
from ovfarm.hints import HINTS
from ovfarm.recipes import Evaluate, Quantize
from tests.steps.conftest import Benches
from tests.steps.mistakes import CASES, Case
from workers.protocol import StepFailed
from workers.steps import evaluate, quantize


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


def test_a_step_without_its_data_says_so(model: Path, bench: Benches) -> None:
    """The planner refuses such a job; a step that is run all the same does not go on without."""
    with pytest.raises(StepFailed, match="no calibration data") as caught:
        quantize.run(Quantize(), bench(model=model))
    assert caught.value.failure.code is C.DATASET_MISSING


def test_a_device_that_is_not_there_is_named(model: Path, rows: Path, bench: Benches) -> None:
    made = replace(bench(model=model, reference=model, evaluation=rows), openvino_device="XPU")
    with pytest.raises(StepFailed, match="this node has no XPU; it has CPU") as caught:
        evaluate.run(Evaluate(), made)
    assert caught.value.failure.code is C.DEVICE_MISSING
    assert caught.value.failure.failure_class in HINTS[C.DEVICE_MISSING].classes
