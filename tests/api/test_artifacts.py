import hashlib
from pathlib import Path

import httpx
import pytest

from ovfarm.results import FileEntry, Manifest, StepResult
from ovfarm.shapes import public_id
from storage import outcomes
from storage.blobs import Blobs
from tests.api.conftest import Server
from tests.storage.farm import Farm

CONTENT = bytes(range(256)) * 40


@pytest.fixture
def path(server: Server, database_url: str, tmp_path: Path) -> str:
    """Return the path of a file of an artifact that a step has made."""
    digest = hashlib.sha256(CONTENT).hexdigest()
    (tmp_path / "f").write_bytes(CONTENT)
    Blobs((server.home / "store").as_uri()).put(tmp_path / "f", digest)
    farm = Farm(database_url)
    job = farm.submit()
    claim = farm.must_claim()
    manifest = Manifest(files={"sub/model.bin": FileEntry(digest=digest, size=len(CONTENT))})
    with farm.database.write() as session:
        outcomes.succeed(session, claim, "k", outcomes.Product(StepResult(), manifest, "c" * 64))
    artifact = farm.view(job).steps[0].artifact
    farm.database.close()
    assert artifact is not None
    return f"/v1/artifacts/{public_id('art', artifact)}/files/sub/model.bin"


def test_a_whole_file(http: httpx.Client, path: str) -> None:
    got = http.get(path)
    assert (got.status_code, got.content) == (200, CONTENT)
    assert got.headers["etag"] == f'"{hashlib.sha256(CONTENT).hexdigest()}"'
    assert got.headers["content-disposition"] == 'attachment; filename="model.bin"'
    assert got.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("wanted", "start", "end"),
    [("bytes=0-0", 0, 1), ("bytes=100-199", 100, 200), ("bytes=10000-", 10000, 10240),
     ("bytes=-40", 10200, 10240), ("bytes=0-999999", 0, 10240), ("bytes=-999999", 0, 10240)],
)  # fmt: skip
def test_a_range(http: httpx.Client, path: str, wanted: str, start: int, end: int) -> None:
    got = http.get(path, headers={"Range": wanted})
    assert (got.status_code, got.content) == (206, CONTENT[start:end])
    assert got.headers["content-range"] == f"bytes {start}-{end - 1}/{len(CONTENT)}"


@pytest.mark.parametrize("wanted", ["bytes=10240-", "bytes=5-4", "bytes=-", "rows=1-2", "bytes=1-2,5-6"])
def test_a_range_that_is_none(http: httpx.Client, path: str, wanted: str) -> None:
    got = http.get(path, headers={"Range": wanted})
    assert (got.status_code, got.json()["code"]) == (416, "range_not_satisfiable")


def test_a_range_of_an_older_file_gives_the_whole_one(http: httpx.Client, path: str) -> None:
    got = http.get(path, headers={"Range": "bytes=0-9", "If-Range": '"other"'})
    assert (got.status_code, got.content) == (200, CONTENT)


def test_a_file_that_is_not_there_names_those_that_are(http: httpx.Client, path: str) -> None:
    missing = http.get(path + "x")
    assert missing.status_code == 404
    assert "sub/model.bin" in missing.json()["hint"]
