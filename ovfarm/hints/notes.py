"""What a step says although it succeeded."""

from ovfarm.failures import FailureCode as C
from ovfarm.hints.hint import Hint, Remedy, Topic
from ovfarm.results import NoteCode as N

# What brings a model closer to the one it was made from.
CLOSER = (
    Remedy(why="more calibration data, if there are so many rows", times={"quantize.subset_size": 3}),
    Remedy(why="asymmetric activations", overrides={"quantize.preset": "mixed"}),
    Remedy(
        why="bias correction layer by layer: slower to make, and closer",
        overrides={"quantize.fast_bias_correction": False},
    ),
    Remedy(why="8 bits for a fifth of the layers, those that lose most", at_most={"compress.ratio": 0.8}),
    Remedy(why="smaller groups", at_most={"compress.group_size": 64}),
    Remedy(
        why="the layers that would keep 8 bits stay in floating point: larger, and exact",
        overrides={"compress.backup_mode": "none"},
        where={"compress.all_layers": (None, False)},
    ),
    Remedy(why="scales that fit the activations", overrides={"compress.scale_estimation": True}),
    Remedy(why="the weights alone, in INT8", recipe="int8-weights"),
)
# It needs labels, so it is offered where they were seen.
_CONTROL = Remedy(
    why="give layers back to floating point until accuracy drops by no more than 0.01",
    overrides={"quantize.accuracy": {"max_drop": 0.01}},
    where={"quantize.accuracy": (None,)},
)

NOTES: dict[C | N, Hint] = {
    N.ACCURACY_LOST: Hint(
        topic=Topic.ACCURACY,
        means="The model is right less often than its reference, on the same labelled rows.",
        words="keep more in floating point, calibrate on more data, or let accuracy control decide",
        patches=(_CONTROL, *CLOSER),
    ),
    N.OUTPUTS_DIFFER: Hint(
        topic=Topic.ACCURACY,
        means="The outputs are far from the reference's.",
        words="judge with labelled data whether that matters; if it does, keep more in floating point",
        patches=CLOSER,
    ),
    N.LITTLE_CALIBRATION_DATA: Hint(
        topic=Topic.DATA,
        means="There were few rows to calibrate on.",
        words="give some hundreds of real samples; 300 are customary",
        patches=(Remedy(why="INT8 for the weights alone, which needs no data", recipe="int8-weights"),),
    ),
    N.LITTLE_EVALUATION_DATA: Hint(
        topic=Topic.DATA,
        means="There were few rows to judge by.",
        words="give some hundreds of rows to evaluate on: with few, one of them decides",
    ),
    N.SMOOTH_QUANT_OFF: Hint(
        topic=Topic.ACCURACY,
        means="A transformer was quantized without SmoothQuant, because accuracy control gives layers back.",
        words="nothing to do; an alpha other than NNCF's in smooth_quant_alphas switches it on",
    ),
    N.TRANSFORMER: Hint(
        topic=Topic.ACCURACY,
        means="Attention was found, so NNCF was told that this is a transformer.",
        words="nothing to do; set model_type to other only when a comparison speaks for it",
    ),
    N.TRANSFORMER_NOT_TOLD: Hint(
        topic=Topic.ACCURACY,
        means="The model has attention, and model_type says that it is no transformer.",
        words="set model_type to transformer or auto, and compare accuracy or distances",
        patches=(
            Remedy(
                why="attention needs its own way to be quantized",
                overrides={"quantize.model_type": "transformer"},
            ),
        ),
    ),
    N.RANDOM_DATA: Hint(
        topic=Topic.DATA,
        means="There is no evaluation data, so outputs were compared on random rows.",
        words="give evaluation data: real rows say more about a model than noise",
    ),
    N.NARROW_WEIGHTS: Hint(
        topic=Topic.CONVERSION,
        means="The model came with weights of 16 bits or fewer, which stay in their type.",
        words="export it in FP32 for an FP32 reference, or for the other 16-bit type; "
        "a conversion invents no precision",
    ),
    N.WIDE_WEIGHTS: Hint(
        topic=Topic.CONVERSION,
        means="Some of the weights stay wider than was asked for: FP16 does not hold them, or they are f64.",
        words="values beyond 65504 fit bf16; cast weights in double precision where the model is exported",
    ),
    N.WEIGHTS_MIXED: Hint(
        topic=Topic.ACCURACY,
        means="Some of the weights are not in the type that was asked for; the message has the shares.",
        words="NNCF keeps convolutions, embeddings and the last matrix product in backup_mode, and of the "
        "others what ratio leaves; all_layers takes all but the convolutions, group_size_fallback decides "
        "about groups that do not fit",
    ),
    N.WEIGHTS_NOT_AS_ASKED: Hint(
        topic=Topic.ACCURACY,
        means="None of the weights is in the type that was asked for: what is compressed is in 8 bits.",
        words="NNCF keeps convolutions, embeddings and the last matrix product in 8 bits, the last two "
        "unless all_layers is set; quantize the activations too (recipe int8): that is as small, and faster",
        patches=(Remedy(why="call it what it is", recipe="int8-weights"),),
    ),
    N.REDUCED_PRECISION: Hint(
        topic=Topic.PERFORMANCE,
        means="The device computes in another precision than the weights or the recipe suggest.",
        words="read the precision that each measurement names; FP16 weights save size, not always time",
        patches=(Remedy(why="compute in f32", overrides={"evaluate.precision": "f32"}),),
    ),
    N.BUDGET_OVER: Hint(
        topic=Topic.PERFORMANCE,
        means="The time budget was over before the ratios were known well enough.",
        words="give a larger time_budget_s, or a wider half_width",
        patches=(Remedy(why="measure for longer", times={"benchmark.time_budget_s": 4}),),
    ),
    N.BUSY_HOST: Hint(
        topic=Topic.PERFORMANCE,
        means="The host was busy with things that are not the farm's.",
        words="measure again when the host is quiet: ovfarm jobs retry JOB --cache refresh",
    ),
    N.SLOW_TO_LOAD: Hint(
        topic=Topic.PERFORMANCE,
        means="Loading and compiling the model takes longer than a second.",
        words="see what a model cache saves, and set CACHE_DIR where the model is served",
        patches=(Remedy(why="measure with a model cache", overrides={"benchmark.model_cache": True}),),
    ),
    N.MODEL_CACHE: Hint(
        topic=Topic.PERFORMANCE,
        means="How fast the model is ready when it comes from OpenVINO's model cache.",
        words="set CACHE_DIR where the model is served; a cache is of one device, driver and release",
    ),
    N.EMULATED: Hint(
        topic=Topic.OPERATION,
        means="A CPU stood in for the device.",
        words="take none of these numbers for the device's; run the job on a node that has it",
    ),
}
