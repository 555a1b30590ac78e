"""Every parameter that NNCF documents is within reach, or it is said why not."""

import inspect
import re
from collections.abc import Callable, Iterable
from dataclasses import fields
from pathlib import Path

import nncf
import pytest
from nncf.quantization import advanced_parameters as nncf_advanced
from nncf.quantization import range_estimator as nncf_ranges
from pydantic import BaseModel

from ovfarm import tuning
from ovfarm.recipes import Compress, IgnoredScope, Quantize

PAGE = Path(__file__).resolve().parents[2] / "docs" / "recipes.md"
NOT_OFFERED = {
    "backend_params": "the backends' own, without a schema",
    "smooth_quant_alpha": "deprecated in favour of `smooth_quant_alphas`",
    "statistics_path": "a folder on the node: `keep_statistics` and `statistics` stand for it",
    "lora_adapter_rank": "of FQ_LORA, a format for training in torch; adapters here have "
    "`lora_correction_params.adapter_rank`",
    "compression_format": "NNCF writes OpenVINO models in one format, DQ, and refuses the others",
    "codebook": "an array; the mode that needs it fails in this NNCF",
    "adaptive_codebook_params": "the mode that needs it fails in this NNCF",
    "num_ranking_workers": "the farm decides about processes",
    "intermediate_model_dir": "a folder on the node",
    "destination_type": "follows from `mode`",
    "subgraphs": "paths between nodes, for which `patterns` stand",
}
# What a job gives in another place, or a step by another name.
ELSEWHERE = {
    "model", "calibration_dataset", "validation_dataset", "validation_fn", "dataset", "advanced_parameters",
    "advanced_quantization_parameters", "advanced_accuracy_restorer_parameters", "group_size_fallback_mode",
}  # fmt: skip
CLASSES: list[tuple[type[BaseModel], type]] = [
    (tuning.AdvancedQuantization, nncf.AdvancedQuantizationParameters),
    (tuning.AdvancedCompression, nncf.AdvancedCompressionParameters),
    (tuning.Quantizer, nncf_advanced.QuantizationParameters),
    (tuning.Quantizer, nncf_advanced.FP8QuantizationParameters),
    (tuning.RangeEstimator, nncf_ranges.RangeEstimatorParameters),
    (tuning.RangeSide, nncf_ranges.StatisticsCollectorParameters),
    (tuning.SmoothQuant, nncf_advanced.AdvancedSmoothQuantParameters),
    (tuning.BiasCorrection, nncf_advanced.AdvancedBiasCorrectionParameters),
    (tuning.Awq, nncf_advanced.AdvancedAWQParameters),
    (tuning.ScaleEstimation, nncf_advanced.AdvancedScaleEstimationParameters),
    (tuning.Gptq, nncf_advanced.AdvancedGPTQParameters),
    (tuning.LoraCorrection, nncf_advanced.AdvancedLoraCorrectionParameters),
    (tuning.AccuracyControl, nncf.AdvancedAccuracyRestorerParameters),
    (IgnoredScope, nncf.IgnoredScope),
]
FUNCTIONS: list[tuple[tuple[type[BaseModel], ...], Callable[..., object]]] = [
    ((Quantize,), nncf.quantize),
    ((Quantize, tuning.AccuracyControl), nncf.quantize_with_accuracy_control),
    ((Compress,), nncf.compress_weights),
]


def offered(documents: Iterable[type[BaseModel]]) -> set[str]:
    return {field.alias or name for document in documents for name, field in document.model_fields.items()}


@pytest.mark.parametrize(("ours", "theirs"), CLASSES, ids=lambda kind: kind.__name__)
def test_every_field_is_within_reach(ours: type[BaseModel], theirs: type) -> None:
    assert {field.name for field in fields(theirs)} - offered([ours]) - set(NOT_OFFERED) <= ELSEWHERE


@pytest.mark.parametrize(("ours", "theirs"), FUNCTIONS, ids=["quantize", "accuracy", "compress"])
def test_every_parameter_of_a_function_is_within_reach(
    ours: tuple[type[BaseModel], ...], theirs: Callable[..., object]
) -> None:
    asked = set(inspect.signature(theirs).parameters)
    assert len(asked) > 8
    assert asked - offered(ours) - set(NOT_OFFERED) <= ELSEWHERE


def test_what_is_not_offered_is_theirs_and_on_the_page_with_its_reason() -> None:
    of_classes = {field.name for _, theirs in CLASSES for field in fields(theirs)}
    of_functions = {name for _, theirs in FUNCTIONS for name in inspect.signature(theirs).parameters}
    ours = offered({*(ours for ours, _ in CLASSES), Quantize, Compress})
    assert set(NOT_OFFERED) <= (of_classes | of_functions) - ours
    table = PAGE.read_text().partition("<!-- not offered -->")[2].partition("\n\n")[0]
    assert dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", table, re.MULTILINE)) == NOT_OFFERED
