"""What optimum-intel's refusals mean for the owner of a model; its own words become the evidence."""

import re

from ovfarm.failures import FailureClass, FailureCode
from workers.kit import tasks
from workers.kit.described import Described
from workers.protocol import StepFailed, failed

_ELSEWHERE = "convert it where it runs, with ovfarm.convert_local or to ONNX, and upload that"
_WHOLE = "upload all files of the model as save_pretrained wrote them"
_CASES: tuple[tuple[str, FailureCode, str, str], ...] = (
    (
        r"does not allow for the export|requires transformers|Maximum required|Minimum required",
        FailureCode.ARCHITECTURE_UNSUPPORTED,
        "this type of model is not exported with the release of transformers that the farm has",
        _ELSEWHERE,
    ),
    (
        r"unsupported architecture|does not recognize this architecture|Unrecognized model",
        FailureCode.ARCHITECTURE_UNSUPPORTED,
        "this type of model is not known to the releases of transformers and optimum-intel here",
        _ELSEWHERE,
    ),
    (
        r"custom code which must be executed|trust_remote_code",
        FailureCode.ARCHITECTURE_UNSUPPORTED,
        "the model needs code of its own, which the farm does not run",
        _ELSEWHERE,
    ),
    (
        r"ignore_mismatched_sizes|size mismatch",
        FailureCode.MODEL_UNREADABLE,
        "the weights do not have the shapes that the configuration says",
        "upload the config.json that belongs to these weights",
    ),
    (
        r"SafetensorError|deserializing header|safetensors|no file named|Error no file",
        FailureCode.WEIGHTS_MISSING,
        "the weights are missing, damaged or cut short",
        _WHOLE,
    ),
    (
        r"pad token id",
        FailureCode.EXPORT_FAILED,
        "a classifier needs a padding token, and neither configuration nor tokenizer names one",
        "set pad_token_id in config.json and upload it again",
    ),
    (
        r"is not a valid JSON|config file",
        FailureCode.MODEL_UNREADABLE,
        "the configuration cannot be read",
        _WHOLE,
    ),
    (
        r"requires the .* librar|is not installed|No module named|No package metadata",
        FailureCode.ARCHITECTURE_UNSUPPORTED,
        "this type of model needs a package that the farm has not",
        _ELSEWHERE,
    ),
)


def refusal(error: Exception, described: Described, task: str) -> StepFailed:
    """Return the failure that an export's exception stands for."""
    words = f"{type(error).__name__}: {error}"
    if "only supports the tasks" in words:
        return tasks.unsupported_task(task, described)
    for pattern, code, message, hint in _CASES:
        if re.search(pattern, words):
            return failed(FailureClass.USER, code, message, hint=hint, evidence=words)
    return failed(
        FailureClass.USER,
        FailureCode.EXPORT_FAILED,
        f"optimum-intel could not export this {described.model_type or 'model'} for {task}",
        hint="does the model load with transformers where it was made? Its own words are in the evidence",
        evidence=words,
    )
