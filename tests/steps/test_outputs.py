"""What each output of a model is judged by: tokens, pixels, numbers, class numbers, and several at once."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops

from ovfarm.failures import FailureCode
from ovfarm.recipes import Evaluate
from ovfarm.results import Gate, StepResult
from tests.steps.conftest import Benches
from tests.steps.makers import X, dataset, saved
from tests.steps.test_judging import package, values
from workers.kit import classification, gates
from workers.kit.classification import Kind
from workers.kit.data import Array
from workers.protocol import StepFailed
from workers.steps import evaluate

DICE = np.random.default_rng(5)
TOKENS = DICE.normal(size=(64, 6, 8)).astype(np.float32)
PIXELS = DICE.normal(size=(16, 3, 8, 8)).astype(np.float32)
Build = Callable[[ov.Node], ov.Node]


def model(shape: list[int], *builds: Build, names: tuple[str, ...] = ("logits",)) -> ov.Model:
    """Return a model from x to outputs of these names."""
    x = ops.parameter(shape, ov.Type.f32, name="x")
    x.output(0).get_tensor().set_names({"x"})
    outputs = [build(x) for build in builds]
    for output, name in zip(outputs, names, strict=True):
        output.output(0).get_tensor().set_names({name})
    return ov.Model([ops.result(output) for output in outputs], [x], "made")


def times(outputs: int, seed: int, *, noise: float = 0.0) -> Build:
    """Return x times seeded weights; ``noise`` is added to the weights."""
    weights = np.random.default_rng(seed).normal(size=(8, outputs))
    weights += noise * np.random.default_rng(99).normal(size=weights.shape)
    return lambda x: ops.matmul(x, ops.constant(weights.astype(np.float32)), False, False)


def tagged(seed: int) -> Build:
    """Return scores of tokens of which the first of each row has a class that towers over all others."""
    bias = np.zeros((1, 6, 10), np.float32)
    bias[0, 0, 3] = 100
    return lambda x: ops.add(times(10, seed)(x), ops.constant(bias))


def segmented(seed: int) -> Build:
    """Return scores of pixels of which one towers over all others, classes first."""
    weights = np.random.default_rng(seed).normal(size=(5, 3, 1, 1)).astype(np.float32)
    bias = np.zeros((1, 5, 8, 8), np.float32)
    bias[0, 0, 0, 0] = 100
    return lambda x: ops.add(
        ops.convolution(x, ops.constant(weights), [1, 1], [0, 0], [0, 0], [1, 1]), ops.constant(bias)
    )


def computed(made: ov.Model, x: Array, output: int = 0) -> Array:
    found: Array = ov.compile_model(made, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(x)[output]
    return found


@pytest.fixture
def gated(tmp_path: Path, bench: Benches) -> Callable[..., tuple[StepResult, Gate]]:
    """Return what judges a model by its reference."""

    def judge(
        mine: ov.Model, theirs: ov.Model, max_drop: float = 0.01, **arrays: object
    ) -> tuple[StepResult, Gate]:
        made = bench(
            model=saved(tmp_path / "mine", mine),
            reference=saved(tmp_path / "theirs", theirs),
            evaluation=dataset(tmp_path / "rows", **arrays),
        )
        return evaluate.run(Evaluate(max_drop=max_drop), made), gates.read(made.outputs)

    return judge


@pytest.mark.parametrize(("made", "x", "axis"), [(tagged, TOKENS, 2), (segmented, PIXELS, 1)])
def test_each_token_and_each_pixel_counts(
    made: Callable[[int], Build], x: Array, axis: int, gated: Callable[..., tuple[StepResult, Gate]]
) -> None:
    """The highest score of a whole row is always the same one, so all rows would agree."""
    mine, theirs = (model([-1, *x.shape[1:]], made(seed)) for seed in (1, 2))
    same = computed(mine, x).argmax(axis) == computed(theirs, x).argmax(axis)
    result, gate = gated(mine, theirs, x=x)
    assert values(result)["agreement"] == pytest.approx(same.mean())
    assert (gate.passed, gate.metric) == (False, "agreement")
    assert gate.value == pytest.approx(1 - same.mean())
    assert "outputs_differ" in [note.code for note in result.notes]


def with_mask(seed: int) -> ov.Model:
    """Return scores of tokens that depend on the seed where the mask is 0."""
    x = ops.parameter([-1, 6, 8], ov.Type.f32, name="x")
    mask = ops.parameter([-1, 6], ov.Type.i64, name="attention_mask")
    for port in (x, mask):
        port.output(0).get_tensor().set_names({port.get_friendly_name()})
    there = ops.unsqueeze(ops.convert(mask, "f32"), ops.constant(np.int64(2)))
    padding = ops.multiply(ops.subtract(ops.constant(np.float32(1)), there), times(10, seed)(x))
    y = ops.add(ops.multiply(there, times(10, 0)(x)), padding)
    y.output(0).get_tensor().set_names({"logits"})
    return ov.Model([ops.result(y)], [x, mask], "masked")


def test_padding_does_not_count(gated: Callable[..., tuple[StepResult, Gate]]) -> None:
    mask = (np.arange(6) < DICE.integers(1, 7, (64, 1))).astype(np.int64)
    result, gate = gated(with_mask(1), with_mask(2), 0, x=TOKENS, attention_mask=mask)
    found = values(result)
    assert (found["agreement"], found["relative_l2"], found["max_abs_difference"]) == (1, 0, 0)
    assert gate.passed


@pytest.mark.parametrize(("ruined", "named"), [(0, "first"), (1, "second")])
def test_the_worst_output_counts(
    ruined: int, named: str, gated: Callable[..., tuple[StepResult, Gate]]
) -> None:
    seeds = [1, 2]
    theirs = model([-1, 8], *(times(4, seed) for seed in seeds), names=("first", "second"))
    seeds[ruined] = 9
    mine = model([-1, 8], *(times(4, seed) for seed in seeds), names=("first", "second"))
    _, gate = gated(mine, theirs, x=X[:, :8])
    expected = computed(mine, X[:, :8], ruined).argmax(1) != computed(theirs, X[:, :8], ruined).argmax(1)
    assert not gate.passed
    assert gate.value == pytest.approx(expected.mean())
    assert f"output '{named}'" in gate.words


def test_with_labels_the_other_outputs_are_still_looked_at(
    gated: Callable[..., tuple[StepResult, Gate]],
) -> None:
    theirs = model([-1, 8], times(4, 1), times(4, 2), names=("first", "second"))
    mine = model([-1, 8], times(4, 1), times(4, 9), names=("first", "second"))
    x = X[:, :8]
    result, gate = gated(mine, theirs, x=x, labels=computed(theirs, x).argmax(1))
    assert (gate.passed, gate.metric) == (True, "accuracy")
    (note,) = (note for note in result.notes if note.code == "outputs_differ")
    assert "(output 'second')" in note.message


@pytest.mark.parametrize("factor", [1000.0, 0.001])
def test_scores_of_another_size_pass_no_gate(
    factor: float, gated: Callable[..., tuple[StepResult, Gate]]
) -> None:
    theirs = model([-1, 8], times(4, 1))
    mine = model([-1, 8], lambda x: ops.multiply(times(4, 1)(x), ops.constant(np.float32(factor))))
    result, gate = gated(mine, theirs, x=X[:, :8])
    assert values(result)["agreement"] == 1.0
    assert values(result)["relative_l2"] == pytest.approx(abs(factor - 1), rel=1e-3)
    assert (gate.passed, gate.metric) == (False, "r_squared")
    assert "outputs_differ" in [note.code for note in result.notes]


def test_scores_that_are_somewhat_sharper_are_the_same_classes(
    gated: Callable[..., tuple[StepResult, Gate]],
) -> None:
    theirs = model([-1, 8], times(4, 1))
    mine = model([-1, 8], lambda x: ops.multiply(times(4, 1)(x), ops.constant(np.float32(1.2))))
    _, gate = gated(mine, theirs, 0, x=X[:, :8])
    assert (gate.passed, gate.metric) == (True, "agreement")


@pytest.mark.parametrize(("noise", "lost"), [(0.02, []), (0.5, ["outputs_differ"])])
def test_hidden_states_are_judged_as_numbers(
    noise: float, lost: list[str], gated: Callable[..., tuple[StepResult, Gate]]
) -> None:
    """Which hidden unit is the highest changes at once, and means little."""
    theirs, mine = (
        model([-1, -1, 8], times(500, 1, noise=n), names=("last_hidden_state",)) for n in (0, noise)
    )
    result, gate = gated(mine, theirs, x=TOKENS)
    a, b = computed(mine, TOKENS).astype(np.float64), computed(theirs, TOKENS).astype(np.float64)
    assert (a.argmax(2) == b.argmax(2)).mean() < 0.97
    assert (gate.passed, gate.metric) == (not lost, "r_squared")
    assert [note.code for note in result.notes][:-1] == lost
    assert "agreement" not in values(result)
    found = values(result)["relative_l2"]
    assert found == pytest.approx(np.linalg.norm(a - b) / np.linalg.norm(b), rel=1e-4)


def test_tokens_that_nobody_calls_classes_are_told_but_judged_as_numbers(
    gated: Callable[..., tuple[StepResult, Gate]],
) -> None:
    theirs, mine = (model([-1, -1, 8], times(500, 1, noise=n), names=("y",)) for n in (0, 0.02))
    result, gate = gated(mine, theirs, x=TOKENS)
    assert (gate.passed, gate.metric) == (True, "r_squared")
    assert 0.5 < values(result)["agreement"] < 0.97


def best(seed: int) -> Build:
    def ids(x: ov.Node) -> ov.Node:
        top = ops.topk(times(4, seed)(x), ops.constant(np.int64(1)), 1, "max", "value")
        return ops.squeeze(top.output(1), ops.constant(np.int64(1)))

    return ids


def test_class_numbers_are_the_same_or_not(gated: Callable[..., tuple[StepResult, Gate]]) -> None:
    mine, theirs = (model([-1, 8], best(seed), names=("id",)) for seed in (1, 2))
    x = X[:, :8]
    same = computed(mine, x) == computed(theirs, x)
    result, gate = gated(mine, theirs, x=x)
    assert gate.metric == "agreement"
    assert gate.value == pytest.approx(1 - same.mean())
    assert "r_squared" not in values(result)


@pytest.mark.parametrize(
    ("build", "shape", "name", "kind", "axis"),
    [
        (lambda x: ops.softmax(x, 1), [4, 6, 8], "y", Kind.CLASSES, 1),
        (lambda x: ops.softmax(x, -1), [4, 8, 8, 8], "y", Kind.CLASSES, 3),
        (ops.sigmoid, [4, 20], "logits", Kind.NUMBERS, None),
        (ops.relu, [4, 6, 8], "logits", Kind.CLASSES, 2),
        (ops.relu, [4, 5, 8, 8], "logits", Kind.CLASSES, 1),
        (ops.relu, [4, 8, 8, 5], "logits", Kind.CLASSES, 3),
        (ops.relu, [4, 20, 16, 24], "logits", Kind.CLASSES, 1),
        (ops.relu, [-1, -1, -1, 5], "logits", Kind.CLASSES, 3),
        (ops.relu, [-1, 5, -1, -1], "y", Kind.UNKNOWN, 1),
        (ops.relu, [4, 1, 8, 8], "y", Kind.UNKNOWN, None),
        (ops.relu, [4, 1, 1, 5], "y", Kind.UNKNOWN, 3),
        (ops.relu, [4, 8], "sentence_embedding", Kind.NUMBERS, None),
        (ops.relu, [4, 8, 8], "predicted_depth", Kind.NUMBERS, None),
        (lambda x: ops.convert(x, "i64"), [4, 8], "y", Kind.WHOLE, None),
    ],
)
def test_what_an_output_means_is_told_by_what_is_known_of_it(
    build: Build, shape: list[int], name: str, kind: Kind, axis: int | None
) -> None:
    found = classification.meaning(model(shape, build, names=(name,)).outputs[0])
    assert found.kind is kind
    sides = [4, 5, 7, 9] if shape[1] == 5 else [4, 7, 9, 5]
    assert found.classes(tuple(side if side > 0 else sides[at] for at, side in enumerate(shape))) == axis


@pytest.mark.parametrize(
    ("made", "x", "axis"),
    [(model([-1, 6, 8], tagged(1)), TOKENS, 2), (model([-1, 3, 8, 8], segmented(1)), PIXELS, 1)],
    ids=["tokens", "pixels"],
)
def test_labels_of_tokens_and_pixels(
    made: ov.Model, x: Array, axis: int, gated: Callable[..., tuple[StepResult, Gate]]
) -> None:
    labels = computed(made, x).argmax(axis)
    labels[:, 0] = classification.IGNORED
    wrong = labels[:, 1] != 2
    labels[:, 1] = 2
    result, gate = gated(made, made, x=x, labels=labels)
    counted = labels[labels != classification.IGNORED].size
    assert values(result)["accuracy"] == pytest.approx(1 - wrong.sum() / counted)
    assert gate.metric == "accuracy"


@pytest.mark.parametrize("shape", [(64, 5), (64, 6, 10)])
def test_labels_of_other_shapes_than_the_scores_are_refused(
    shape: tuple[int, ...], gated: Callable[..., tuple[StepResult, Gate]]
) -> None:
    made = model([-1, 6, 8], tagged(1))
    with pytest.raises(StepFailed, match=r"\[rows, 6, 10\]") as caught:
        gated(made, made, x=TOKENS, labels=np.zeros(shape, int))
    assert caught.value.failure.code is FailureCode.LABELS_MISFIT


def test_a_network_of_several_of_another_size_passes_no_gate(tmp_path: Path, bench: Benches) -> None:
    theirs = model([-1, 8], times(4, 1))
    mine = model([-1, 8], lambda x: ops.multiply(times(4, 1)(x), ops.constant(np.float32(1000))))
    made = bench(
        model=package(tmp_path / "mine", theirs, mine), reference=package(tmp_path / "theirs", theirs, theirs)
    )
    evaluate.run(Evaluate(max_drop=0.5), made)
    gate = gates.read(made.outputs)
    assert (gate.passed, gate.metric) == (False, "relative_l2")
    assert gate.value == pytest.approx(999, rel=1e-3)
