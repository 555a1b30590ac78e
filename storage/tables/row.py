"""What all tables share."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Boolean, Float, MetaData, String, Uuid, text
from sqlalchemy.orm import DeclarativeBase

from ovfarm.catalog import ModelFormat
from ovfarm.hardware import Device
from ovfarm.jobs import NodeState, Part
from ovfarm.recipes import Kind
from ovfarm.states import JobState, StepState
from ovfarm.teams import Role
from storage.columns import UtcDateTime, state_type

_NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


class Row(DeclarativeBase):
    """What all tables share: names of constraints that migrations can rely on."""

    metadata = MetaData(naming_convention=_NAMES)
    type_annotation_map = {
        datetime: UtcDateTime(),
        str: String(),
        UUID: Uuid(),
        bool: Boolean(),
        float: Float(),
        JobState: state_type(JobState),
        StepState: state_type(StepState),
        NodeState: state_type(NodeState),
        Kind: state_type(Kind),
        Device: state_type(Device),
        ModelFormat: state_type(ModelFormat),
        Part: state_type(Part),
        Role: state_type(Role),
    }


def where(condition: str) -> dict[str, Any]:
    """Return the same partial index for both databases."""
    return {"postgresql_where": text(condition), "sqlite_where": text(condition)}
