"""``Client``: upload, submit, wait, download."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote
from uuid import UUID, uuid4

from pydantic import TypeAdapter

from ovfarm.catalog import DatasetView, ModelView, RegisterDataset, RegisterModel
from ovfarm.client.download import download
from ovfarm.client.folders import dataset_files, model_files
from ovfarm.client.transport import Transport
from ovfarm.client.uploads import Progress, upload
from ovfarm.errors import InvalidInput
from ovfarm.jobs import ArtifactView, JobPage, JobResult, JobSpec, JobView, NodeView, Why
from ovfarm.recipes import Recipe
from ovfarm.shapes import READ_BACK, parse_id, public_id

_MODELS: TypeAdapter[tuple[ModelView, ...]] = TypeAdapter(tuple[ModelView, ...])
_NODES: TypeAdapter[tuple[NodeView, ...]] = TypeAdapter(tuple[NodeView, ...])
_RECIPES: TypeAdapter[tuple[Recipe, ...]] = TypeAdapter(tuple[Recipe, ...])
_ARTIFACTS: TypeAdapter[tuple[ArtifactView, ...]] = TypeAdapter(tuple[ArtifactView, ...])

Id = UUID | str


class Client:
    """A farm over HTTP. Methods raise Refused for what it refuses, Unavailable when it is away.

    An id may be text as the farm shows it (``job_…``), and a path may be text; InvalidInput is raised for
    what is neither.
    ``progress`` is told how far an upload is.
    """

    def __init__(
        self,
        url: str = "http://127.0.0.1:8080",
        *,
        key: str | None = None,
        timeout_s: float = 30.0,
        sleep: Callable[[float], None] = time.sleep,
        progress: Progress = lambda _: None,
    ) -> None:
        self.transport = Transport(url, key=key, timeout_s=timeout_s, sleep=sleep)
        self._sleep = sleep
        self._progress = progress

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self.transport.close()

    def upload(self, path: Path | str) -> str:
        """Send a file unless the farm has it, and return its sha256."""
        return self.upload_all({"": Path(path)})[""]

    def upload_all(self, files: Mapping[str, Path]) -> dict[str, str]:
        """Send the files that the farm has not, and return the sha256 of each by name."""
        return upload(self.transport, files, self._progress)

    def register_model(self, name: str, files: Mapping[str, Path] | Path | str) -> ModelView:
        """Upload a model and register it: files by the names that they get, a folder, or one file.

        The weights that lie beside an ``.xml`` or a ``.pdmodel`` under its name come along.
        """
        named = files if isinstance(files, Mapping) else model_files(Path(files))
        return self._registered(RegisterModel(name=name, files=self.upload_all(named)))

    def register_archive(self, name: str, archive: Path | str) -> ModelView:
        """Upload a ZIP or TAR of a model's files and register what is in it."""
        return self._registered(RegisterModel(name=name, archive=self.upload(archive)))

    def register_source(self, name: str, source: str) -> ModelView:
        """Have the farm fetch a model: ``hf://org/name@revision``, or an ``https://`` URL."""
        return self._registered(RegisterModel(name=name, source=source))

    def _registered(self, asked: RegisterModel) -> ModelView:
        response = self.transport.send("POST", "/v1/models", json=asked.model_dump(mode="json"))
        return ModelView.model_validate_json(response.content)

    def register_dataset(self, name: str, path: Path | str) -> DatasetView:
        """Upload a dataset, a file or a folder, and register it; raises InvalidInput when it is none."""
        asked = RegisterDataset(name=name, files=self.upload_all(dataset_files(Path(path))))
        response = self.transport.send("POST", "/v1/datasets", json=asked.model_dump(mode="json"))
        return DatasetView.model_validate_json(response.content)

    def models(self) -> tuple[ModelView, ...]:
        """Return the registered models, newest first."""
        return _MODELS.validate_json(self.transport.send("GET", "/v1/models").content)

    def recipes(self) -> tuple[Recipe, ...]:
        """Return the recipes that have a name."""
        return _RECIPES.validate_json(self.transport.send("GET", "/v1/recipes").content)

    def recipe(self, name: str, targets: Iterable[str] = ()) -> bytes:
        """Return one recipe with the schema of its parameters, as it is for these devices, as JSON."""
        query = "&".join(f"target={quote(target, safe='')}" for target in targets)
        return self.transport.send("GET", f"/v1/recipes/{name}?{query}".rstrip("?")).content

    def nodes(self) -> tuple[NodeView, ...]:
        """Return the nodes of the pool."""
        return _NODES.validate_json(self.transport.send("GET", "/v1/nodes").content)

    def submit(self, spec: JobSpec, *, idempotency_key: str | None = None) -> JobView:
        """Submit a job; when this returns, the farm has it, once, however often it was sent.

        Give an ``idempotency_key`` of your own to submit again after a crash of your program.
        """
        headers = {"Idempotency-Key": idempotency_key or uuid4().hex}
        body = spec.model_dump(mode="json")
        response = self.transport.send("POST", "/v1/jobs", json=body, headers=headers)
        return JobView.model_validate_json(response.content, context=READ_BACK)

    def why(self, job_id: Id) -> Why:
        """Return what a job waits for, in one sentence with numbers."""
        return Why.model_validate_json(self.transport.send("GET", f"{_job(job_id)}/why").content)

    def drain(self, node_id: Id) -> NodeView:
        """Let a node finish what it runs and take nothing new (operators only)."""
        return self._steer(node_id, "drain")

    def resume(self, node_id: Id) -> NodeView:
        """Let a drained or sick node take steps again (operators only)."""
        return self._steer(node_id, "resume")

    def _steer(self, node_id: Id, verb: str) -> NodeView:
        response = self.transport.send("POST", f"/v1/nodes/{_public('nod', node_id)}/{verb}")
        return NodeView.model_validate_json(response.content)

    def job(self, job_id: Id) -> JobView:
        """Return a job as it stands."""
        return JobView.model_validate_json(
            self.transport.send("GET", _job(job_id)).content, context=READ_BACK
        )

    def jobs(self, *, states: tuple[str, ...] = (), limit: int = 50) -> JobPage:
        """Return the newest jobs."""
        parameters = {"state": list(states), "page_size": limit}
        response = self.transport.send("GET", "/v1/jobs", params=parameters)
        return JobPage.model_validate_json(response.content)

    def cancel(self, job_id: Id) -> JobView:
        """Ask for a job to end."""
        response = self.transport.send("POST", f"{_job(job_id)}/cancel")
        return JobView.model_validate_json(response.content, context=READ_BACK)

    def result(self, job_id: Id) -> JobResult:
        """Return what an ended job found out."""
        return JobResult.model_validate_json(self.transport.send("GET", f"{_job(job_id)}/result").content)

    def artifacts(self, job_id: Id) -> tuple[ArtifactView, ...]:
        """Return what the steps of a job have made."""
        return _ARTIFACTS.validate_json(self.transport.send("GET", f"{_job(job_id)}/artifacts").content)

    def artifact(self, artifact_id: Id) -> ArtifactView:
        """Return an artifact."""
        response = self.transport.send("GET", f"/v1/artifacts/{_public('art', artifact_id)}")
        return ArtifactView.model_validate_json(response.content)

    def changes(
        self, job_id: Id, *, every_s: float = 0.5, timeout_s: float | None = None
    ) -> Iterator[JobView]:
        """Yield a job each time that it has changed, until it has ended; raises TimeoutError."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        tag = ""
        while True:
            response = self.transport.send("GET", _job(job_id), headers={"If-None-Match": tag})
            if response.status_code != 304:
                tag = response.headers["ETag"]
                view = JobView.model_validate_json(response.content, context=READ_BACK)
                yield view
                if view.ended:
                    return
            if deadline is not None and time.monotonic() > deadline:
                raise TimeoutError(f"the job has not ended within {timeout_s:g} s")
            self._sleep(every_s)

    def wait(self, job_id: Id, *, timeout_s: float | None = None) -> JobView:
        """Return a job once it has ended, however it ended; raises TimeoutError."""
        *_, last = self.changes(job_id, timeout_s=timeout_s)
        return last

    def download(self, artifact: ArtifactView, folder: Path | str) -> list[Path]:
        """Write an artifact's files into ``folder``, each checked against its sha256; returns them."""
        names = sorted(artifact.manifest.files)
        return [download(self.transport, artifact, name, Path(folder)) for name in names]


def _job(job_id: Id) -> str:
    return f"/v1/jobs/{_public('job', job_id)}"


def _public(prefix: str, given: Id) -> str:
    try:
        return public_id(prefix, parse_id(prefix, given))
    except ValueError as malformed:
        raise InvalidInput(f"{given}: {malformed}") from None
