"""How a step fails: who has to act, what happened, and what to do next."""

from enum import StrEnum

from pydantic import ConfigDict, Field

from ovfarm.patches import Patch
from ovfarm.shapes import Document


class FailureClass(StrEnum):
    """Who has to act; it decides about a retry (``ovfarm.policy.backoff``)."""

    USER = "user"  # the input or the recipe: never retried
    INFRA = "infra"  # the farm's own parts: retried elsewhere
    DEVICE = "device"  # the device or its driver: retried elsewhere
    LIMIT = "limit"  # time or memory ran out
    CRASH = "crash"  # the child died; three on any nodes are poison


class FailureCode(StrEnum):
    """What happened; stable, so that programs and ``ovfarm.hints`` can lean on it."""

    MODEL_UNREADABLE = "model_unreadable"
    MODEL_FORMAT_REFUSED = "model_format_refused"
    MODEL_TOO_COMPLEX = "model_too_complex"
    WEIGHTS_MISSING = "weights_missing"
    EXTERNAL_DATA_OUTSIDE = "external_data_outside"
    UNSUPPORTED_OPERATION = "unsupported_operation"
    ARCHITECTURE_UNSUPPORTED = "architecture_unsupported"
    TASK_UNSUPPORTED = "task_unsupported"
    EXPORT_FAILED = "export_failed"
    SEVERAL_NETWORKS = "several_networks"
    TOOLKIT_MISSING = "toolkit_missing"
    DATASET_UNREADABLE = "dataset_unreadable"
    DATASET_EMPTY = "dataset_empty"
    DATASET_SHAPE = "dataset_shape"
    DATASET_NOT_FINITE = "dataset_not_finite"
    DATASET_MISSING = "dataset_missing"
    LABELS_MISSING = "labels_missing"
    LABELS_MISFIT = "labels_misfit"
    TOKENIZER_MISSING = "tokenizer_missing"
    GROUP_SIZE = "group_size"
    IGNORED_SCOPE = "ignored_scope"
    PARAMETER_REFUSED = "parameter_refused"
    ALREADY_QUANTIZED = "already_quantized"
    NOTHING_QUANTIZED = "nothing_quantized"
    ACCURACY_DROP = "accuracy_drop"
    OUTPUT_NOT_FINITE = "output_not_finite"
    MODEL_UNUSABLE = "model_unusable"
    INFERENCE_FAILED = "inference_failed"
    OUTPUT_SHAPE = "output_shape"
    DYNAMIC_SHAPE = "dynamic_shape"
    MODEL_MISMATCH = "model_mismatch"
    TOOL_REFUSED = "tool_refused"
    DEVICE_MISSING = "device_missing"
    DEVICE_FAILED = "device_failed"
    OUT_OF_MEMORY = "out_of_memory"
    TOO_MANY_PROCESSES = "too_many_processes"
    SCRATCH_FULL = "scratch_full"
    TIMEOUT = "timeout"
    CRASHED = "crashed"
    READER_CRASHED = "reader_crashed"
    BAD_REPLY = "bad_reply"
    BAD_OUTPUT = "bad_output"
    NODE_LOST = "node_lost"
    NODE_DISK_FULL = "node_disk_full"
    NODE_SANDBOX = "node_sandbox"
    STORE = "store"
    STORE_CORRUPT = "store_corrupt"
    TOOLCHAIN = "toolchain"
    POISON = "poison"
    UPSTREAM = "upstream"
    CANCELLED = "cancelled"


class Failure(Document):
    """Why an attempt ended without a result; ``evidence`` is the tool's own words, shortened.

    ``hint`` and ``patches`` are what a step itself advises; as a job is shown, ``ovfarm.advice`` fills
    them up from ``ovfarm.hints``.
    """

    model_config = ConfigDict(populate_by_name=True, serialize_by_alias=True)

    failure_class: FailureClass = Field(alias="class")
    code: FailureCode
    message: str = Field(max_length=2000)
    hint: str | None = Field(default=None, max_length=1000)
    evidence: str | None = Field(default=None, max_length=8000)
    patches: tuple[Patch, ...] = Field(default=(), max_length=16)
