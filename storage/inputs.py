"""What a claimed step reads: for each role a set of files and its canonical digest."""

from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from ovfarm.datasets import PLAIN, Reading
from ovfarm.jobs import Part
from ovfarm.keys import digest_of
from ovfarm.results import Manifest
from storage.tables import Artifact, Dataset, Model, Step, StepEdge


@dataclass(frozen=True, slots=True)
class Input:
    """The files of one role, their digest by meaning, and if they are data which rows count and how."""

    role: str
    manifest: Manifest
    canonical_digest: str
    part: Part
    reading: Reading = PLAIN


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
        reading = edge.reading or PLAIN
        yield Input(
            role=edge.role,
            manifest=manifest,
            canonical_digest=_as_read(digest, edge.part, reading),
            part=edge.part,
            reading=reading,
        )


def _as_read(digest: str, part: Part, reading: Reading) -> str:
    """Return the digest of files in the way in which they are read; the plain way adds nothing."""
    if reading != PLAIN:
        return digest_of([digest, part.value, reading.model_dump(mode="json", exclude_defaults=True)])
    return digest if part is Part.ALL else digest_of([digest, part.value])
