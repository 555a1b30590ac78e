from typing import Any
from uuid import UUID

import pytest

from ovfarm import bounds
from ovfarm.errors import InvalidInput
from ovfarm.jobs import DataRef, JobData, JobSpec, Part
from ovfarm.plan import SourceModel, plan
from ovfarm.presets import PRESETS
from ovfarm.recipes import Benchmark, Compress, Convert, Package, Quantize, Recipe, StepParams
from ovfarm.resolution import resolve
from ovfarm.results import Port

MODEL, DATA = UUID(int=1), UUID(int=2)
HALVES = JobData(
    calibration=DataRef(dataset=DATA, part=Part.EVEN), evaluation=DataRef(dataset=DATA, part=Part.ODD)
)


def asked(*targets: str, recipe: str | Recipe = "int8", **fields: Any) -> JobSpec:
    raw = {"model": MODEL, "recipe": recipe, "data": HALVES, "targets": targets, **fields}
    return JobSpec.model_validate(raw)


def one(recipe: Recipe, kind: type[StepParams]) -> Any:
    return next(step for step in recipe.steps if isinstance(step, kind))


def port(name: str, shape: str, direction: str = "input") -> Port:
    return Port.model_validate({"name": name, "shape": shape, "direction": direction, "element_type": "f32"})


@pytest.mark.parametrize(
    ("targets", "device", "hint", "static"),
    [
        (("cpu",), "any", "latency", False),
        (("auto",), "any", "latency", False),
        (("gpu",), "gpu", "throughput", False),
        (("gpu/pool=lab", "gpu"), "gpu", "throughput", False),
        (("npu",), "npu", "latency", True),
        (("cpu", "gpu"), "any", "latency", False),
        (("gpu", "auto"), "any", "latency", False),
        (("cpu", "npu"), "any", "latency", True),
        (("gpu", "npu"), "any", "latency", True),
    ],
)
def test_a_preset_fits_its_targets(targets: tuple[str, ...], device: str, hint: str, *, static: bool) -> None:
    recipe = resolve(asked(*targets))
    assert one(recipe, Quantize).target_device == device
    assert one(recipe, Benchmark).hint == hint
    assert one(recipe, Convert).require_static is static


@pytest.mark.parametrize(
    ("recipe", "targets", "mode"),
    [
        ("int4", ("npu",), "int4_sym"),
        ("int4-quality", ("npu",), "int4_sym"),
        ("int4", ("cpu", "npu"), "int4_asym"),
        ("int4", ("gpu",), "int4_asym"),
        ("auto", ("npu",), "auto"),
        ("int8-weights", ("npu",), "int8_asym"),
    ],
)
def test_four_bits_for_an_npu_are_symmetric(recipe: str, targets: tuple[str, ...], mode: str) -> None:
    assert one(resolve(asked(*targets, recipe=recipe)), Compress).mode == mode


def test_auto_is_fitted_to_its_targets_like_the_others() -> None:
    assert one(resolve(asked("gpu", recipe="auto")), Benchmark).hint == "throughput"
    assert one(resolve(asked("npu", recipe="auto")), Convert).require_static


def test_on_a_cpu_presets_are_what_they_were() -> None:
    for name, recipe in PRESETS.items():
        assert resolve(asked("cpu", recipe=name)) == recipe


def test_a_users_word_wins_and_a_whole_recipe_is_left_alone() -> None:
    overrides = {
        "quantize.target_device": "cpu",
        "benchmark.hint": "latency",
        "convert.require_static": False,
    }
    recipe = resolve(asked("gpu", overrides=overrides))
    assert one(recipe, Quantize).target_device == "cpu"
    assert one(recipe, Benchmark).hint == "latency"
    assert not one(resolve(asked("npu", overrides=overrides)), Convert).require_static
    assert resolve(asked("gpu", recipe=PRESETS["int8"])) == PRESETS["int8"]


def test_a_mode_that_is_set_by_kind_counts_as_well() -> None:
    data = JobData(calibration=DataRef(dataset=DATA))
    recipe = resolve(asked("gpu", recipe="ladder", data=data, overrides={"quantize.mode": "fp8_e4m3"}))
    assert one(recipe, Quantize).target_device == "any"


@pytest.mark.parametrize(
    ("shape", "hint"),
    [
        ("[?,16]", "--set convert.shapes.x=[1,16];"),
        ("[2..,16]", "--set convert.shapes.x=[1,16];"),
        ("[?,3,?,?]", "--set convert.shapes.x=[1,3,SIZE,SIZE] with the model's sizes for SIZE;"),
        ("[...]", "--set convert.shapes.x=[1,SIZE] with"),
    ],
)
def test_an_npu_refuses_what_has_no_bound_when_the_model_is_known(shape: str, hint: str) -> None:
    ports = (port("y", "[1,4]"), port("x", shape), port("z", "[?]", "output"))
    with pytest.raises(InvalidInput, match="inputs with bounds only") as refused:
        plan(asked("npu"), SourceModel(ports=ports))
    assert refused.value.pointer == "/overrides"
    assert hint in str(refused.value.hint)
    assert "shapes.y" not in str(refused.value.hint)
    assert plan(asked("gpu"), SourceModel(ports=ports))
    assert plan(asked("npu"))


def test_the_hint_is_what_helps() -> None:
    ports = (port("x.1", "[?,16]"),)
    with pytest.raises(InvalidInput) as refused:
        plan(asked("npu", recipe="fp16"), SourceModel(ports=ports))
    assert "--set reference.shapes.x.1=[1,16];" in str(refused.value.hint)
    given = {"reference.shapes.x.1": ["1..8", 16]}
    steps = plan(asked("npu", recipe="fp16", overrides=given), SourceModel(ports=ports))
    # The second conversion reads what the first has made, bounds and all.
    assert [s.params.shapes for s in steps if isinstance(s.params, Convert)] == [{"x.1": ("1..8", 16)}, {}]
    with pytest.raises(InvalidInput):
        plan(asked("npu", overrides={"convert.shapes.x.1": ["?", 16]}), SourceModel(ports=ports))
    # A name that the ports do not list may be another name of the same input: the step will tell.
    assert plan(asked("npu", overrides={"convert.shapes.other": [1, 16]}), SourceModel(ports=ports))


@pytest.mark.parametrize(
    ("shape", "free"),
    [
        ("[1,16]", False),
        ("[1..8,16]", False),
        ("[..8]", False),
        ("[]", False),
        ("[?]", True),
        ("[2..]", True),
    ],
)
def test_a_bound_is_a_largest_size(shape: str, *, free: bool) -> None:
    assert bounds.unbounded(shape) is free


WHOLE = Recipe(name="mine", steps=(Convert(name="mine"), Compress(), Package()))


def test_a_whole_recipe_is_asked_for_bounds_too() -> None:
    """What an NPU compiles is no default of a preset."""
    known = SourceModel(ports=(port("x", "[?,16]"),))
    with pytest.raises(InvalidInput, match=r"this model has x \[\?,16\]") as refused:
        plan(asked("npu", recipe=WHOLE), known)
    assert "--set mine.shapes.x=[1,16];" in str(refused.value.hint)
    assert plan(asked("cpu", recipe=WHOLE), known)
    assert plan(asked("npu", recipe=WHOLE, overrides={"mine.shapes.x": ["1..8", 16]}), known)
    assert plan(asked("npu", recipe=WHOLE, overrides={"mine.require_static": False}), known)
    # A model that no job has read yet is left to the step.
    assert one(resolve(asked("npu", recipe=WHOLE)), Convert).require_static
    assert not one(resolve(asked("cpu", recipe=WHOLE)), Convert).require_static


@pytest.mark.parametrize("ports", [(), (port("x", "[1,16]"),), (port("y", "[1,16]"),)])
def test_a_shape_without_a_bound_is_refused_whatever_the_model(ports: tuple[Port, ...]) -> None:
    shapes = Convert(name="mine", shapes={"x": ("?", 3, "?", "?")})
    first = Recipe(name="mine", steps=(shapes, Package()))
    last = Recipe(name="mine", steps=(Convert(name="first"), shapes.model_copy(update={"model": "first"})))
    for recipe in (first, last):
        with pytest.raises(InvalidInput, match="inputs with bounds only") as refused:
            plan(asked("npu", recipe=recipe), SourceModel(ports=ports))
        assert "--set mine.shapes.x=[1,3,SIZE,SIZE] with" in str(refused.value.hint)
        assert plan(asked("cpu", recipe=recipe), SourceModel(ports=ports))


def test_a_recipe_that_converts_nothing_is_asked_as_well() -> None:
    recipe = Recipe(name="mine", steps=(Compress(), Benchmark(), Package()))
    with pytest.raises(InvalidInput, match="inputs with bounds only") as refused:
        plan(asked("npu", recipe=recipe), SourceModel(ports=(port("x", "[?,16]"),)))
    assert str(refused.value.hint).startswith("begin the recipe with a convert step, and give --set convert.")
    assert plan(asked("npu", recipe=recipe), SourceModel(ports=(port("x", "[..8,16]"),)))
    assert plan(asked("gpu", recipe=recipe), SourceModel(ports=(port("x", "[?,16]"),)))
