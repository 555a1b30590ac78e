"""Exports a Hugging Face model to IR with optimum-intel: its networks, tokenizers and configuration.

The call is optimum-intel's ``main_export``. Nothing is fetched, no remote code is run, and weights are
never compressed here, whatever their number: that is a step of its own.
"""

import warnings
from pathlib import Path

import workers.kit.preload_huggingface  # isort: skip # noqa: F401 - sets what the next lines read
from optimum.exporters.openvino import main_export
from optimum.intel import OVConfig
from safetensors import SafetensorError

from ovfarm.failures import FailureClass, FailureCode
from ovfarm.recipes import Convert
from ovfarm.results import Note, NoteCode
from workers.kit import networks
from workers.kit.described import PIPELINE, described, pipeline_class
from workers.kit.loading import judged, missing_weights
from workers.kit.refusals import refusal
from workers.kit.tasks import task_of, task_of_pipeline
from workers.protocol import failed

# What the libraries raise for a model that they do not like; MemoryError is none of them.
_REFUSALS = (
    ValueError, RuntimeError, OSError, LookupError, TypeError, AttributeError, ImportError, AssertionError,
    SafetensorError,
)  # fmt: skip


def export(params: Convert, source: Path, target: Path) -> tuple[Note, ...]:
    """Write the model in ``source`` as IR into ``target`` and say as what; raises StepFailed."""
    whole = (source / PIPELINE).exists()
    about = described(source)
    task = params.task or "auto"
    if task == "auto":
        task = task_of_pipeline(pipeline_class(source)) if whole else task_of(about)
    try:
        with warnings.catch_warnings(), missing_weights() as missing:
            warnings.simplefilter("ignore")
            main_export(
                str(source),
                target,
                task=task,
                stateful=params.stateful,
                library_name="diffusers" if whole else "transformers",
                trust_remote_code=False,
                local_files_only=True,
                convert_tokenizer=True,
                # Said out loud: unasked, more than a billion parameters are compressed to INT8.
                ov_config=OVConfig(dtype="fp16" if params.weights == "fp16" else "fp32"),
            )
    except _REFUSALS as error:
        raise refusal(error, about, task) from error
    if not networks.networks(target):
        raise failed(FailureClass.USER, FailureCode.EXPORT_FAILED, "the export wrote no network")
    exported = Note(code=NoteCode.EXPORTED, message=f"exported for the task {task}")
    return (exported, *judged(missing, params.task, task))
