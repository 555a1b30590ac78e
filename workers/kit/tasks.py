"""What a model is exported for, when nobody has said: optimum's own answer for its class, or for its kind."""

import transformers
from optimum.exporters.tasks import TasksManager

from ovfarm.failures import FailureClass, FailureCode
from workers.kit.described import Described
from workers.protocol import StepFailed, failed

# Classes that optimum's table leaves out.
_BY_CLASS = {
    "ForCausalLM": "text-generation",
    "ForMaskedLM": "fill-mask",
    "ForSequenceClassification": "text-classification",
    "ForTokenClassification": "token-classification",
    "ForQuestionAnswering": "question-answering",
    "ForImageClassification": "image-classification",
    "ForSemanticSegmentation": "image-segmentation",
    "ForObjectDetection": "object-detection",
    "ForAudioClassification": "audio-classification",
    "ForCTC": "automatic-speech-recognition",
}
_PAIRS = "zero-shot-image-classification"


def task_of(described: Described) -> str:
    """Return the task of a model by its configuration; raises StepFailed with those that there are."""
    supported = supported_tasks(described)
    name = described.architecture
    for task in (_inferred(name), _by_class(name), _by_kind(described, supported)):
        # A decoder that has a form with its cache is used in that form.
        for form in (f"{task}-with-past", task):
            # Two encoders that are compared are one model, not the features of one.
            if form in supported and not (form == "feature-extraction" and _PAIRS in supported):
                return form
    if _PAIRS in supported:
        return _PAIRS
    raise unsupported_task("auto", described)


def task_of_pipeline(name: str) -> str:
    """Return what a pipeline of diffusers is exported for, by its class; raises StepFailed."""
    # Its public form asks the hub.
    known: dict[str, dict[str, str]] = TasksManager._DIFFUSERS_TASKS_TO_MODEL_MAPPINGS  # noqa: SLF001
    for task, classes in known.items():
        if name in classes.values():
            return task
    raise failed(
        FailureClass.USER,
        FailureCode.ARCHITECTURE_UNSUPPORTED,
        f"pipelines of the class {name[:100]!r} are not exported by this release of optimum-intel",
        hint="--set STEP.task=… names a task, STEP being the convert step; or convert it where it runs",
    )


def supported_tasks(described: Described) -> list[str]:
    """Return what optimum-intel exports models of this type for; raises StepFailed when it knows none."""
    try:
        tasks = TasksManager.get_supported_tasks_for_model_type(
            described.model_type, "openvino", library_name="transformers"
        )
    except KeyError:
        raise failed(
            FailureClass.USER,
            FailureCode.ARCHITECTURE_UNSUPPORTED,
            f"models of the type {described.model_type!r} are not exported by this release of optimum-intel",
            hint="export it to ONNX where it was made, or convert it there with ovfarm.convert_local",
        ) from None
    return sorted(tasks)


def unsupported_task(task: str, described: Described) -> StepFailed:
    """Return the failure of a task that a model has not."""
    allowed = ", ".join(supported_tasks(described))
    asked = "no task could be told from its architecture" if task == "auto" else f"it has no task {task!r}"
    return failed(
        FailureClass.USER,
        FailureCode.TASK_UNSUPPORTED,
        f"{asked}; models of the type {described.model_type!r} are exported for: {allowed}",
        hint="--set STEP.task=… with one of them, STEP being the name of the convert step",
    )


def _inferred(name: str) -> str | None:
    # Its public form asks the hub.
    inferred = TasksManager._infer_task_from_model_or_model_class  # noqa: SLF001
    try:
        return str(inferred(model_class=getattr(transformers, name)))
    except (ValueError, AttributeError):
        return None


def _by_class(name: str) -> str | None:
    return next((task for ending, task in _BY_CLASS.items() if name.endswith(ending)), None)


def _by_kind(described: Described, supported: list[str]) -> str | None:
    """Return the task of an encoder with a decoder: one of the two that such models are for."""
    if not described.is_encoder_decoder:
        return None
    both = ("text2text-generation", "automatic-speech-recognition")
    return next((task for task in both if task in supported), None)
