"""Hugging Face models, PyTorch programs and models of several networks."""

from ovfarm.failures import FailureClass
from ovfarm.failures import FailureCode as C
from ovfarm.hints.hint import Hint, Remedy, Topic
from ovfarm.results import NoteCode as N

_USER = (FailureClass.USER,)
_ALL = Remedy(why="INT8 for the weights of all networks, which needs no data", recipe="int8-weights")

EXPORTS: dict[C | N, Hint] = {
    C.ARCHITECTURE_UNSUPPORTED: Hint(
        topic=Topic.CONVERSION,
        classes=_USER,
        means="The releases of transformers and optimum-intel here do not export this type of model.",
        words="convert it where it runs, with ovfarm.convert_local or to ONNX, and upload that",
    ),
    C.TASK_UNSUPPORTED: Hint(
        topic=Topic.CONVERSION,
        classes=_USER,
        means="The model is not exported for the task that was asked for, or none could be told.",
        words="set the task of the convert step to one that the message names",
        patches=(Remedy(why="the task that its architecture tells", overrides={"convert.task": None}),),
    ),
    C.EXPORT_FAILED: Hint(
        topic=Topic.CONVERSION,
        classes=_USER,
        means="optimum-intel could not export the model; its own words are in the evidence.",
        words="see whether it loads with transformers where it was made, and upload the whole folder",
    ),
    C.SEVERAL_NETWORKS: Hint(
        topic=Topic.CONVERSION,
        classes=_USER,
        means="The model has several networks, and the step works on one.",
        words="compress without data works on all of them",
        patches=(_ALL, Remedy(why="INT4 for the networks that generate", recipe="int4")),
    ),
    C.TOOLKIT_MISSING: Hint(
        topic=Topic.INSTALL,
        classes=(FailureClass.INFRA,),
        means="The node has not the packages that read Hugging Face models.",
        words="the operator installs them with: ./farm setup --hf",
    ),
    C.TOKENIZER_MISSING: Hint(
        topic=Topic.DATA,
        classes=_USER,
        means="The data is text, and the model brought no tokenizer.",
        words="register the whole folder of the model, or give the data as token ids",
    ),
    N.EXPORTED: Hint(
        topic=Topic.CONVERSION,
        means="Which task the model was exported for.",
        words="nothing to do; set convert.task for another one",
    ),
    N.RANDOM_WEIGHTS: Hint(
        topic=Topic.CONVERSION,
        means="The files have not all weights of the model; what is missing was drawn at random.",
        words="do not use what is computed with them: mostly a pooled output, which few models are used for",
    ),
    N.TOKENIZER_NOT_CONVERTED: Hint(
        topic=Topic.CONVERSION,
        means="The tokenizer could not become OpenVINO IR.",
        words="use the tokenizer of transformers with the package; texts cannot be data of a job",
    ),
    N.AUTO: Hint(
        topic=Topic.ACCURACY,
        means="Which configuration of optimum-intel stands behind auto.",
        words="nothing to do; name a mode to compress in another way",
        patches=(
            Remedy(why="INT4 as it is good for most language models", recipe="int4"),
            Remedy(why="INT8 for all weights", recipe="int8-weights"),
        ),
    ),
    N.EIGHT_BITS: Hint(
        topic=Topic.ACCURACY,
        means="A network that runs once was compressed to 8 bits, not to fewer.",
        words="nothing to do: it holds few weights, and errors in it reach everything behind it",
    ),
    N.FREE_SHAPES: Hint(
        topic=Topic.SHAPES,
        means="A PyTorch program was converted with shapes that it does not say.",
        words="say them with convert.shapes",
    ),
    N.ONE_NETWORK: Hint(
        topic=Topic.PERFORMANCE,
        means="Of several networks the one that does most of the work was timed.",
        words="take its latency as that of one token or one step, not of a whole answer",
    ),
    N.EMPTY_STATE: Hint(
        topic=Topic.PERFORMANCE,
        means="A model that remembers was timed from its empty state.",
        words="take the latency as that of a prompt, not of the tokens after it",
    ),
}
