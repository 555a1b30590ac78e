"""From the farm's documents to NNCF's parameter objects: name by name, nothing in between."""

from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

import nncf
from nncf.common.quantization.structs import QuantizationScheme
from nncf.quantization import advanced_parameters as advanced
from nncf.quantization import range_estimator as ranges

from ovfarm import tuning
from ovfarm.recipes import Compress

E = TypeVar("E", bound=Enum)


def member(kind: type[E], name: str) -> E:
    """Return a member of one of NNCF's enumerations by its name in lower case."""
    return kind[name.upper()]


def _maybe(kind: type[E], name: str | None) -> E | None:
    return None if name is None else member(kind, name)


def quantization(asked: tuning.AdvancedQuantization) -> nncf.AdvancedQuantizationParameters:
    """Return NNCF's advanced parameters of a quantization."""
    rule = member(advanced.QuantizerPropagationRule, asked.quantizer_propagation_rule)
    overflow = asked.overflow_fix
    return nncf.AdvancedQuantizationParameters(
        overflow_fix=None if overflow is None else advanced.OverflowFix(overflow),
        quantize_outputs=asked.quantize_outputs,
        inplace_statistics=asked.inplace_statistics,
        disable_channel_alignment=asked.disable_channel_alignment,
        disable_bias_correction=asked.disable_bias_correction,
        batchwise_statistics=asked.batchwise_statistics,
        activations_quantization_params=_quantizer(asked.activations_quantization_params),
        weights_quantization_params=_quantizer(asked.weights_quantization_params),
        quantizer_propagation_rule=rule,
        activations_range_estimator_params=_range(asked.activations_range_estimator_params),
        weights_range_estimator_params=_range(asked.weights_range_estimator_params),
        bias_correction_params=advanced.AdvancedBiasCorrectionParameters(
            **asked.bias_correction_params.model_dump()
        ),
        smooth_quant_alphas=advanced.AdvancedSmoothQuantParameters(**asked.smooth_quant_alphas.model_dump()),
    )


def _quantizer(asked: tuning.Quantizer | None) -> advanced.QuantizationParameters | None:
    if asked is None:
        return None
    given = asked.model_dump() | {"mode": _maybe(QuantizationScheme, asked.mode)}
    return advanced.QuantizationParameters(**given)


def _range(asked: tuning.RangeEstimator) -> ranges.RangeEstimatorParameters:
    return ranges.RangeEstimatorParameters(min=_side(asked.min), max=_side(asked.max))


def _side(asked: tuning.RangeSide) -> ranges.StatisticsCollectorParameters:
    return ranges.StatisticsCollectorParameters(
        statistics_type=_maybe(ranges.StatisticsType, asked.statistics_type),
        aggregator_type=_maybe(ranges.AggregatorType, asked.aggregator_type),
        clipping_value=asked.clipping_value,
        quantile_outlier_prob=asked.quantile_outlier_prob,
    )


def restorer(asked: tuning.AccuracyControl) -> nncf.AdvancedAccuracyRestorerParameters:
    """Return how layers are given back to floating point."""
    given: dict[str, Any] = {
        "tune_hyperparams": asked.tune_hyperparams,
        "ranking_subset_size": asked.ranking_subset_size,
        "restore_mode": advanced.RestoreMode(asked.restore_mode),
    }
    if asked.max_num_iterations is not None:
        given["max_num_iterations"] = asked.max_num_iterations
    return nncf.AdvancedAccuracyRestorerParameters(**given)


def compression(params: Compress, statistics: Path | None = None) -> nncf.AdvancedCompressionParameters:
    """Return NNCF's advanced parameters of a compression; ``statistics`` is a folder to read or to make."""
    asked = params.advanced
    return nncf.AdvancedCompressionParameters(
        statistics_path=str(statistics) if statistics else None,
        group_size_fallback_mode=advanced.GroupSizeFallbackMode(params.group_size_fallback),
        min_adjusted_group_size=asked.min_adjusted_group_size,
        awq_params=advanced.AdvancedAWQParameters(**asked.awq_params.model_dump()),
        scale_estimation_params=advanced.AdvancedScaleEstimationParameters(
            **asked.scale_estimation_params.model_dump()
        ),
        gptq_params=advanced.AdvancedGPTQParameters(**asked.gptq_params.model_dump()),
        lora_correction_params=advanced.AdvancedLoraCorrectionParameters(
            **asked.lora_correction_params.model_dump()
        ),
    )
