"""Recipes with a name: what most people want, as plain values."""

from ovfarm.recipes import Benchmark, Compress, Convert, Evaluate, Package, Quantize, Recipe
from ovfarm.tuning import AccuracyControl

_FP16 = Recipe(
    name="fp16",
    title="Half the size: weights in FP16, computed in the device's default precision",
    steps=(
        Convert(name="reference"),
        Convert(name="fp16", weights="fp16"),
        Evaluate(),
        Benchmark(),
        Package(),
    ),
)

_INT8 = Recipe(
    name="int8",
    title="Weights and activations in INT8 (post-training); needs calibration data",
    steps=(
        Convert(),
        Evaluate(name="evaluate-reference", model="convert"),
        Quantize(),
        Evaluate(),
        Benchmark(),
        Package(),
    ),
)

_INT8_ACCURATE = Recipe(
    name="int8-accurate",
    title="INT8 as far as accuracy drops by no more than 0.01; needs calibration data and labels",
    steps=(
        Convert(),
        Evaluate(name="evaluate-reference", model="convert"),
        Quantize(accuracy=AccuracyControl()),
        Evaluate(),
        Benchmark(),
        Package(),
    ),
)

_INT8_WEIGHTS = Recipe(
    name="int8-weights",
    title="Weights alone in INT8; needs no data",
    steps=(Convert(), Compress(), Evaluate(), Benchmark(), Package()),
)

_INT4 = Recipe(
    name="int4",
    title="Weights alone in INT4; needs no data, for models that wait for memory",
    steps=(
        Convert(),
        Compress(mode="int4_asym"),
        Evaluate(),
        Benchmark(),
        Package(),
    ),
)

_INT4_QUALITY = Recipe(
    name="int4-quality",
    title="Weights alone in INT4, scaled by what the activations need (AWQ, scale estimation)",
    steps=(
        Convert(),
        Compress(mode="int4_asym", ratio=0.8, group_size_fallback="adjust", awq=True, scale_estimation=True),
        Evaluate(),
        Benchmark(),
        Package(),
    ),
)

PRESETS: dict[str, Recipe] = {
    r.name: r for r in (_FP16, _INT8, _INT8_ACCURATE, _INT8_WEIGHTS, _INT4, _INT4_QUALITY)
}
