"""Models and datasets: sets of blobs that were uploaded before."""

import re
from collections.abc import Mapping
from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import TypeAdapter, ValidationError
from sqlalchemy.orm import Session

from api import problems
from api.deps import At, Reading, Team
from api.gather import from_archive, from_source
from api.intake.datasets import check_dataset
from api.intake.models import model_format
from api.intake.refusal import pointer
from api.intake.stored import stored
from ovfarm.catalog import DatasetView, ModelView, RegisterDataset, RegisterModel
from ovfarm.errors import InvalidInput
from ovfarm.results import FileEntry, Manifest
from ovfarm.shapes import DatasetId, FileName, ModelId, public_id
from storage import catalog
from storage.holdings import use

router = APIRouter()
_FILE_NAME: TypeAdapter[str] = TypeAdapter(FileName)


@router.post("/models", tags=["models"], name="register", status_code=201)
def register_model(asked: RegisterModel, team: Team, door: At, response: Response) -> ModelView:
    """Register a model from uploaded blobs, from an uploaded archive, or from a source that the farm fetches.

    Its format is told by content. The same files have one id.
    """
    files, source = asked.files, None
    if asked.archive:
        files = from_archive(door, team, asked.archive)
    if asked.source:
        files, source = from_source(door, team, asked.source)
    with door.database.write() as session:
        manifest = _manifest(session, team, files)
    found = model_format(stored(door.blobs, manifest), torch_programs=door.settings.torch_programs)
    with door.database.write() as session:
        view = catalog.register_model(session, team, asked.name, found, manifest, source)
    response.headers["Location"] = f"/v1/models/{public_id('mod', view.id)}"
    return view


@router.get("/models", tags=["models"], name="list")
def list_models(session: Reading, team: Team) -> tuple[ModelView, ...]:
    """List the team's models, newest first."""
    return catalog.models(session, team)


@router.get("/models/{model_id}", tags=["models"], name="get", responses=problems.document(404))
def get_model(model_id: ModelId, session: Reading, team: Team) -> ModelView:
    """Show one model."""
    return catalog.model(session, team, model_id)


@router.post("/datasets", tags=["datasets"], name="register", status_code=201)
def register_dataset(asked: RegisterDataset, team: Team, door: At, response: Response) -> DatasetView:
    """Register a dataset from uploaded blobs: arrays, a table, lines of text, or a folder of images.

    Its format is told by content. The same files have one id.
    """
    with door.database.write() as session:
        manifest = _manifest(session, team, asked.files)
    check_dataset(stored(door.blobs, manifest))
    with door.database.write() as session:
        view = catalog.register_dataset(session, team, asked.name, manifest)
    response.headers["Location"] = f"/v1/datasets/{public_id('dat', view.id)}"
    return view


@router.get("/datasets", tags=["datasets"], name="list")
def list_datasets(session: Reading, team: Team) -> tuple[DatasetView, ...]:
    """List the team's datasets, newest first."""
    return catalog.datasets(session, team)


@router.get("/datasets/{dataset_id}", tags=["datasets"], name="get", responses=problems.document(404))
def get_dataset(dataset_id: DatasetId, session: Reading, team: Team) -> DatasetView:
    """Show one dataset."""
    return catalog.dataset(session, team, dataset_id)


def _manifest(session: Session, team: UUID, files: Mapping[str, str]) -> Manifest:
    entries: dict[str, FileEntry] = {}
    folders = {name[: at.start()] for name in files for at in re.finditer("/", name)}
    for name, digest in sorted(files.items(), key=lambda file: file[1]):
        try:
            _FILE_NAME.validate_python(name)
        except ValidationError:
            raise InvalidInput(
                "a file name is letters, digits and . _ - / without leaving its folder",
                pointer=pointer(name),
                code="file_name_refused",
            ) from None
        if name in folders:
            raise InvalidInput(
                f"{name} is a file and a folder", pointer=pointer(name), code="file_name_refused"
            )
        size = use(session, team, digest)
        if size is None:
            raise InvalidInput(
                f"the blob {digest} has not been uploaded",
                pointer=pointer(name),
                code="blob_missing",
                hint=f"PUT /v1/blobs/{digest} first",
            )
        entries[name] = FileEntry(digest=digest, size=size)
    return Manifest(files=entries)
