from uuid import UUID

import pytest
from pydantic import JsonValue, ValidationError

from ovfarm.errors import InvalidInput
from ovfarm.hardware import Device, Need, Toolkit
from ovfarm.jobs import DataRef, JobData, JobSpec, Limits, Part
from ovfarm.memory import estimate_gib, need_gib
from ovfarm.needs import may_hold_texts
from ovfarm.plan import Edge, SourceModel, plan
from ovfarm.presets import PRESETS
from ovfarm.recipes import (
    Compress,
    Convert,
    Evaluate,
    Kind,
    Package,
    Probe,
    Quantize,
    Recipe,
    StepParams,
)
from ovfarm.resolution import resolve
from ovfarm.tuning import AccuracyControl

MODEL, DATA = UUID(int=1), UUID(int=2)
HALVES = JobData(
    calibration=DataRef(dataset=DATA, part=Part.EVEN), evaluation=DataRef(dataset=DATA, part=Part.ODD)
)


def test_the_int8_preset_draws_its_edges() -> None:
    steps = {step.name: step for step in plan(JobSpec(model=MODEL, recipe="int8", data=HALVES))}
    assert steps["convert"].edges == {"model": Edge(model=MODEL)}
    assert steps["quantize"].edges == {
        "model": Edge(step="convert"),
        "calibration": Edge(dataset=DATA, part=Part.EVEN),
    }
    judged = {"reference": Edge(step="convert"), "evaluation": Edge(dataset=DATA, part=Part.ODD)}
    assert steps["evaluate"].edges == {"model": Edge(step="quantize"), **judged}
    assert steps["benchmark"].edges == {"model": Edge(step="quantize"), **judged}
    assert [p.name for p in steps["package"].lineage] == ["convert", "quantize"]


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_plans(name: str) -> None:
    steps = plan(JobSpec(model=MODEL, recipe=name, data=HALVES))
    seen: set[str] = set()
    for step in steps:
        assert {edge.step for edge in step.edges.values() if edge.step} <= seen
        seen.add(step.name)
    assert steps[-1].params.kind is Kind.PACKAGE


def test_several_targets_fan_out_what_runs_on_them() -> None:
    targets = (Need(device=Device.CPU), Need(device=Device.GPU))
    steps = plan(JobSpec(model=MODEL, recipe="int8-weights", data=HALVES, targets=targets))
    assert [step.name for step in steps] == [
        "convert", "compress", "evaluate@cpu", "evaluate@gpu", "benchmark@cpu", "benchmark@gpu",
        "package",
    ]  # fmt: skip
    assert steps[3].need.device is Device.GPU


def test_memory_becomes_part_of_every_need() -> None:
    spec = JobSpec(model=MODEL, recipe="int4", data=HALVES, limits=Limits(memory_gib=8))
    assert {step.need.memory_gib for step in plan(spec)} == {8}


@pytest.mark.parametrize(
    ("overrides", "pointer", "words"),
    [
        ({"quantise.subset_size": 1}, "/overrides/quantise.subset_size", "its steps: convert"),
        ({"quantize.subset": 1}, "/overrides/quantize.subset", "subset_size"),
        ({"quantize.subset_size": 0}, "/overrides/quantize.subset_size", "greater than or equal"),
        ({"quantize.kind": "convert"}, "/overrides/quantize.kind", "not a parameter"),
        ({"quantize": 1}, "/overrides/quantize", "STEP.PARAMETER"),
    ],
)
def test_a_bad_override_names_the_field_and_what_is_allowed(
    overrides: dict[str, JsonValue], pointer: str, words: str
) -> None:
    with pytest.raises(InvalidInput, match=words) as caught:
        resolve(JobSpec(model=MODEL, recipe="int8", overrides=overrides))
    assert caught.value.pointer == pointer


def test_an_override_reaches_nested_parameters() -> None:
    spec = JobSpec(model=MODEL, recipe="int8", overrides={"quantize.ignored_scope.types": ["MatMul"]})
    step = next(s for s in resolve(spec).steps if isinstance(s, Quantize))
    assert step.ignored_scope.types == ("MatMul",)


@pytest.mark.parametrize("recipe", ["fp16", "ladder", "int8"])
def test_a_kind_stands_for_the_conversion_that_reads_the_model(recipe: str) -> None:
    overrides = {"convert.task": "fill-mask", "convert.shapes.x.1": [1, 16]}
    spec = JobSpec(model=MODEL, recipe=recipe, data=HALVES, overrides=overrides)
    first, *others = (step for step in resolve(spec).steps if isinstance(step, Convert))
    assert (first.task, first.shapes) == ("fill-mask", {"x.1": (1, 16)})
    assert all((step.task, step.shapes) == (None, {}) for step in others)


def test_a_kind_stands_for_its_only_step_and_a_name_wins() -> None:
    def found(recipe: str | Recipe, path: str, value: JsonValue) -> dict[str, JsonValue]:
        spec = JobSpec(model=MODEL, recipe=recipe, data=HALVES, overrides={path: value})
        raw = resolve(spec).model_dump(mode="json")["steps"]
        return {step["name"]: step.get(path.partition(".")[2]) for step in raw}

    assert found("ladder", "compress.group_size", 64)["int4"] == 64
    named = Recipe(name="r", steps=(Convert(name="compress"), Compress(name="small"), Package()))
    assert found(named, "compress.weights", "fp16") == {"compress": "fp16", "small": None, "package": None}


@pytest.mark.parametrize(
    ("recipe", "path"),
    [
        ("fp16", "convert.weights"), ("ladder", "convert.require_static"), ("ladder", "quantize.subset_size"),
        ("ladder", "evaluate.max_drop"), ("fp16", "convert"), ("fp16", "compress.ratio"),
    ],
)  # fmt: skip
def test_a_kind_of_several_steps_is_asked_for_by_their_names(recipe: str, path: str) -> None:
    spec = JobSpec(model=MODEL, recipe=recipe, data=HALVES, overrides={path: 1})
    with pytest.raises(InvalidInput, match="its steps: reference") as refused:
        resolve(spec)
    assert refused.value.code == "unknown_step"


def test_a_value_that_is_refused_is_named_as_it_was_given() -> None:
    overrides = {"convert.task": "No Task", "fp16.weights": "fp16"}
    with pytest.raises(InvalidInput, match=r"convert\.task: ") as refused:
        resolve(JobSpec(model=MODEL, recipe="fp16", overrides=overrides))
    assert refused.value.pointer == "/overrides/convert.task"


def test_what_is_missing_is_named() -> None:
    with pytest.raises(InvalidInput, match="there are: fp16, int8") as unknown:
        plan(JobSpec(model=MODEL, recipe="int9"))
    assert unknown.value.pointer == "/recipe"
    with pytest.raises(InvalidInput, match="calibration data") as no_data:
        plan(JobSpec(model=MODEL, recipe="int8"))
    assert no_data.value.pointer == "/data/calibration"
    with pytest.raises(InvalidInput, match="needs a model"):
        plan(JobSpec(recipe="int4"))


def test_a_probe_needs_no_model() -> None:
    (step,) = plan(JobSpec(recipe=Recipe(name="p", steps=(Probe(),))))
    assert step.edges == {}


def test_an_edge_must_point_back_to_a_model() -> None:
    with pytest.raises(ValidationError, match="earlier steps that make a model: convert"):
        Recipe(name="r", steps=(Convert(), Evaluate(model="quantize"), Quantize()))
    with pytest.raises(ValidationError, match="two steps are named 'convert'"):
        Recipe(name="r", steps=(Convert(), Convert()))
    with pytest.raises(ValidationError, match="belong to the modes below 8 bits"):
        Compress(mode="int8_sym", group_size=64)


def test_without_a_conversion_the_model_is_its_own_reference() -> None:
    recipe = PRESETS["int8"].model_copy(update={"steps": (PRESETS["int8"].steps[4],)})
    (step,) = plan(JobSpec(model=MODEL, recipe=recipe))
    assert step.edges["reference"] == step.edges["model"] == Edge(model=MODEL)


def test_data_that_calibrates_does_not_judge_unless_said() -> None:
    both = DataRef(dataset=DATA)
    with pytest.raises(ValidationError, match="share rows"):
        JobData(calibration=both, evaluation=both)
    JobData(calibration=both, evaluation=both, allow_same=True)


def test_the_lineage_of_a_package_leaves_out_what_did_not_make_its_model() -> None:
    recipe = Recipe(
        name="r",
        steps=(Convert(), Convert(name="half", weights="fp16"), Compress(model="convert"), Package()),
    )
    steps = plan(JobSpec(model=MODEL, recipe=recipe))
    assert [p.name for p in steps[-1].lineage] == ["convert", "compress"]


@pytest.mark.parametrize(
    ("params", "gib"),
    [
        (Compress(), 8), (Compress(mode="int4_sym"), 8), (Compress(mode="int4_sym", awq=True), 12),
        (Compress(mode="int4_sym", scale_estimation=True), 12), (Compress(mode="int4_sym", gptq=True), 12),
        (Compress(mode="int4_sym", lora_correction=True), 12), (Compress(mode="auto"), 12),
        (Compress(mode="int4_sym", ratio=0.5, sensitivity_metric="max_activation_variance"), 12),
        (Convert(), 11), (Quantize(), 22), (Quantize(accuracy=AccuracyControl()), 22), (Package(), 8),
    ],
)  # fmt: skip
def test_what_a_step_does_with_a_model_decides_about_its_memory(params: StepParams, gib: int) -> None:
    """What was measured for five gibibytes, rounded up."""
    assert need_gib(params, 5 << 30) == gib


@pytest.mark.parametrize(
    ("gib", "band"),
    [(1.7, None), (1.8, 5), (5.2, 11), (7, 15), (7.75, 16), (8, 18), (10, 22), (20, 44), (100, 208)],
)
def test_memory_is_asked_for_in_narrow_bands(gib: float, band: int | None) -> None:
    """A conversion takes half a gibibyte and twice the model."""
    asked = need_gib(Convert(), int(gib * (1 << 30)))
    assert asked == band
    assert asked is None or estimate_gib(Convert(), int(gib * (1 << 30))) <= asked


def test_what_is_sold_as_a_machine_of_24_gb_quantizes_four_gigabytes() -> None:
    """Linux sees 23.54 GiB of it."""
    asked = need_gib(Quantize(), 4_000_000_000)
    assert asked is not None
    assert estimate_gib(Quantize(), 4_000_000_000) <= asked <= 23.54
    assert (need_gib(Convert(), int(3.9 * (1 << 30))) or 0) <= 15.6, "and one of 16 GB converts almost four"


def test_a_large_model_asks_for_a_node_with_memory() -> None:
    spec = JobSpec(model=MODEL, recipe="int8-weights", data=HALVES)
    small = {step.need.memory_gib for step in plan(spec, SourceModel(100 << 20))}
    assert small == {None}
    needs = {step.name: step.need.memory_gib for step in plan(spec, SourceModel(3 << 30))}
    assert needs == {"convert": 7, "compress": 5, "evaluate": 10, "benchmark": 10, "package": 5}
    named = spec.model_copy(update={"limits": Limits(memory_gib=64)})
    assert {step.need.memory_gib for step in plan(named, SourceModel(3 << 30))} == {64}
    large = spec.model_copy(update={"targets": (Need.model_validate("cpu/memory=32"),)})
    assert {
        s.need.memory_gib for s in plan(large, SourceModel(3 << 30)) if s.name in {"evaluate", "benchmark"}
    } == {32}


def test_texts_are_tokenized_where_the_tokenizers_are() -> None:
    """The package that runs tokenizers comes with the toolkit, and not with every node."""
    spec = JobSpec(model=MODEL, recipe="int8", data=HALVES)

    def equipped(origin: SourceModel) -> set[str]:
        return {step.name for step in plan(spec, origin) if step.need.toolkit is Toolkit.HUGGINGFACE}

    texts = frozenset({DATA})
    assert equipped(SourceModel(tokenizer=True, texts=texts)) == {
        "evaluate-reference", "quantize", "evaluate", "benchmark",
    }  # fmt: skip
    assert not equipped(SourceModel(tokenizer=True))
    assert not equipped(SourceModel(texts=texts))


@pytest.mark.parametrize(
    ("files", "texts"),
    [
        (["a.txt"], True), (["a.JSONL"], True), (["a.csv"], True), (["a.parquet"], True), (["a.npz"], False),
        (["a.npy", "b.npy"], False), (["cat/1.jpg", "labels.csv"], False),
    ],
)  # fmt: skip
def test_lines_and_tables_may_hold_texts(files: list[str], *, texts: bool) -> None:
    assert may_hold_texts(files) is texts
