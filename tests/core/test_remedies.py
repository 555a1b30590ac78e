"""Who is advised what: the step whose model was judged, and only what can help it."""

import pytest

from ovfarm.advice import Advice
from ovfarm.jobs import JobSpec
from ovfarm.patches import Patch
from ovfarm.recipes import Compress, Convert, Evaluate, Quantize, Recipe
from ovfarm.resolution import resolve
from ovfarm.results import NoteCode
from tests.core.test_hints import HALVES, MODEL, ODD_NAMES, advised, shown


def test_a_judge_points_at_what_made_the_model() -> None:
    spec = JobSpec(model=MODEL, recipe=ODD_NAMES, data=HALVES)
    first, second = (shown(spec, NoteCode.ACCURACY_LOST, step) for step in ("first", "second"))
    heads = [
        {path.partition(".")[0] for patch in side for path in patch.overrides} for side in (first, second)
    ]
    assert heads == [{"small"}, {"compress"}]


def test_a_gate_is_widened_by_its_own_name() -> None:
    spec = JobSpec(model=MODEL, recipe="ladder", data=HALVES)
    measured = Patch(why="allow what was lost just now", overrides={"evaluate.max_drop": 0.2})
    (first, *others) = shown(spec, NoteCode.GATE_FAILED, "evaluate-int8", measured)
    assert first.overrides == {"evaluate-int8.max_drop": 0.2}
    assert not [patch for patch in others if "evaluate-int8.max_drop" in patch.overrides]
    (all_of_them, *_) = shown(spec, NoteCode.NOTHING_PASSED, "choose")
    assert set(all_of_them.overrides) == {
        f"evaluate-{rung}.max_drop" for rung in ("fp16", "int8", "int8-accurate", "int4")
    }


def test_a_gate_points_at_the_step_whose_model_was_judged() -> None:
    """INT8 is behind the gate before INT4, and its model is not the one that was judged."""
    spec = JobSpec(model=MODEL, recipe="ladder", data=HALVES)
    for code in (NoteCode.GATE_FAILED, NoteCode.ACCURACY_LOST, NoteCode.OUTPUTS_DIFFER):
        patches = shown(spec, code, "evaluate-int4")
        assert {path.partition(".")[0] for patch in patches for path in patch.overrides} == {"int4"}
    below = Recipe(
        name="mine",
        steps=(
            Convert(), Quantize(), Compress(model="convert", mode="nf4"), Evaluate(reference="quantize"),
        ),
    )  # fmt: skip
    patches = shown(JobSpec(model=MODEL, recipe=below, data=HALVES), NoteCode.ACCURACY_LOST, "evaluate")
    assert {path.partition(".")[0] for patch in patches for path in patch.overrides} == {"compress"}


def test_accuracy_control_is_offered_where_labels_were_seen_and_it_is_not_on() -> None:
    def offered(code: NoteCode, recipe: str) -> bool:
        patches = shown(JobSpec(model=MODEL, recipe=recipe, data=HALVES), code, "evaluate")
        return "quantize.accuracy" in {path for patch in patches for path in patch.overrides}

    assert offered(NoteCode.ACCURACY_LOST, "int8")
    assert not offered(NoteCode.ACCURACY_LOST, "int8-accurate")
    assert not offered(NoteCode.OUTPUTS_DIFFER, "int8")
    assert not offered(NoteCode.GATE_FAILED, "int8")


def test_more_rows_are_not_offered_where_all_were_taken() -> None:
    spec = JobSpec(model=MODEL, recipe="int8", data=HALVES)
    for spent, rows in (((), 900), (("quantize",), None)):
        patches = advised(Advice(spec, resolve(spec), spent), NoteCode.OUTPUTS_DIFFER, "evaluate")
        found = {path: value for patch in patches for path, value in patch.overrides.items()}
        assert found.get("quantize.subset_size") == rows
    assert not [p for p in shown(spec, NoteCode.LITTLE_CALIBRATION_DATA, "quantize") if p.overrides]


@pytest.mark.parametrize(
    ("asked", "path", "offered"),
    [
        ({}, "compress.ratio", 0.8),
        ({"ratio": 0.9}, "compress.ratio", 0.8),
        ({"ratio": 0.5}, "compress.ratio", None),
        ({}, "compress.backup_mode", "none"),
        ({"all_layers": True}, "compress.backup_mode", None),
    ],
)
def test_what_would_not_help_is_not_offered(asked: dict[str, object], path: str, offered: object) -> None:
    overrides = {f"compress.{name}": value for name, value in ({"mode": "int2_sym"} | asked).items()}
    spec = JobSpec.model_validate({"model": MODEL, "recipe": "int4", "overrides": overrides})
    patches = shown(spec, NoteCode.OUTPUTS_DIFFER, "evaluate")
    assert {p: v for patch in patches for p, v in patch.overrides.items()}.get(path) == offered
    assert not [patch.why for patch in patches if "INT4" in patch.why]
