"""Jobs over models and datasets that exist in name only: storage never opens a file."""

from uuid import uuid4

from ovfarm.catalog import ModelFormat
from ovfarm.jobs import Cache, DataRef, JobData, JobSpec, JobView
from ovfarm.results import FileEntry, Manifest
from storage import catalog
from tests.storage.farm import Farm


def manifest(name: str, digest: str | None = None) -> Manifest:
    return Manifest(files={name: FileEntry(digest=digest or uuid4().hex * 2, size=1)})


def int8_spec(farm: Farm, *, cache: Cache = Cache.USE) -> JobSpec:
    with farm.database.write() as session:
        model = catalog.register_model(
            session, farm.team, "m", ModelFormat.ONNX, manifest("m.onnx", "a" * 64)
        )
        calibration = catalog.register_dataset(session, farm.team, "c", manifest("c.npz", "b" * 64))
        evaluation = catalog.register_dataset(session, farm.team, "e", manifest("e.npz", "c" * 64))
    return JobSpec(
        model=model.id,
        data=JobData(calibration=DataRef(dataset=calibration.id), evaluation=DataRef(dataset=evaluation.id)),
        recipe="int8",
        cache=cache,
    )


def int8_job(farm: Farm) -> JobView:
    return farm.submit(int8_spec(farm))
