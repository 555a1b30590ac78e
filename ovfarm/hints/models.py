"""Models that cannot be read, converted or fed."""

from ovfarm.failures import FailureClass
from ovfarm.failures import FailureCode as C
from ovfarm.hints.hint import Hint, Remedy, Topic
from ovfarm.results import NoteCode as N

_USER = (FailureClass.USER,)
_PLAIN = "export it as ONNX, or save it as OpenVINO IR with openvino.save_model"

MODELS: dict[C | N, Hint] = {
    C.MODEL_UNREADABLE: Hint(
        topic=Topic.CONVERSION,
        classes=_USER,
        means="The file is damaged, cut short, or of a format that OpenVINO does not read.",
        words=f"check that the file loads where it was made, then upload it again; or {_PLAIN}",
    ),
    C.MODEL_FORMAT_REFUSED: Hint(
        topic=Topic.CONVERSION,
        classes=_USER,
        means="The files are not one model in a format that can be opened without running it.",
        words=f"register one model with just its own files; {_PLAIN}",
    ),
    C.MODEL_TOO_COMPLEX: Hint(
        topic=Topic.CONVERSION,
        classes=_USER,
        means="The graph has too many operations, or graphs nested too deeply.",
        words="simplify the graph where it is exported, for example by keeping loops as Loop or Scan",
    ),
    C.WEIGHTS_MISSING: Hint(
        topic=Topic.CONVERSION,
        classes=_USER,
        means="The model needs weights that are not there, too short, or never trained for the task.",
        words="upload all files that were saved together: .xml and .bin, or .onnx and its external data; "
        "take the task that the model was trained for",
    ),
    C.EXTERNAL_DATA_OUTSIDE: Hint(
        topic=Topic.CONVERSION,
        classes=_USER,
        means="The model refers to weights outside its own folder.",
        words="save it again with its external data beside it, and upload all its files",
    ),
    C.UNSUPPORTED_OPERATION: Hint(
        topic=Topic.CONVERSION,
        classes=_USER,
        means="OpenVINO cannot convert some operations of the model; the message names them.",
        words="replace these operations, or export the model with another opset",
    ),
    C.READER_CRASHED: Hint(
        topic=Topic.CONVERSION,
        classes=(FailureClass.CRASH,),
        means="The file is damaged in a way that its reader does not survive.",
        words="check the file where it was made, or send the model as ONNX or OpenVINO IR",
    ),
    C.MODEL_UNUSABLE: Hint(
        topic=Topic.SHAPES,
        classes=_USER,
        means="Rows of data cannot be fed to the model: no inputs, strings, packed or unknown types, or no "
        "dimension for rows.",
        words="convert and compress work with such a model; quantize, evaluate and benchmark do not",
    ),
    C.INFERENCE_FAILED: Hint(
        topic=Topic.SHAPES,
        classes=_USER,
        means="The model refuses to compute on the rows that it was given.",
        words="often a Reshape with a fixed batch: export it with a dynamic batch, or fix the batch at 1",
    ),
    C.OUTPUT_SHAPE: Hint(
        topic=Topic.SHAPES,
        classes=_USER,
        means="An output has not one row for each row of the input.",
        words="export the model with a dynamic batch as the first dimension of inputs and outputs",
    ),
    C.DYNAMIC_SHAPE: Hint(
        topic=Topic.SHAPES,
        classes=_USER,
        means="A dimension is free where a size is needed, or fixed where another one was asked for.",
        words="give evaluation data, whose shapes are used, or set sizes with convert.shapes",
        patches=(Remedy(why="measure with the model's own batch", overrides={"benchmark.batch": None}),),
    ),
    C.MODEL_MISMATCH: Hint(
        topic=Topic.CONVERSION,
        classes=_USER,
        means="The outputs of the model and of its reference differ in number or shape.",
        words="compare with a reference that was made from the same model: set reference to its step",
        patches=(
            Remedy(why="compare with the first FP32 conversion", overrides={"evaluate.reference": None}),
            Remedy(why="inputs and outputs as the model has them", overrides={"convert.preprocessing": {}}),
        ),
    ),
    C.OUTPUT_NOT_FINITE: Hint(
        topic=Topic.ACCURACY,
        classes=_USER,
        means="The model computes NaN or infinity.",
        words="see whether the original model does so too on this data; if not, keep more of it in floating "
        "point (ignored_scope)",
        patches=(
            Remedy(why="FP16 weights end at 65504: keep them in FP32", overrides={"convert.weights": "fp32"}),
            Remedy(why="compute in f32", overrides={"evaluate.precision": "f32"}),
            Remedy(
                why="leave the headroom that 8-bit sums need on a CPU without VNNI",
                overrides={"quantize.advanced.overflow_fix": "enable"},
            ),
            Remedy(
                why="INT8 for a fifth of the layers, those that lose most", overrides={"compress.ratio": 0.8}
            ),
            Remedy(why="INT8 for the weights alone; activations stay as they are", recipe="int8-weights"),
        ),
    ),
}
