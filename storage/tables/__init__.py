"""The rows of the farm. They never leave ``storage``: edges see the shapes of ``ovfarm.jobs``."""

from storage.tables.catalog import Dataset, Model
from storage.tables.pool import DeviceClock, Host, NeedRow, Node, NodeNeed
from storage.tables.results import Artifact, Inflight, MeasurementRow, Remembered
from storage.tables.row import Row
from storage.tables.tenants import ApiKey, BlobRow, FarmRow, Holding, Quarantined, Share, Submission, Team
from storage.tables.work import Attempt, Event, Job, Step, StepEdge

__all__ = [
    "ApiKey",
    "Artifact",
    "Attempt",
    "BlobRow",
    "Dataset",
    "DeviceClock",
    "Event",
    "FarmRow",
    "Holding",
    "Host",
    "Inflight",
    "Job",
    "MeasurementRow",
    "Model",
    "NeedRow",
    "Node",
    "NodeNeed",
    "Quarantined",
    "Remembered",
    "Row",
    "Share",
    "Step",
    "StepEdge",
    "Submission",
    "Team",
]
