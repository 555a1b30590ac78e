"""What a document may have at a place, and what is said of what it may not."""

from uuid import UUID

import pytest
from pydantic import BaseModel, JsonValue, ValidationError

from ovfarm.datasets import Reading
from ovfarm.errors import InvalidInput
from ovfarm.fields import fields, mistake
from ovfarm.hardware import Need
from ovfarm.jobs import JobSpec
from ovfarm.recipes import Compress, Convert, Quantize, Recipe
from ovfarm.resolution import resolve

MODEL = UUID(int=1)


@pytest.mark.parametrize(("model", "place", "there"), [
    (Quantize, [], {"mode", "accuracy", "advanced", "after"}),
    (Quantize, ["accuracy"], {"max_drop", "drop_type"}),
    (Quantize, ["advanced", "weights_quantization_params"], {"num_bits"}),
    (Compress, ["ignored_scope"], {"names", "validate"}),
    (Convert, ["preprocessing", "x"], {"layout", "mean"}),
    (Recipe, ["steps", 1, "quantize", "accuracy"], {"max_drop"}),
    (JobSpec, ["recipe", "Recipe", "steps", 0, "compress"], {"gptq", "awq"}),
    (JobSpec, ["targets", 0], {"device", "pool"}),
    (Reading, ["image"], {"scale", "mean", "layout"}),
])  # fmt: skip
def test_the_fields_of_a_place(model: type[BaseModel], place: list[int | str], there: set[str]) -> None:
    assert there <= (fields(model, place) or set())


def test_a_mapping_has_any_field_and_a_number_none() -> None:
    assert fields(Convert, ["preprocessing"]) is None
    assert fields(Convert, ["shapes"]) is None
    assert fields(Quantize, ["subset_size"]) == set()
    assert fields(Quantize, ["nothing"]) == set()


@pytest.mark.parametrize(("model", "raw", "words"), [
    (Reading, {"image": {"scle": 2}}, "image.scle: there is no field 'scle'; did you mean 'scale'?"),
    (JobSpec, {"recipe": "int8", "modell": 1}, "modell: there is no field 'modell'; did you mean 'model'?"),
    (Recipe, {"name": "a", "steps": [{"kind": "quantize", "subst_size": 1}]}, "did you mean 'subset_size'?"),
    (Need, {"device": "cpu", "memory": -1}, "memory"),
])  # fmt: skip
def test_a_field_that_is_not_there_is_answered_with_those_that_are(
    model: type[BaseModel], raw: dict[str, JsonValue], words: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        model.model_validate(raw)
    assert words in mistake(caught.value, Reading, JobSpec, Recipe, Need)


def test_what_the_farm_refuses_is_said_without_the_words_of_pydantic() -> None:
    with pytest.raises(ValidationError) as caught:
        Reading.model_validate({"image": {"mean": [1, 2]}})
    assert mistake(caught.value) == "image: mean has one number for all channels, or one for each of three"
    both: dict[str, JsonValue] = {"compress.gptq": True, "compress.lora_correction": True}
    with pytest.raises(InvalidInput) as refused:
        resolve(JobSpec(model=MODEL, recipe="int4-quality", overrides=both))
    assert "Value error" not in refused.value.message


@pytest.mark.parametrize("recipe", ["int8", "int8-accurate"])
def test_a_part_that_is_not_there_by_default_can_be_set(recipe: str) -> None:
    paths: dict[str, JsonValue] = {
        "quantize.accuracy.max_drop": 0.005,
        "quantize.accuracy.drop_type": "relative",
        "quantize.advanced.weights_quantization_params.num_bits": 8,
        "convert.preprocessing.image.layout": "NHWC",
        "convert.preprocessing.image.model_layout": "NCHW",
    }
    found = resolve(JobSpec(model=MODEL, recipe=recipe, overrides=paths))
    quantize = next(step for step in found.steps if isinstance(step, Quantize))
    assert quantize.accuracy is not None
    assert (quantize.accuracy.max_drop, quantize.accuracy.drop_type) == (0.005, "relative")
    advanced = quantize.model_dump()["advanced"]["weights_quantization_params"]
    assert advanced["num_bits"] == 8
    convert = next(step for step in found.steps if isinstance(step, Convert))
    assert convert.preprocessing["image"].layout == "NHWC"


@pytest.mark.parametrize(("path", "words"), [
    ("quantize.acuracy.max_drop", "did you mean 'accuracy'? there are: accuracy, advanced"),
    ("quantize.accuracy.max_dorp", "did you mean 'max_drop'? there are: drop_type,"),
    ("quantize.subset_size.x", "'quantize': 'subset_size' has no parts"),
    ("quantize.accuracy", "quantize.accuracy: there is no field 'foo'; there are: drop_type"),
])  # fmt: skip
def test_a_path_that_leads_nowhere_says_where_it_could_lead(path: str, words: str) -> None:
    value: JsonValue = {"foo": 1} if path == "quantize.accuracy" else 1
    with pytest.raises(InvalidInput, match=r"parameter|field") as refused:
        resolve(JobSpec(model=MODEL, recipe="int8", overrides={path: value}))
    assert words in refused.value.message
