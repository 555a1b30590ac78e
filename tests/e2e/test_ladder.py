"""The ladder in a real farm: up as far as the gates let it, down to what passed, and the package says so."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import openvino as ov
import pytest
from pydantic import JsonValue

from ovfarm.cli import tables
from ovfarm.jobs import DataRef, JobData, JobResult, JobSpec, StepOutcome
from ovfarm.states import JobState
from storage.schema import migrate
from tests.e2e.stack import TOOLS, Stack
from tests.steps.conftest import network

QUICK: dict[str, JsonValue] = {"benchmark.time_budget_s": 0.5}
# The small model's two layers are too narrow for groups, and NNCF keeps the last one in INT8.
REALLY_INT4: dict[str, JsonValue] = {
    "int4.all_layers": True,
    "int4.ratio": 1.0,
    "int4.advanced": {"min_adjusted_group_size": 4},
}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    home = tmp_path_factory.mktemp("farm")
    url = f"sqlite:///{home / 'farm.sqlite'}"
    migrate(url)
    with Stack(home, url, environment=TOOLS) as running:
        running.worker("node")
        yield running


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a small model, good data, and data that is a thousand times too small to calibrate on."""
    folder = tmp_path_factory.mktemp("files")
    ov.save_model(network(hidden=128), folder / "m.xml", compress_to_fp16=False)
    x = np.random.default_rng(1).normal(size=(200, 16)).astype(np.float32)
    model = ov.compile_model(network(hidden=128), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    labels = model(x)[0].argmax(axis=1)
    np.savez(folder / "good.npz", x=x, labels=labels)
    np.savez(folder / "unlabelled.npz", x=x)
    np.savez(folder / "bad.npz", x=x[:100] / 1000)
    return folder


def spec(stack: Stack, files: Path, overrides: dict[str, JsonValue], **data: str | None) -> JobSpec:
    model = stack.client.register_model("m", {n: files / n for n in ("m.xml", "m.bin")})
    refs = {
        role: DataRef(dataset=stack.client.register_dataset(name, files / name).id)
        for role, name in data.items()
        if name
    }
    return JobSpec(model=model.id, data=JobData(**refs), recipe="ladder", overrides=QUICK | overrides)


def ended(stack: Stack, asked: JobSpec) -> JobResult:
    view = stack.client.wait(stack.client.submit(asked).id, timeout_s=120)
    assert view.state is JobState.SUCCEEDED, (view.steps, stack.log())
    return stack.client.result(view.id)


def steps(result: JobResult) -> dict[str, StepOutcome]:
    return {step.name: step for step in result.steps}


def codes(step: StepOutcome) -> set[str]:
    return {note.code for note in step.notes}


def chosen(result: JobResult) -> str | None:
    found = steps(result)["choose"].chosen
    assert found is not None
    return found.gate


def manifest(stack: Stack, result: JobResult, folder: Path) -> dict[str, JsonValue]:
    assert result.package is not None
    stack.client.download(stack.client.artifact(result.package), folder)
    read: dict[str, JsonValue] = json.loads((folder / "manifest.json").read_text())
    return read


def test_plain_int8_passes_and_accuracy_control_is_not_needed(
    stack: Stack, files: Path, tmp_path: Path
) -> None:
    lenient = {f"evaluate-{rung}.max_drop": 0.5 for rung in ("int8", "int4")}
    overrides = {**lenient, **REALLY_INT4}
    asked = spec(stack, files, overrides, calibration="unlabelled.npz", evaluation="good.npz")
    result = ended(stack, asked)
    assert codes(steps(result)["int8-accurate"]) == {"not_needed"}
    assert codes(steps(result)["evaluate-int8-accurate"]) == {"not_needed"}
    assert chosen(result) == "evaluate-int4"
    assert steps(result)["benchmark"].model == "choose"
    told = manifest(stack, result, tmp_path)
    assert [step["name"] for step in told["recipe"]] == [  # type: ignore[union-attr, call-overload, index] # JSON
        "reference", "fp16", "int8", "int8-accurate", "int4", "choose",
    ]  # fmt: skip
    assert told["chosen"]["gate"] == "evaluate-int4"  # type: ignore[call-overload, index] # JSON
    names = [line.name for line in tables.variants(result)]
    assert "int8-accurate" not in names
    line = next(line for line in tables.variants(result) if line.name == "choose")
    assert line.accuracy is not None


def test_an_int4_that_is_int8_is_not_taken(stack: Stack, files: Path, tmp_path: Path) -> None:
    lenient: dict[str, JsonValue] = {f"evaluate-{rung}.max_drop": 0.5 for rung in ("int8", "int4")}
    asked = spec(stack, files, lenient, calibration="unlabelled.npz", evaluation="good.npz")
    result = ended(stack, asked)
    assert "weights_not_as_asked" in codes(steps(result)["int4"])
    assert "gate_passed" in codes(steps(result)["evaluate-int4"])
    assert chosen(result) == "evaluate-int8"
    assert "int4: not taken although it passed" in steps(result)["choose"].notes[-1].message
    told = manifest(stack, result, tmp_path)
    assert told["chosen"]["gate"] == "evaluate-int8"  # type: ignore[call-overload, index] # JSON


def test_where_int8_fails_accuracy_control_takes_its_place_and_ends_the_ladder(
    stack: Stack, files: Path
) -> None:
    overrides: dict[str, JsonValue] = {
        "evaluate-int8.max_drop": 0,
        "int8-accurate.accuracy.max_drop": 0.02,
        "evaluate-int8-accurate.max_drop": 0.02,
    }
    result = ended(stack, spec(stack, files, overrides, calibration="unlabelled.npz", evaluation="good.npz"))
    found = steps(result)
    assert "gate_failed" in codes(found["evaluate-int8"])
    assert "gate_passed" in codes(found["evaluate-int8-accurate"])
    assert codes(found["int4"]) == codes(found["evaluate-int4"]) == {"not_reached"}
    assert chosen(result) == "evaluate-int8-accurate"
    assert found["choose"].element_types == found["int8-accurate"].element_types
    assert found["choose"].element_types["i8"] < found["int8"].element_types["i8"]


def test_where_no_layer_can_stay_in_int8_it_is_fp16(stack: Stack, files: Path) -> None:
    result = ended(stack, spec(stack, files, {}, calibration="bad.npz", evaluation="good.npz"))
    found = steps(result)
    assert "gate_failed" in codes(found["evaluate-int8"])
    assert codes(found["int8-accurate"]) == codes(found["evaluate-int8-accurate"]) == {"not_reached"}
    assert "went back to floating point" in found["evaluate-int8-accurate"].notes[0].message
    assert chosen(result) == "evaluate-fp16"
    assert "evaluate-int8: failed" in found["choose"].notes[0].message
    assert set(found["choose"].element_types) == {"f16"}


def test_another_bound_is_another_end_and_the_costly_work_is_kept(
    stack: Stack, files: Path, tmp_path: Path
) -> None:
    data = {"calibration": "unlabelled.npz", "evaluation": "good.npz"}
    bounds: dict[str, JsonValue] = {"evaluate-int4.max_drop": 0.6, **REALLY_INT4}
    first = ended(stack, spec(stack, files, {"evaluate-int8.max_drop": 0.5, **bounds}, **data))
    other = ended(stack, spec(stack, files, {"evaluate-int8.max_drop": 0.4, **bounds}, **data))
    assert not steps(other)["evaluate-int8"].cached
    assert steps(other)["int4"].cached
    assert not steps(other)["choose"].cached
    assert chosen(first) == chosen(other) == "evaluate-int4"
    told = [g["bound"] for j in manifest(stack, other, tmp_path)["chosen"]["judged"] for g in j["gates"]]  # type: ignore[call-overload, index, union-attr] # JSON
    assert told == [0.01, None, 0.4, 0.6]
    asked = spec(stack, files, {}, **data)
    plain = ended(stack, asked.model_copy(update={"recipe": "int8"}))
    assert steps(plain)["quantize"].cached, "it is the ladder's INT8"


def test_without_labels_the_reference_is_the_judge(stack: Stack, files: Path) -> None:
    asked = spec(
        stack, files, {"evaluate-int8.max_drop": 0}, calibration="bad.npz", evaluation="unlabelled.npz"
    )
    found = steps(ended(stack, asked))
    assert "the top class differs" in found["evaluate-int8"].notes[-1].message
    assert "not_needed" not in codes(found["int8-accurate"])


def test_without_evaluation_data_accuracy_control_is_left_out(stack: Stack, files: Path) -> None:
    result = ended(stack, spec(stack, files, {}, calibration="unlabelled.npz", evaluation=None))
    assert not [name for name in steps(result) if "accurate" in name]
    assert chosen(result)


def test_when_nothing_passes_the_reference_is_packed_and_it_is_said_aloud(
    stack: Stack, files: Path, tmp_path: Path
) -> None:
    recipe = {
        "name": "steep",
        "steps": [
            {"kind": "convert"}, {"kind": "quantize"}, {"kind": "evaluate", "max_drop": 0.05},
            {"kind": "choose", "of": ["evaluate"]}, {"kind": "package"},
        ],
    }  # fmt: skip
    asked = spec(stack, files, {}, calibration="bad.npz", evaluation="good.npz")
    result = ended(stack, JobSpec.model_validate({**asked.model_dump(), "recipe": recipe, "overrides": {}}))
    assert chosen(result) is None
    assert steps(result)["choose"].notes[0].message.startswith("NO GATE PASSED")
    told = manifest(stack, result, tmp_path)
    assert told["chosen"]["gate"] is None  # type: ignore[call-overload, index] # JSON
    assert told["element_types"]["f32"]  # type: ignore[call-overload, index] # JSON


def test_a_package_behind_a_gate_that_failed_is_none(stack: Stack, files: Path) -> None:
    recipe = {
        "name": "cut",
        "steps": [
            {"kind": "convert"}, {"kind": "quantize"}, {"kind": "evaluate", "max_drop": 0.05},
            {"kind": "compress", "model": "convert", "after": "evaluate"},
            {"kind": "benchmark", "after": "evaluate"}, {"kind": "package"},
        ],
    }  # fmt: skip
    asked = spec(stack, files, {}, calibration="bad.npz", evaluation="good.npz")
    result = ended(stack, JobSpec.model_validate({**asked.model_dump(), "recipe": recipe, "overrides": {}}))
    assert result.package is None
    for name in ("compress", "benchmark", "package"):
        assert codes(steps(result)[name]) == {"not_reached"}
        assert "'evaluate' did not pass" in steps(result)[name].notes[0].message
