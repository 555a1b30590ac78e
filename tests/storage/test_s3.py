"""The same store over the S3 protocol (moto), as over files."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from uuid import uuid4

import httpx
import obstore
import pytest

from ovfarm.errors import Unavailable
from ovfarm.settings import Settings
from storage.blobs import Blobs, digest_file
from tests.runner.s3 import BUCKET, S3Server


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    with S3Server() as server:
        yield server


@pytest.fixture
def blobs(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> Blobs:
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    settings = Settings(store_url=f"s3://{BUCKET}/{uuid4().hex}")
    assert "test" not in repr(settings.s3_secret_access_key)
    return Blobs(settings.store, settings.s3)


def given(tmp_path: Path, content: bytes) -> tuple[Path, str]:
    path = tmp_path / "given"
    path.write_bytes(content)
    return path, digest_file(path)[0]


@pytest.mark.parametrize("size", [0, 1, 10_000_000, 65 << 20])
def test_what_goes_in_comes_out(blobs: Blobs, tmp_path: Path, size: int) -> None:
    path, digest = given(tmp_path, b"x" * size)
    assert blobs.size(digest) is None
    for _ in range(2):
        blobs.put(path, digest)
    assert blobs.size(digest) == size
    blobs.fetch(digest, tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == path.read_bytes()
    assert [(name, length) for name, length, _ in blobs.listing()] == [(digest, size)]
    blobs.delete(digest)
    blobs.delete(digest)
    assert blobs.size(digest) is None


def test_fifty_writers_of_one_blob_agree(blobs: Blobs, tmp_path: Path) -> None:
    path, digest = given(tmp_path, b"the same")
    with ThreadPoolExecutor(10) as pool:
        list(pool.map(lambda _: blobs.put(path, digest), range(50)))
    assert blobs.size(digest) == 8


def test_a_signed_url_hands_out_one_blob_and_files_cannot_sign(blobs: Blobs, tmp_path: Path) -> None:
    path, digest = given(tmp_path, b"for you")
    blobs.put(path, digest)
    url = blobs.signed(digest, 60)
    assert url is not None
    assert httpx.get(url).content == b"for you"
    assert Blobs((tmp_path / "store").as_uri()).signed(digest, 60) is None


def test_rotten_bytes_are_never_handed_on(blobs: Blobs, tmp_path: Path) -> None:
    path, digest = given(tmp_path, b"good")
    blobs.put(path, digest)
    obstore.put(blobs._store, f"blobs/{digest[:2]}/{digest}", b"evil")
    with pytest.raises(Unavailable) as spoilt:
        blobs.fetch(digest, tmp_path / "back")
    assert spoilt.value.code == "store_corrupt"
    assert not (tmp_path / "back").exists()


class _Proud(BaseHTTPRequestHandler):
    """A server that says yes to everything, in HTML."""

    def _answer(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "13")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(b"<html></html>")

    do_GET = do_HEAD = _answer  # noqa: N815 - the library's names

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_a_proxy_that_answers_for_the_store_is_found_out(tmp_path: Path) -> None:
    server = HTTPServer(("127.0.0.1", 0), _Proud)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        settings = Settings(
            s3_endpoint=f"http://127.0.0.1:{server.server_port}", s3_access_key_id="a",
            s3_secret_access_key="b",
        )  # fmt: skip
        with pytest.raises(Unavailable):
            Blobs("s3://farm", settings.s3).fetch("0" * 64, tmp_path / "back")
    finally:
        server.shutdown()
        server.server_close()


def test_a_store_that_is_away_is_unavailable(tmp_path: Path) -> None:
    blobs = Blobs(
        "s3://farm", {"endpoint": "http://127.0.0.1:1", "access_key_id": "a", "secret_access_key": "b"}
    )
    with pytest.raises(Unavailable, match="does not answer"):
        blobs.size("0" * 64)
    with pytest.raises(Unavailable, match="does not answer"):
        blobs.put(given(tmp_path, b"x")[0], "0" * 64)
