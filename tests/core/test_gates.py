from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue, ValidationError

from ovfarm.errors import InvalidInput
from ovfarm.gates import FAILED, PASSED, digest, last_passed
from ovfarm.hardware import Need
from ovfarm.jobs import DataRef, JobData, JobSpec, Part
from ovfarm.plan import Edge, plan
from ovfarm.recipes import Choose, Compress, Convert, Evaluate, Quantize, Recipe
from ovfarm.resolution import resolve
from ovfarm.results import Gate, Judged

MODEL, DATA = UUID(int=1), UUID(int=2)
HALVES = JobData(
    calibration=DataRef(dataset=DATA, part=Part.EVEN), evaluation=DataRef(dataset=DATA, part=Part.ODD)
)
GATES = {
    "passed": Gate(passed=True, value=0, bound=0.1, words=""),
    "failed": Gate(passed=False, value=1, bound=0.1, words=""),
    "not_reached": Gate(passed=False, not_reached=True, words=""),
    "not_needed": Gate(passed=False, not_needed=True, words=""),
}


def ladder(**fields: Any) -> JobSpec:
    return JobSpec.model_validate({"model": MODEL, "recipe": "ladder", "data": HALVES, **fields})


def test_the_ladder_waits_for_its_gates() -> None:
    steps = {step.name: step for step in plan(ladder())}
    assert steps["int8"].edges["gate"] == Edge(step="evaluate-fp16")
    assert steps["int4"].edges["gate"] == Edge(step="evaluate-int8")
    assert steps["int8-accurate"].edges["unless"] == Edge(step="evaluate-int8")
    assert {e.step for r, e in steps["int4"].edges.items() if r == "model"} == {"reference"}
    choose = steps["choose"].edges
    assert choose["reference"] == Edge(step="reference")
    assert [choose[f"model-{n}"].step for n in range(4)] == ["fp16", "int8-accurate", "int8", "int4"]
    assert steps["package"].edges == {"model": Edge(step="choose")}
    names = [params.name for params in steps["package"].lineage]
    assert names == ["reference", "fp16", "int8", "int8-accurate", "int4", "choose"]


def test_with_several_targets_every_gate_is_read() -> None:
    steps = {step.name: step for step in plan(ladder(targets=("cpu", "gpu")))}
    gates = [f"evaluate-fp16@{device}" for device in ("cpu", "gpu")]
    assert [steps["int8"].edges[role].step for role in ("gate", "gate-1")] == gates
    assert [steps["choose"].edges[f"gate-0-{n}"].step for n in range(2)] == gates
    assert {"unless", "unless-1"} <= steps["int8-accurate"].edges.keys()


def test_without_evaluation_data_the_ladder_has_no_accuracy_control() -> None:
    data = JobData(calibration=HALVES.calibration)
    steps = {step.name: step for step in plan(ladder(data=data))}
    assert not [name for name in steps if "accurate" in name]
    choose = steps["choose"].params
    assert isinstance(choose, Choose)
    assert choose.of == ("evaluate-fp16", "evaluate-int8", "evaluate-int4")


def test_bounds_are_set_from_outside() -> None:
    found = resolve(ladder(overrides={"evaluate-int8.max_drop": 0.02}))
    assert [s.max_drop for s in found.steps if isinstance(s, Evaluate)] == [None, 0.01, 0.02, 0.01, 0.01]
    with pytest.raises(
        InvalidInput, match=r"'int8-accurate' names 'evaluate-int8' in 'unless'.*give it max_drop"
    ):
        resolve(ladder(overrides={"evaluate-int8.max_drop": None}))


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        ((Convert(), Quantize(after="evaluate")), r"max_drop: none \["),
        ((Convert(), Evaluate(), Compress(after="evaluate")), "none; give it max_drop to make it a gate"),
        ((Convert(), Compress(unless="convert")), "'compress' names 'convert' in 'unless'"),
        (
            (Convert(), Evaluate(max_drop=0.1), Choose(of=("evaluate", "other"))),
            r"'other' in 'of'; .* max_drop: evaluate \[",
        ),
        ((Convert(), Evaluate(max_drop=0.1), Choose(of=("evaluate", "evaluate"))), "lists 'evaluate' twice"),
        ((Convert(), Evaluate(max_drop=0.1), Choose(of=("evaluate",), model="convert")), "takes no model"),
    ],
)
def test_an_edge_to_what_is_no_gate_is_named(steps: tuple[Any, ...], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Recipe(name="r", steps=steps)


@pytest.mark.parametrize("max_drop", [-0.1, 1.1, "much"])
def test_a_drop_is_a_share(max_drop: JsonValue) -> None:
    with pytest.raises(ValidationError):
        Evaluate.model_validate({"max_drop": max_drop})


def test_a_drop_from_nothing_is_refused() -> None:
    recipe = Recipe(name="r", steps=(Convert(weights="fp16"), Evaluate(max_drop=0.1)))
    with pytest.raises(InvalidInput, match="no earlier model from which to drop") as whole:
        plan(JobSpec(model=MODEL, data=HALVES, recipe=recipe))
    assert whole.value.pointer == "/recipe/steps/1/max_drop"
    plain = Recipe(name="r", steps=(Convert(weights="fp16"), Evaluate()))
    with pytest.raises(InvalidInput) as overridden:
        plan(JobSpec(model=MODEL, data=HALVES, recipe=plain, overrides={"evaluate.max_drop": 0.1}))
    assert overridden.value.pointer == "/overrides/evaluate.max_drop"


def test_a_gate_is_one_of_two_things_to_the_steps_below_it() -> None:
    assert [digest(gate) for gate in GATES.values()] == [PASSED, FAILED, None, None]


@given(st.lists(st.lists(st.sampled_from([*GATES]), min_size=1, max_size=3), min_size=1, max_size=8))
def test_the_choice_is_the_last_that_passed_before_the_first_that_did_not(rungs: list[list[str]]) -> None:
    judged = [
        Judged(name=f"g{number}", gates=tuple(GATES[found] for found in rung))
        for number, rung in enumerate(rungs)
    ]
    found = last_passed(judged)
    asked = [n for n, rung in enumerate(rungs) if set(rung) != {"not_needed"}]
    hurdles = [n for n in asked if set(rungs[n]) != {"passed"}]
    climbed = [n for n in asked if n < min(hurdles, default=len(rungs))]
    assert (found.name if found else None) == (f"g{climbed[-1]}" if climbed else None)


def test_memory_and_targets_of_a_choice_are_those_of_a_cpu_step() -> None:
    steps = {step.name: step for step in plan(ladder(targets=("gpu",)))}
    assert steps["choose"].need == Need()
