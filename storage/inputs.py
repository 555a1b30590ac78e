"""What a claimed step reads: for each role a set of files and its canonical digest."""

from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from ovfarm.jobs import Part
from ovfarm.keys import digest_of
from ovfarm.results import Manifest
from storage.tables import Artifact, Dataset, Model, Step, StepEdge


@dataclass(frozen=True, slots=True)
class Input:
    """The files of one role, their digest by meaning, and which rows count if they are data."""

    role: str
    manifest: Manifest
    canonical_digest: str
    part: Part


def inputs(session: Session, step_id: UUID) -> tuple[Input, ...]:
    """Return a step's inputs; the steps that make them have succeeded before it was queued."""
    edges = session.execute(
        select(StepEdge).where(StepEdge.step_id == step_id).order_by(StepEdge.role)
    ).scalars()
    return tuple(found for edge in edges for found in _input(session, edge))


def _input(session: Session, edge: StepEdge) -> Iterator[Input]:
    if edge.source_id:
        query = select(Artifact.manifest, Artifact.canonical_digest).join(
            Step, Step.artifact_id == Artifact.id
        )
        rows = session.execute(query.where(Step.id == edge.source_id))
    elif edge.model_id:
        rows = session.execute(select(Model.manifest, Model.digest).where(Model.id == edge.model_id))
    else:
        rows = session.execute(select(Dataset.manifest, Dataset.digest).where(Dataset.id == edge.dataset_id))
    for manifest, digest in rows:
        whole = edge.part is Part.ALL
        yield Input(
            role=edge.role,
            manifest=manifest,
            canonical_digest=digest if whole else digest_of([digest, edge.part.value]),
            part=edge.part,
        )
