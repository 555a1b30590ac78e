"""Many files at once: asked for in one request, sent over several connections, and counted on the way."""

import hashlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from ovfarm.catalog import MAX_DIGESTS
from ovfarm.cli.supervise import free_port
from ovfarm.cli.uploading import Uploading
from ovfarm.client import Client
from ovfarm.client.folders import model_files
from ovfarm.client.uploads import Sent, _Body, _Count, _missing
from ovfarm.errors import InvalidInput, Refused
from ovfarm.jobs import JobSpec
from ovfarm.settings import Settings
from ovfarm.shapes import public_id
from tests.api.conftest import Server

PADDLE = Path(__file__).resolve().parents[1] / "fixtures" / "paddle"


@pytest.fixture
def farm(tmp_path: Path, database_url: str) -> Iterator[Server]:
    """Return a server with the bounds that a farm has by default."""
    settings = Settings(home=tmp_path / "home", database_url=database_url, port=free_port())
    server = Server(settings)
    server.start()
    yield server
    server.stop()


def asking(client: Client) -> Counter[str]:
    """Return a count of the client's requests by method."""
    counted: Counter[str] = Counter()
    client.transport._http.event_hooks["request"] = [lambda request: counted.update([request.method])]
    return counted


def folder(tmp_path: Path, count: int) -> dict[str, Path]:
    (tmp_path / "files").mkdir()
    files = {f"{number}.bin": tmp_path / "files" / f"{number}.bin" for number in range(count)}
    for name, path in files.items():
        path.write_text(name * 10)
    return files


def test_files_that_are_there_cost_one_request(farm: Server, tmp_path: Path) -> None:
    files = folder(tmp_path, 60)
    files["again.bin"] = files["7.bin"]
    seen: list[Sent] = []
    with Client(farm.url, progress=seen.append) as client:
        counted = asking(client)
        digests = client.upload_all(files)
        assert counted == {"POST": 1, "PUT": 60}
        assert client.upload_all(files) == digests
        assert counted == {"POST": 2, "PUT": 60}
    assert digests == {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()}
    whole = sum(path.stat().st_size for name, path in files.items() if name != "again.bin")
    assert seen[-1] == Sent(60, 60, whole, whole)


def test_more_files_than_one_request_asks_for(farm: Server) -> None:
    digests = tuple(f"{number:064x}" for number in range(MAX_DIGESTS + 1))
    with httpx.Client(base_url=farm.url) as http:
        assert http.post("/v1/blobs/missing", json={"digests": digests}).status_code == 422
        assert http.post("/v1/blobs/missing", json={"digests": ["x"]}).status_code == 422
        most = http.post("/v1/blobs/missing", json={"digests": digests[:-1]})
        assert tuple(most.json()["digests"]) == digests[:-1]
    with Client(farm.url) as client:
        counted = asking(client)
        assert tuple(_missing(client.transport, list(digests))) == digests
        assert counted == {"POST": 2}


def test_a_file_that_is_refused_ends_the_upload(server: Server, tmp_path: Path) -> None:
    files = folder(tmp_path, 3)
    files["0.bin"].write_bytes(b"x" * (2 << 20))
    with Client(server.url) as client, pytest.raises(Refused, match="at most"):
        client.upload_all(files)


def test_a_long_upload_is_told_more_and_more_rarely() -> None:
    now, told = 0.0, list[str]()
    uploading = Uploading(told.append, lambda: now)
    for second in range(16):
        now = float(second)
        uploading(Sent(second, 797, second * 100_000, 79_700_000))
    assert told == [f"▸ upload: {at} of 797 files, {at / 10:.1f} of 79.7 MB" for at in (2, 6, 14)]


def test_a_file_that_is_sent_again_is_counted_once(tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_bytes(b"x" * (5 << 18))
    seen: list[Sent] = []
    body = _Body(path, _Count({"digest": path}, seen.append))
    cut = iter(body)
    assert len(next(cut)) > len(next(cut))
    assert sum(map(len, body)) == 5 << 18
    assert seen[-1] == Sent(0, 1, 5 << 18, 5 << 18)


@pytest.mark.parametrize(("named", "beside"), [("m.pdmodel", "m.pdiparams"), ("m.xml", "m.bin")])
def test_the_weights_of_a_file_come_along(tmp_path: Path, named: str, beside: str) -> None:
    for name in (named, "m.onnx", "m.json"):
        (tmp_path / name).touch()
    assert [*model_files(tmp_path / named)] == [named]
    (tmp_path / beside).touch()
    assert [*model_files(tmp_path / named)] == [named, beside]
    assert [*model_files(tmp_path / "m.onnx")] == ["m.onnx"]


def test_a_model_is_registered_by_its_path_and_ids_are_text(farm: Server) -> None:
    with Client(farm.url) as client:
        model = client.register_model("paddle", str(PADDLE / "network.pdmodel"))
        assert {*model.manifest.files} == {"network.pdmodel", "network.pdiparams"}
        job = client.submit(JobSpec(model=model.id, recipe="fp16"))
        text = public_id("job", job.id)
        assert client.job(text) == client.job(job.id)
        assert client.why(text).job == job.id
        assert client.artifacts(text) == ()
        assert client.cancel(text).id == job.id
        assert client.wait(text, timeout_s=10).ended
        for wrong in ("nonsense", public_id("mod", job.id)):
            with pytest.raises(InvalidInput, match="expected job_ and 32 hexadecimal digits"):
                client.wait(wrong)
        with pytest.raises(InvalidInput, match="there is no file"):
            client.register_model("gone", "/no/such.onnx")
