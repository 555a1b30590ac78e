"""What a model's ``config.json`` says of it: a stranger's words, read no further than they are needed."""

import json
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ovfarm.failures import FailureClass, FailureCode
from workers.protocol import StepFailed, failed

CONFIG = "config.json"
PIPELINE = "model_index.json"
_INSIDE = ("text_config", "vision_config", "audio_config")


class Described(BaseModel):
    """The few fields that decide something here; sizes are numbers of values, 0 where nothing is said."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    name_or_path: str = Field(default="", alias="_name_or_path")
    model_type: str = ""
    architectures: tuple[str, ...] | None = ()
    is_encoder_decoder: bool = False
    vocab_size: int = 0
    image_size: int | tuple[int, ...] | None = None
    num_channels: int = 0
    num_mel_bins: int = 0
    max_source_positions: int = 0
    sample_size: int | tuple[int, ...] | None = None

    @property
    def architecture(self) -> str:
        """The name of its class, or nothing."""
        return next(iter(self.architectures or ()), "")


def described(folder: Path) -> Described:
    """Return what a folder's configuration says; raises StepFailed when it is no configuration."""
    path = folder / CONFIG
    if not path.exists():
        return Described()
    try:
        found = json.loads(path.read_bytes())
        return Described.model_validate(
            {**_nested(found), **{k: v for k, v in found.items() if v is not None}}
        )
    except (ValueError, TypeError, AttributeError, RecursionError, ValidationError) as wrong:
        raise _undescribed(CONFIG, wrong) from wrong


def pipeline_class(folder: Path) -> str:
    """Return the name of the class that a pipeline of diffusers names; raises StepFailed when it is none."""
    try:
        return str(json.loads((folder / PIPELINE).read_bytes())["_class_name"])
    except (ValueError, TypeError, LookupError, RecursionError) as wrong:
        raise _undescribed(PIPELINE, wrong) from wrong


def _undescribed(name: str, wrong: Exception) -> StepFailed:
    return failed(
        FailureClass.USER,
        FailureCode.MODEL_UNREADABLE,
        f"{name} does not describe a model",
        hint="upload the folder as save_pretrained wrote it",
        evidence=str(wrong),
    )


def _nested(found: dict[str, object]) -> dict[str, object]:
    """Return what the parts of a multimodal model say, where the whole says nothing."""
    return dict(_parts(found))


def _parts(found: dict[str, object]) -> Iterator[tuple[str, object]]:
    for name in _INSIDE:
        part = found.get(name)
        if isinstance(part, dict):
            yield from ((k, v) for k, v in part.items() if k in Described.model_fields and v is not None)
