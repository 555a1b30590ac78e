"""Recipes with a name: what most people want, as plain values."""

from ovfarm.recipes import Benchmark, Choose, Compress, Convert, Evaluate, Package, Quantize, Recipe
from ovfarm.tuning import AccuracyControl

_FP16 = Recipe(
    name="fp16",
    title="Half the size: weights in FP16, computed in the device's default precision",
    steps=(
        Convert(name="reference"),
        Convert(name="fp16", model="reference", weights="fp16"),
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

_AUTO = Recipe(
    name="auto",
    title="Weights alone, as optimum-intel is configured for this very model; INT8 where it is not",
    steps=(Convert(), Compress(mode="auto"), Evaluate(), Benchmark(), Package()),
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

# The order of the choice is that of rising risk; each rung waits for the gate before it. Accuracy control
# takes the place of plain INT8 where that fails, so it stands before it and is done only then.
_LADDER = Recipe(
    name="ladder",
    title="Step by step to fewer bits, as far as accuracy is kept; needs calibration data",
    steps=(
        Convert(name="reference"),
        Evaluate(name="evaluate-reference", model="reference"),
        Convert(name="fp16", model="reference", weights="fp16"),
        Evaluate(name="evaluate-fp16", max_drop=0.01),
        Quantize(name="int8", model="reference", after="evaluate-fp16"),
        Evaluate(name="evaluate-int8", max_drop=0.01),
        Quantize(
            name="int8-accurate",
            model="reference",
            unless="evaluate-int8",
            accuracy=AccuracyControl(strict=False),
        ),
        Evaluate(name="evaluate-int8-accurate", model="int8-accurate", max_drop=0.01),
        Compress(
            name="int4",
            model="reference",
            after="evaluate-int8",
            mode="int4_asym",
            ratio=0.8,
            group_size_fallback="adjust",
            awq=True,
        ),
        Evaluate(name="evaluate-int4", max_drop=0.01),
        Choose(of=("evaluate-fp16", "evaluate-int8-accurate", "evaluate-int8", "evaluate-int4")),
        Benchmark(),
        Package(),
    ),
)

PRESETS: dict[str, Recipe] = {
    r.name: r for r in (_FP16, _INT8, _INT8_ACCURATE, _INT8_WEIGHTS, _INT4, _INT4_QUALITY, _AUTO, _LADDER)
}


def without_labels(recipe: Recipe) -> Recipe:
    """Return a recipe without accuracy control that is not strict, for a job that has no evaluation data."""
    dropped = {
        s.name for s in recipe.steps if isinstance(s, Quantize) and s.accuracy and not s.accuracy.strict
    }
    dropped |= {s.name for s in recipe.steps if s.model in dropped}
    kept = (s for s in recipe.steps if s.name not in dropped)
    steps = (
        s.model_copy(update={"of": tuple(n for n in s.of if n not in dropped)})
        if isinstance(s, Choose)
        else s
        for s in kept
    )
    return recipe.model_copy(update={"steps": tuple(steps)})
