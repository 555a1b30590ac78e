"""Methods that do not fit the model, or cost too much."""

from ovfarm.failures import FailureClass
from ovfarm.failures import FailureCode as C
from ovfarm.hints.hint import Hint, Remedy, Topic
from ovfarm.results import NoteCode as N

_USER = (FailureClass.USER,)
_NOTHING_IGNORED = (
    Remedy(why="ignore nothing", overrides={"quantize.ignored_scope": {}}),
    Remedy(why="ignore nothing", overrides={"compress.ignored_scope": {}}),
)
_AS_IT_IS = Remedy(why="convert, measure and package the model without quantizing it", recipe="fp16")

METHODS: dict[C | N, Hint] = {
    C.GROUP_SIZE: Hint(
        topic=Topic.ACCURACY,
        classes=_USER,
        means="Groups of this size do not divide the channels of every layer.",
        words="take a group size that divides them, -1 for one group a channel, or let NNCF adjust it",
        patches=(
            Remedy(
                why="smaller groups for the layers that need them, INT8 where none fits",
                overrides={"compress.group_size_fallback": "adjust"},
            ),
            Remedy(
                why="the layers that the groups do not fit stay in floating point",
                overrides={"compress.group_size_fallback": "ignore"},
            ),
            Remedy(why="one group a channel", overrides={"compress.group_size": -1}),
            Remedy(why="all weights in INT8: larger, and no groups", recipe="int8-weights"),
        ),
    ),
    C.IGNORED_SCOPE: Hint(
        topic=Topic.ACCURACY,
        classes=_USER,
        means="ignored_scope names nodes, patterns or types that the model does not have.",
        words="take the names from the model's graph (the .xml of a converted model), or ignore by type",
        patches=_NOTHING_IGNORED,
    ),
    C.PARAMETER_REFUSED: Hint(
        topic=Topic.OPERATION,
        classes=_USER,
        means="A parameter does not fit this model; the message names it.",
        words="leave the parameter out, or see what is allowed with: ovfarm recipes show NAME",
        patches=(
            Remedy(why="NNCF's own defaults", overrides={"quantize.advanced": {}}),
            Remedy(why="NNCF's own defaults", overrides={"compress.advanced": {}}),
            Remedy(why="the model's own shapes", overrides={"convert.shapes": {}}),
            Remedy(why="the model's own inputs", overrides={"convert.preprocessing": {}}),
        ),
    ),
    C.TOOL_REFUSED: Hint(
        topic=Topic.OPERATION,
        classes=_USER,
        means="NNCF cannot do to this model what was asked.",
        words="leave out the options that are not the default, one by one",
        patches=(
            Remedy(why="without GPTQ", overrides={"compress.gptq": False}),
            Remedy(why="without adapters", overrides={"compress.lora_correction": False}),
            Remedy(why="without scale estimation", overrides={"compress.scale_estimation": False}),
            Remedy(why="without AWQ", overrides={"compress.awq": False}),
            Remedy(why="NNCF's own defaults", overrides={"quantize.advanced": {}}),
            Remedy(why="weights alone, in INT8", recipe="int8-weights"),
        ),
    ),
    C.ALREADY_QUANTIZED: Hint(
        topic=Topic.ACCURACY,
        classes=_USER,
        means="The model is quantized or compressed already; doing it twice ruins it.",
        words="start from the floating-point model, or leave this step out",
        patches=(_AS_IT_IS,),
    ),
    C.NOTHING_QUANTIZED: Hint(
        topic=Topic.ACCURACY,
        classes=_USER,
        means="The step would have written the model as it came: no layer qualifies, or all are ignored.",
        words="look at ignored_scope and all_layers, or take the recipe fp16",
        patches=(
            *_NOTHING_IGNORED,
            Remedy(
                why="embeddings and the last layer as well",
                overrides={"compress.all_layers": True},
            ),
            _AS_IT_IS,
        ),
    ),
    C.ACCURACY_DROP: Hint(
        topic=Topic.ACCURACY,
        classes=_USER,
        means="Accuracy control gave layers back and still lost more than max_drop.",
        words="calibrate on more and better data, allow a larger max_drop, or quantize the weights alone",
        patches=(
            Remedy(why="more calibration data, if there are so many rows", times={"quantize.subset_size": 3}),
            Remedy(
                why="asymmetric activations: slower, and closer to the original",
                overrides={"quantize.preset": "mixed"},
            ),
            Remedy(
                why="bias correction layer by layer: slower to make, and closer",
                overrides={"quantize.fast_bias_correction": False},
            ),
            Remedy(
                why="give back as many layers as it takes",
                overrides={"quantize.accuracy.max_num_iterations": None},
            ),
            Remedy(
                why="search NNCF's parameters first",
                overrides={"quantize.accuracy.tune_hyperparams": True},
            ),
            Remedy(why="the weights alone, in INT8", recipe="int8-weights"),
        ),
    ),
}
