"""Models and datasets: immutable sets of files, one row for each set that a team has."""

from uuid import UUID, uuid4

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from ovfarm.catalog import DatasetView, ModelFormat, ModelView
from ovfarm.errors import NotFound
from ovfarm.keys import manifest_digest
from ovfarm.results import Manifest, Port
from ovfarm.shapes import public_id
from storage.columns import db_now
from storage.rows import insert_once
from storage.tables import Dataset, Model, StepEdge


def register_model(
    session: Session,
    team: UUID,
    name: str,
    model_format: ModelFormat,
    manifest: Manifest,
    source: str | None = None,
) -> ModelView:
    """Return the team's model with these files; the same files have the same id."""
    digest = manifest_digest(manifest)
    insert_once(
        session,
        Model,
        id=uuid4(),
        team_id=team,
        name=name,
        format=model_format,
        digest=digest,
        manifest=manifest,
        source=source,
        created_at=db_now(),
    )
    found = select(Model).where(Model.team_id == team, Model.digest == digest)
    return _model_view(session.execute(found).scalar_one())


def register_dataset(session: Session, team: UUID, name: str, manifest: Manifest) -> DatasetView:
    """Return the team's dataset with these files; the same files have the same id."""
    digest = manifest_digest(manifest)
    insert_once(
        session,
        Dataset,
        id=uuid4(),
        team_id=team,
        name=name,
        digest=digest,
        manifest=manifest,
        created_at=db_now(),
    )
    found = select(Dataset).where(Dataset.team_id == team, Dataset.digest == digest)
    return _dataset_view(session.execute(found).scalar_one())


def note_ports(session: Session, step_id: UUID, ports: tuple[Port, ...]) -> None:
    """Keep what a step has found out of the uploaded model that it read: its inputs and outputs."""
    read = select(StepEdge.model_id).where(StepEdge.step_id == step_id, StepEdge.model_id.is_not(None))
    session.execute(update(Model).where(Model.id.in_(read)).values(ports=ports))


def model(session: Session, team: UUID, model_id: UUID) -> ModelView:
    """Return a model of this team; raises NotFound."""
    row = session.execute(
        select(Model).where(Model.id == model_id, Model.team_id == team)
    ).scalar_one_or_none()
    if row is None:
        raise NotFound(f"there is no model {public_id('mod', model_id)}", hint="list yours: GET /v1/models")
    return _model_view(row)


def dataset(session: Session, team: UUID, dataset_id: UUID) -> DatasetView:
    """Return a dataset of this team; raises NotFound."""
    row = session.execute(
        select(Dataset).where(Dataset.id == dataset_id, Dataset.team_id == team)
    ).scalar_one_or_none()
    if row is None:
        raise NotFound(
            f"there is no dataset {public_id('dat', dataset_id)}",
            hint="list yours: GET /v1/datasets",
        )
    return _dataset_view(row)


def models(session: Session, team: UUID) -> tuple[ModelView, ...]:
    """Return the team's models, newest first."""
    rows = session.execute(select(Model).where(Model.team_id == team).order_by(Model.seq.desc()))
    return tuple(_model_view(row) for row in rows.scalars())


def datasets(session: Session, team: UUID) -> tuple[DatasetView, ...]:
    """Return the team's datasets, newest first."""
    rows = session.execute(select(Dataset).where(Dataset.team_id == team).order_by(Dataset.seq.desc()))
    return tuple(_dataset_view(row) for row in rows.scalars())


def _model_view(row: Model) -> ModelView:
    return ModelView(
        id=row.id,
        name=row.name,
        format=row.format,
        digest=row.digest,
        manifest=row.manifest,
        source=row.source,
        ports=row.ports or (),
        created_at=row.created_at,
    )


def _dataset_view(row: Dataset) -> DatasetView:
    return DatasetView(
        id=row.id,
        name=row.name,
        digest=row.digest,
        manifest=row.manifest,
        created_at=row.created_at,
    )
