"""The table of hints is complete, and whatever is shown of it can be applied."""

from functools import cache
from typing import get_args
from uuid import UUID

import pytest
from pydantic import ValidationError

from ovfarm.advice import Advice, patched
from ovfarm.errors import InvalidInput
from ovfarm.failures import Failure, FailureClass, FailureCode
from ovfarm.hints import HINTS, Remedy
from ovfarm.jobs import DataRef, JobData, JobSpec, Limits, Part
from ovfarm.patches import LimitName, Patch
from ovfarm.plan import plan
from ovfarm.presets import PRESETS
from ovfarm.recipes import Compress, Convert, Evaluate, Kind, Package, Quantize, Recipe
from ovfarm.resolution import resolve
from ovfarm.results import Note, NoteCode

MODEL, DATA = UUID(int=1), UUID(int=2)
HALVES = JobData(
    calibration=DataRef(dataset=DATA, part=Part.EVEN), evaluation=DataRef(dataset=DATA, part=Part.ODD)
)
ODD_NAMES = Recipe(
    name="mine",
    steps=(
        Convert(name="quantize"),
        Compress(name="small", mode="int4_sym", group_size=64, ratio=0.5, gptq=True),
        Evaluate(name="first"),
        Quantize(name="compress", model="quantize", preset="performance", fast_bias_correction=False),
        Evaluate(name="second"),
        Package(),
    ),
)
FULL = Limits(memory_gib=4096, step_timeout_s=7 * 86400, max_attempts=10)


@cache
def specs() -> list[JobSpec]:
    """Return jobs of every preset and of one with misleading names, with and without data and limits."""
    recipes: list[str | Recipe] = [*PRESETS, ODD_NAMES]
    made = [
        JobSpec(model=MODEL, recipe=recipe, data=data, limits=limits)
        for recipe in recipes
        for data, limits in (
            (HALVES, Limits()),
            (HALVES, Limits(memory_gib=4)),
            (HALVES, FULL),
            (JobData(), Limits()),
        )
    ]
    accurate = {"quantize.accuracy.max_drop": 0.1, "quantize.accuracy.max_num_iterations": 3}
    made.append(JobSpec(model=MODEL, recipe="int8-accurate", data=HALVES, overrides=accurate))
    return [spec for spec in made if needs_no_more(spec)]


def needs_no_more(spec: JobSpec) -> bool:
    wants = any(
        step.kind is Kind.QUANTIZE or getattr(step, "needs_data", False) for step in resolve(spec).steps
    )
    return bool(spec.data.calibration) or not wants


def failure(code: FailureCode, **fields: object) -> Failure:
    return Failure.model_validate({"class": "user", "code": code, "message": "m", **fields})


Planned = tuple[JobSpec, Advice, list[str]]


@cache
def planned() -> list[Planned]:
    """Return the jobs with what advises on them: every code is looked up for each of them."""
    return [with_steps(spec) for spec in specs()]


def with_steps(spec: JobSpec) -> Planned:
    return spec, Advice(spec, resolve(spec)), [step.name for step in plan(spec)]


def shown(spec: JobSpec, code: FailureCode | NoteCode, step: str, *own: Patch) -> tuple[Patch, ...]:
    return advised(Advice(spec, resolve(spec)), code, step, *own)


def advised(advice: Advice, code: FailureCode | NoteCode, step: str, *own: Patch) -> tuple[Patch, ...]:
    if isinstance(code, NoteCode):
        return advice.on_note(Note(code=code, message="m", patches=own), step).patches
    return advice.on_failure(failure(code, patches=own), step).patches


def test_every_code_has_a_hint_and_no_two_share_a_name() -> None:
    assert set(HINTS) == {*FailureCode, *NoteCode}
    assert not {str(code) for code in FailureCode} & {str(code) for code in NoteCode}
    for code, hint in HINTS.items():
        assert bool(hint.classes) == isinstance(code, FailureCode), code
        assert hint.means.endswith("."), code
        assert not hint.words.endswith("."), code


def test_the_limits_of_a_patch_are_those_of_a_job() -> None:
    assert set(get_args(LimitName)) == set(Limits.model_fields)


@pytest.mark.parametrize("code", HINTS)
def test_every_patch_that_is_shown_is_taken_by_the_planner(code: FailureCode | NoteCode) -> None:
    for spec, advice, steps in planned():
        for step in steps:
            for patch in advised(advice, code, step):
                changed = patched(spec, patch)
                assert plan(changed)
                assert (resolve(changed), changed.limits) != (resolve(spec), spec.limits), patch
                assert type(patch) is Patch


# What users set, so that there is something to take back.
ASKED = {
    "compress.ignored_scope": {"types": ["MatMul"]},
    "quantize.ignored_scope": {"types": ["MatMul"]},
    "compress.gptq": True,
    "compress.awq": True,
    "compress.scale_estimation": True,
    "compress.lora_correction": True,
    "compress.advanced.min_adjusted_group_size": 4,
    "quantize.preset": "performance",
    "quantize.fast_bias_correction": False,
    "quantize.advanced.inplace_statistics": False,
    "quantize.model_type": "other",
    "quantize.accuracy.max_num_iterations": 3,
    "benchmark.batch": 4,
    "convert.task": "fill-mask",
    "convert.shapes": {"x": [1]},
    "convert.weights": "fp16",
    "convert.preprocessing": {"x": {"mean": [1]}},
    "evaluate.precision": "default",
    "evaluate.reference": "convert",
    "benchmark.hint": "throughput",
    "compress.sensitivity_metric": "max_activation_variance",
}


def taken(spec: JobSpec) -> bool:
    try:
        return bool(plan(spec))
    except InvalidInput:
        return False


def test_every_remedy_of_the_table_is_shown_to_somebody() -> None:
    """A patch that no job can take would be a line of the table for nobody."""
    each = [
        JobSpec(model=MODEL, recipe=name, data=HALVES, overrides={path: value})
        for name in PRESETS
        for path, value in ASKED.items()
    ]
    plans = [*planned(), *map(with_steps, filter(taken, each))]
    for code, hint in HINTS.items():
        unseen = {remedy.why for remedy in hint.patches}
        for _, advice, steps in plans:
            if not unseen:
                break
            unseen -= {patch.why for step in steps for patch in advised(advice, code, step)}
        assert not unseen, code


def test_patches_name_the_step_and_not_its_kind() -> None:
    spec = JobSpec(model=MODEL, recipe=ODD_NAMES, data=HALVES)
    by_code = shown(spec, FailureCode.TOOL_REFUSED, "small")
    assert by_code[0].overrides == {"small.gptq": False}
    assert {p.recipe for p in shown(spec, FailureCode.ALREADY_QUANTIZED, "compress")} == {"fp16"}
    dropped = shown(spec, FailureCode.ACCURACY_DROP, "compress")
    assert {"compress.subset_size": 900} in [patch.overrides for patch in dropped]
    assert {"compress.preset": "mixed"} in [patch.overrides for patch in dropped]


def test_own_patches_come_first_and_their_words_win() -> None:
    spec = JobSpec(model=MODEL, recipe="int4")
    own = Patch(why="it divides them all", overrides={"compress.group_size": 8})
    assert shown(spec, FailureCode.GROUP_SIZE, "compress", own)[0] == own
    advice = Advice(spec, resolve(spec))
    told = advice.on_failure(failure(FailureCode.GROUP_SIZE, hint="mine"), "compress")
    assert told.hint == "mine"
    silent = advice.on_failure(failure(FailureCode.GROUP_SIZE), "compress")
    assert silent.hint == HINTS[FailureCode.GROUP_SIZE].words


@pytest.mark.parametrize(
    "own",
    [
        Patch(why="no such parameter", overrides={"compress.depth": 8}),
        Patch(why="not allowed", overrides={"compress.group_size": "many"}),
        Patch(why="no such recipe", recipe="int9"),
        Patch(why="too much", limits={"memory_gib": 5000}),
        Patch(why="no such kind", overrides={"melt.heat": 1}),
        Patch(why="not below it", overrides={"benchmark.batch": 2}),
        Patch(why="so already", overrides={"compress.mode": "int4_asym"}),
        Patch(why="needs data", overrides={"compress.gptq": True}),
        Patch(why="a megabyte", overrides={"compress.ignored_scope": {"names": ["x" * 5000]}}),
    ],
    ids=lambda patch: patch.why,
)
def test_what_the_planner_would_refuse_is_never_shown(own: Patch) -> None:
    spec = JobSpec(model=MODEL, recipe="int4")
    assert own.why not in {patch.why for patch in shown(spec, FailureCode.GROUP_SIZE, "compress", own)}


def test_a_patch_that_changes_nothing_is_none() -> None:
    with pytest.raises(ValidationError, match="sets a parameter"):
        Patch(why="because")
    with pytest.raises(ValidationError, match="sets a parameter"):
        Remedy(why="because")


def test_memory_doubles_from_what_the_step_was_given() -> None:
    free, bound = (JobSpec(model=MODEL, recipe="int4", limits=Limits(memory_gib=g)) for g in (None, 6))
    assert not [p for p in shown(free, FailureCode.OUT_OF_MEMORY, "compress") if p.limits]
    assert shown(bound, FailureCode.OUT_OF_MEMORY, "compress")[0].limits == {"memory_gib": 12}


def test_a_step_that_fans_out_is_patched_by_its_name_in_the_recipe() -> None:
    spec = JobSpec.model_validate({"model": MODEL, "recipe": "int8-weights", "targets": ["cpu", "gpu"]})
    (patch, *_) = shown(spec, NoteCode.BUDGET_OVER, "benchmark@gpu")
    assert patch.overrides == {"benchmark.time_budget_s": 40.0}


def test_a_whole_replaces_overrides_of_its_parts() -> None:
    spec = JobSpec(
        model=MODEL, recipe="int8", data=HALVES, overrides={"quantize.ignored_scope.types": ["MatMul"]}
    )
    changed = patched(spec, Patch(why="all", overrides={"quantize.ignored_scope": {}}))
    assert changed.overrides == {"quantize.ignored_scope": {}}


def test_failures_and_notes_of_old_rows_still_load() -> None:
    old = {"class": "limit", "code": "timeout", "message": "m", "hint": "h", "evidence": None}
    assert Failure.model_validate(old).patches == ()
    assert Failure.model_validate(old).failure_class is FailureClass.LIMIT
    assert Note.model_validate({"code": "busy_host", "message": "m"}).code is NoteCode.BUSY_HOST


def test_gptq_is_told_to_keep_fewer_rows_and_others_are_not() -> None:
    """It has a number of rows of its own, whatever ``subset_size`` is."""
    path = "compress.advanced.gptq_params.subset_size"
    spec = JobSpec(model=MODEL, recipe="int4", data=HALVES, overrides={"compress.gptq": True})
    asked = [patch.overrides for patch in shown(spec, FailureCode.OUT_OF_MEMORY, "compress")]
    assert {path: 32} in asked
    plain = JobSpec(model=MODEL, recipe="int4", data=HALVES)
    assert not any(path in patch.overrides for patch in shown(plain, FailureCode.OUT_OF_MEMORY, "compress"))
