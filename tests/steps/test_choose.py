"""Gates and choices on small real models; a bad quantization is what fails a gate."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from pydantic import TypeAdapter

from ovfarm.failures import FailureCode
from ovfarm.gates import CHOSEN_FILE, FAILED, GATE_FILE, PASSED
from ovfarm.recipes import (
    Benchmark,
    Choose,
    Compress,
    Convert,
    Evaluate,
    Package,
    Quantize,
    StepParams,
)
from ovfarm.results import Chosen, Gate, StepResult
from tests.steps.conftest import Benches
from workers.kit import canonical, gates
from workers.protocol import Bench, StepFailed
from workers.steps import choose, convert, evaluate, package, quantize

MISSED = Gate(passed=False, metric="accuracy", value=0.5, bound=0.1, words="it lost half")
PASSING = Gate(passed=True, metric="accuracy", value=0.0, bound=0.1, words="nothing was lost")
AWAY = Gate(passed=False, not_reached=True, words="not reached: gate 'first' did not pass")
NEEDLESS = Gate(passed=False, not_needed=True, words="not needed: gate 'first' passed")


@pytest.fixture
def poor(tmp_path: Path, model: Path, rows: Path, bench: Benches) -> Path:
    """Return a model that was quantized for inputs a thousand times smaller than they are."""
    tiny = tmp_path / "tiny"
    tiny.mkdir()
    np.savez(tiny / "d.npz", x=np.load(rows / "rows.npz")["x"] / 1000)
    made = bench(model=model, calibration=tiny)
    quantize.run(Quantize(), made)
    return made.outputs


def written(tmp_path: Path, name: str, gate: Gate) -> Path:
    folder = tmp_path / name
    folder.mkdir()
    gates.write(gate, folder)
    return folder


def left(made: Bench) -> Gate:
    assert [path.name for path in made.outputs.iterdir()] == [GATE_FILE]
    return gates.read(made.outputs)


def codes(result: StepResult | None) -> list[str]:
    assert result is not None
    return [note.code for note in result.notes]


def test_a_gate_says_what_was_lost(model: Path, poor: Path, rows: Path, bench: Benches) -> None:
    made = bench(model=poor, reference=model, evaluation=rows)
    result = evaluate.run(Evaluate(max_drop=0.1), made)
    found = {m.name: m.value for m in result.measurements}
    gate = left(made)
    assert codes(result) == ["accuracy_lost", "gate_failed"]
    assert (gate.passed, gate.metric, gate.bound) == (False, "accuracy", 0.1)
    assert found["drop"] == gate.value == 1 - found["accuracy"] > 0.1
    assert result.canonical_digest == FAILED
    same = bench(model=model, reference=model, evaluation=rows)
    result = evaluate.run(Evaluate(max_drop=0), same)
    assert (codes(result), left(same).value, result.canonical_digest) == (["gate_passed"], 0, PASSED)


def test_a_drop_of_exactly_the_bound_passes(model: Path, poor: Path, rows: Path, bench: Benches) -> None:
    made = bench(model=poor, reference=model, evaluation=rows)
    evaluate.run(Evaluate(max_drop=0.1), made)
    exact = left(made).value
    again = bench(model=poor, reference=model, evaluation=rows)
    evaluate.run(Evaluate(max_drop=exact), again)
    assert left(again).passed


def test_a_gate_that_failed_offers_the_drop_that_it_measured(
    model: Path, poor: Path, rows: Path, bench: Benches
) -> None:
    made = bench(model=poor, reference=model, evaluation=rows)
    note = evaluate.run(Evaluate(max_drop=0.1), made).notes[-1]
    (patch,) = note.patches
    enough = TypeAdapter(float).validate_python(patch.overrides["evaluate.max_drop"])
    assert 0 <= enough - (left(made).value or 0) < 0.0001
    again = bench(model=poor, reference=model, evaluation=rows)
    result = evaluate.run(Evaluate(max_drop=enough), again)
    assert codes(result)[-1] == "gate_passed"
    assert result.notes[-1].patches == ()


@pytest.mark.parametrize(
    ("drop", "enough"),
    [(0.2, 0.2), (0.1 + 0.2, 0.3), (0.12341, 0.1235), (0.99999, 1.0), (1.0, None)],
)
def test_a_bound_is_rounded_up_and_all_is_no_bound(drop: float, enough: float | None, tmp_path: Path) -> None:
    gate = Gate(passed=False, metric="agreement", value=drop, bound=0.1, words="too far")
    found = [
        patch.overrides["evaluate.max_drop"] for patch in gates.leave(gate, (), (), tmp_path).notes[0].patches
    ]
    assert found == ([] if enough is None else [enough])


def test_a_better_model_than_its_reference_has_dropped_less_than_nothing(
    model: Path, poor: Path, rows: Path, bench: Benches
) -> None:
    made = bench(model=model, reference=poor, evaluation=rows)
    evaluate.run(Evaluate(max_drop=0), made)
    gate = left(made)
    assert gate.passed
    assert (gate.value or 0) < 0


def test_without_labels_the_reference_is_right(model: Path, poor: Path, bench: Benches) -> None:
    made = bench(model=poor, reference=model)
    result = evaluate.run(Evaluate(max_drop=0.1), made)
    agreement = next(m.value for m in result.measurements if m.name == "agreement")
    assert codes(result) == ["random_data", "outputs_differ", "gate_failed"]
    assert left(made).metric == "agreement"
    assert left(made).value == pytest.approx(1 - agreement)
    with pytest.raises(StepFailed, match="max_drop needs a reference"):
        evaluate.run(Evaluate(max_drop=0.1), bench(model=poor))


@pytest.mark.parametrize(
    "params",
    [
        Convert(after="first"), Quantize(after="first"), Compress(after="first"), Evaluate(after="first"),
        Benchmark(after="first"),
    ],
    ids=lambda params: params.kind,
)  # fmt: skip
def test_behind_a_gate_that_failed_nothing_is_done(
    params: StepParams, tmp_path: Path, bench: Benches
) -> None:
    nothing = tmp_path / "nothing"
    nothing.mkdir()
    made = bench(model=nothing, gate=written(tmp_path, "failed", MISSED))
    assert codes(gates.stopped(params, made)) == ["not_reached"]
    assert left(made).words == "not reached: gate 'first' did not pass: it lost half"
    open_gate = bench(model=nothing, gate=written(tmp_path, "passed", PASSING))
    assert gates.stopped(params, open_gate) is None
    assert not list(open_gate.outputs.iterdir())


@pytest.mark.parametrize(
    ("found", "code"),
    [
        ([PASSING, PASSING], None), ([PASSING, MISSED], "not_reached"), ([AWAY], "not_reached"),
        ([NEEDLESS], "not_reached"),
    ],
)  # fmt: skip
def test_after_wants_every_target_to_pass(
    found: list[Gate], code: str | None, tmp_path: Path, bench: Benches
) -> None:
    roles = ("gate", "gate-1")
    made = bench(**{r: written(tmp_path, r, g) for r, g in zip(roles, found, strict=False)})
    result = gates.stopped(Convert(after="second"), made)
    assert (codes(result) if result else None) == ([code] if code else None)
    if AWAY in found:
        assert left(made).words == AWAY.words, "the first gate that failed stays the one that is named"


@pytest.mark.parametrize(
    ("found", "code"),
    [
        ([MISSED], None), ([PASSING, MISSED], None), ([PASSING, PASSING], "not_needed"),
        ([PASSING], "not_needed"), ([AWAY], "not_reached"), ([PASSING, AWAY], "not_reached"),
    ],
)  # fmt: skip
def test_unless_wants_one_target_to_fail(
    found: list[Gate], code: str | None, tmp_path: Path, bench: Benches
) -> None:
    roles = ("unless", "unless-1")
    made = bench(**{r: written(tmp_path, r, g) for r, g in zip(roles, found, strict=False)})
    result = gates.stopped(Quantize(unless="first"), made)
    assert (codes(result) if result else None) == ([code] if code else None)


@pytest.mark.parametrize("role", ["model", "reference"])
@pytest.mark.parametrize(("gate", "code"), [(AWAY, "not_reached"), (NEEDLESS, "not_needed")])
def test_what_would_work_on_a_model_that_was_not_made_stops_too(
    role: str, gate: Gate, code: str, tmp_path: Path, model: Path, bench: Benches
) -> None:
    made = bench(**({"model": model} | {role: written(tmp_path, "away", gate)}))
    assert codes(gates.stopped(Evaluate(max_drop=0.1), made)) == [code]
    assert left(made) == gate


def test_a_file_that_is_called_like_a_gate_is_none(tmp_path: Path, model: Path, bench: Benches) -> None:
    assert gates.stopped(Evaluate(), bench(model=written(tmp_path, "measured", MISSED))) is None
    beside = tmp_path / "beside"
    shutil.copytree(model, beside)
    gates.write(AWAY, beside)
    assert gates.stopped(Evaluate(), bench(model=beside)) is None
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / GATE_FILE).write_text("{")
    with pytest.raises(StepFailed) as caught:
        gates.stopped(Convert(after="first"), bench(gate=broken))
    assert caught.value.failure.code is FailureCode.BAD_OUTPUT


@pytest.mark.parametrize(
    ("first", "second", "taken"),
    [
        (PASSING, PASSING, "second"), (PASSING, MISSED, "first"), (MISSED, PASSING, None),
        (NEEDLESS, PASSING, "second"), (AWAY, AWAY, None), (PASSING, NEEDLESS, "first"),
    ],
)  # fmt: skip
def test_the_chosen_model_is_copied_as_it_is(
    first: Gate, second: Gate, taken: str | None, tmp_path: Path, model: Path, poor: Path, bench: Benches
) -> None:
    half = bench(model=model)
    convert.run(Convert(weights="fp16"), half)
    models = {"first": half.outputs, "second": poor, None: model}
    made = bench(
        **{"model-0": half.outputs, "model-1": poor, "reference": model},
        **{"gate-0-0": written(tmp_path, "one", first), "gate-1-0": written(tmp_path, "two", second)},
    )
    result = choose.run(Choose(of=("first", "second")), made)
    assert result.canonical_digest == canonical.digest(models[taken])
    for name in ("model.xml", "model.bin"):
        assert (made.outputs / name).read_bytes() == (models[taken] / name).read_bytes()
    assert result.chosen is not None
    assert result.chosen.gate == taken
    assert result.chosen == Chosen.model_validate_json((made.outputs / CHOSEN_FILE).read_bytes())
    assert ("nothing_passed" in codes(result)) == (taken is None)
    assert "first: " in result.notes[-1].message
    assert "second: " in result.notes[-1].message


def test_a_choice_without_anything_to_fall_back_on(tmp_path: Path, poor: Path, bench: Benches) -> None:
    away = written(tmp_path, "away", AWAY)
    made = bench(**{"model-0": poor, "gate-0-0": written(tmp_path, "one", MISSED), "reference": away})
    assert gates.stopped(Choose(of=("one",)), made) is None
    with pytest.raises(StepFailed, match="no reference to fall back on"):
        choose.run(Choose(of=("one",)), made)


def test_a_package_says_which_variant_it_holds(tmp_path: Path, model: Path, bench: Benches) -> None:
    gate = written(tmp_path, "one", PASSING)
    made = bench(**{"model-0": model, "gate-0-0": gate, "reference": model})
    params = Choose(of=("one",))
    choose.run(params, made)
    recipe = tmp_path / "recipe"
    recipe.mkdir()
    (recipe / "recipe.json").write_text(json.dumps([params.model_dump(mode="json")]))
    packed = bench(model=made.outputs, recipe=recipe)
    package.run(Package(), packed)
    manifest = json.loads((packed.outputs / "manifest.json").read_text())
    assert manifest["chosen"]["gate"] == "one"
    assert CHOSEN_FILE not in manifest["files"]
    plain = bench(model=made.outputs)
    package.run(Package(), plain)
    assert "chosen" not in json.loads((plain.outputs / "manifest.json").read_text())
