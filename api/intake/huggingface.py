"""Which sets of files are Hugging Face models: a configuration and safetensors, or a pipeline of such."""

from collections.abc import Container, Mapping

from api.intake.content import Content
from ovfarm.catalog import ModelFormat
from ovfarm.errors import InvalidInput

_CONFIG, _PIPELINE = "config.json", "model_index.json"
_OTHERS = {Content.ONNX, Content.IR, Content.TENSORFLOW, Content.TFLITE, Content.PADDLE}


def is_configured(names: Container[str]) -> bool:
    """Tell a folder whose file names mean something to transformers, diffusers and optimum-intel."""
    return _CONFIG in names or _PIPELINE in names


def is_package(found: Mapping[str, Content]) -> bool:
    """Tell such a set by its names and by there being nothing else that is a model."""
    return is_configured(found) and not _OTHERS & set(found.values())


def checked(found: Mapping[str, Content]) -> ModelFormat:
    """Return the format of such a set; raises InvalidInput when it has no weights that can be opened."""
    if Content.SAFETENSORS not in found.values():
        raise InvalidInput(
            "there is a configuration, and no weights in safetensors",
            pointer="/files",
            code="weights_missing",
            hint="save the model with model.save_pretrained(folder, safe_serialization=True) and upload the "
            "whole folder: config.json, *.safetensors and the tokenizer's files",
        )
    return ModelFormat.HUGGINGFACE
