"""Models and datasets as they are registered and as they are seen."""

from enum import StrEnum
from typing import Self

from pydantic import AwareDatetime, Field, model_validator

from ovfarm.datasets import MAX_FILES
from ovfarm.results import Manifest, Port
from ovfarm.shapes import DatasetId, Digest, Document, ModelId, Text


class ModelFormat(StrEnum):
    """The formats that the farm reads, told by content."""

    ONNX = "onnx"
    IR = "ir"
    TENSORFLOW = "tensorflow"
    TFLITE = "tflite"
    PADDLE = "paddle"
    HUGGINGFACE = "huggingface"
    TORCHSCRIPT = "torchscript"
    TORCH_EXPORT = "torch_export"


# They run code when they are loaded: taken where the operator says so, opened in a full sandbox.
PROGRAMS = frozenset({ModelFormat.TORCHSCRIPT, ModelFormat.TORCH_EXPORT})


# So many blobs are asked for in one request: a body of 70 kB.
MAX_DIGESTS = 1000


class Digests(Document):
    """Bytes by their sha256: those that are asked for, or those of them that are missing."""

    digests: tuple[Digest, ...] = Field(max_length=MAX_DIGESTS)


class RegisterModel(Document):
    """The files of a model, uploaded before as blobs; its format is told by their content.

    In their place an uploaded ``archive`` (ZIP or TAR) or a ``source``: ``hf://org/name@revision`` or
    an ``https://`` URL, which the farm fetches.
    """

    name: Text
    files: dict[str, Digest] = Field(default={}, max_length=1000)
    archive: Digest | None = None
    source: Text | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if sum(map(bool, (self.files, self.archive, self.source))) != 1:
            raise ValueError("give exactly one of: files, archive, source")
        return self


class RegisterDataset(Document):
    """The files of a dataset, uploaded before as blobs: arrays, a table, lines, or a folder of images."""

    name: Text
    files: dict[str, Digest] = Field(min_length=1, max_length=MAX_FILES)


class ModelView(Document):
    """A registered model; its ``ports`` are known once a job has read it."""

    id: ModelId
    name: str
    format: ModelFormat
    digest: Digest
    manifest: Manifest
    source: str | None = None
    ports: tuple[Port, ...] = ()
    created_at: AwareDatetime


class DatasetView(Document):
    """A registered dataset."""

    id: DatasetId
    name: str
    digest: Digest
    manifest: Manifest
    created_at: AwareDatetime
