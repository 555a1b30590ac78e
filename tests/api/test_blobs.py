import hashlib
import io
from collections.abc import Iterator

import httpx
import numpy as np
import pytest

from tests.api.conftest import Server


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def put(http: httpx.Client, content: bytes) -> str:
    assert http.put(f"/v1/blobs/{sha256(content)}", content=content).status_code in {200, 201}
    return sha256(content)


def test_a_blob_is_stored_once_and_then_known(http: httpx.Client) -> None:
    digest = sha256(b"bytes")
    assert http.head(f"/v1/blobs/{digest}").status_code == 404
    assert http.put(f"/v1/blobs/{digest}", content=b"bytes").status_code == 201
    again = http.put(f"/v1/blobs/{digest}", content=b"bytes")
    assert (again.status_code, again.json()) == (200, {"digest": digest, "size": 5})
    known = http.head(f"/v1/blobs/{digest}")
    assert (known.status_code, known.headers["x-blob-size"]) == (200, "5")


def leftovers(server: Server) -> list[str]:
    return [path.name for path in (server.home / "incoming").glob("*")]


def test_other_bytes_than_announced_leave_nothing_behind(http: httpx.Client, server: Server) -> None:
    wrong = http.put(f"/v1/blobs/{'0' * 64}", content=b"bytes")
    assert (wrong.status_code, wrong.json()["code"]) == (422, "digest_mismatch")
    assert http.head(f"/v1/blobs/{'0' * 64}").status_code == 404
    assert leftovers(server) == []


def test_a_blob_that_is_too_large_is_cut_off(http: httpx.Client, server: Server) -> None:
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        for _ in range(64):
            sent += 1 << 16
            yield b"x" * (1 << 16)

    try:
        refused = http.put(f"/v1/blobs/{'0' * 64}", content=endless())
        assert (refused.status_code, refused.json()["code"]) == (413, "too_large")
    except httpx.TransportError:
        # The server may hang up while we still send; what matters is that it kept nothing.
        assert sent > 1 << 20
    assert leftovers(server) == []


@pytest.mark.parametrize("digest", ["abc", "G" * 64, "A" * 64])
def test_a_path_that_is_no_sha256_is_refused(http: httpx.Client, digest: str) -> None:
    refused = http.put(f"/v1/blobs/{digest}", content=b"x")
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["pointer"] == "/digest"


IR = {"m.xml": b"<?xml version='1.0'?><net name='m' version='11'>", "m.bin": b"\0" * 8}


def register(http: httpx.Client, path: str, files: dict[str, bytes]) -> httpx.Response:
    body = {"name": "n", "files": {name: put(http, content) for name, content in files.items()}}
    return http.post(path, json=body)


def test_models_are_told_by_content_and_registered_once(http: httpx.Client) -> None:
    first = register(http, "/v1/models", IR)
    assert (first.status_code, first.json()["format"]) == (201, "ir")
    assert first.headers["location"] == f"/v1/models/{first.json()['id']}"
    assert register(http, "/v1/models", IR).json()["id"] == first.json()["id"]
    onnx = register(http, "/v1/models", {"m.onnx": b"\x08\x09\x12\x04test"})
    assert onnx.json()["format"] == "onnx"
    assert [m["id"] for m in http.get("/v1/models").json()] == [onnx.json()["id"], first.json()["id"]]
    assert http.get(f"/v1/models/{first.json()['id']}").json() == first.json()


@pytest.mark.parametrize(
    ("files", "code", "pointer", "words"),
    [
        ({"m.onnx": b"PK\x03\x04torch"}, "model_format_refused", "/files/m.onnx", "ZIP"),
        ({"m.pt": b"\x80\x02}q"}, "model_format_refused", "/files/m.pt", "pickle"),
        ({"m.h5": b"\x89HDF\r\n\x1a\n"}, "model_format_refused", "/files/m.h5", "HDF5"),
        ({"m.onnx": b"hello"}, "model_format_refused", "/files", "none of these"),
        ({"m.onnx": b""}, "model_format_refused", "/files", "none of these"),
        ({"m.xml": IR["m.xml"]}, "weights_missing", "/files", "m.bin is missing"),
        ({"../m.xml": IR["m.xml"]}, "file_name_refused", "/files/..~1m.xml", "file name"),
        ({"a.xml": IR["m.xml"], "b.xml": IR["m.xml"] + b" "}, "model_format_refused", "/files", "2 models"),
    ],
)
def test_what_the_farm_does_not_open_is_refused_with_the_way_out(
    http: httpx.Client, files: dict[str, bytes], code: str, pointer: str, words: str
) -> None:
    refused = register(http, "/v1/models", files)
    body = refused.json()
    assert (refused.status_code, body["code"]) == (422, code)
    assert body["errors"][0]["pointer"] == pointer
    assert words in body["detail"]
    assert body.get("hint") or code == "file_name_refused"


def test_a_blob_that_was_not_sent_is_named(http: httpx.Client) -> None:
    refused = http.post("/v1/models", json={"name": "n", "files": {"m.onnx": "0" * 64}})
    assert refused.json()["code"] == "blob_missing"
    assert refused.json()["errors"][0]["pointer"] == "/files/m.onnx"


def test_what_is_no_dataset_is_refused_with_a_way_to_make_one(http: httpx.Client) -> None:
    packed = io.BytesIO()
    np.savez(packed, x=np.zeros((3, 2), np.float32))
    npz = packed.getvalue()
    registered = register(http, "/v1/datasets", {"d.npz": npz})
    assert registered.status_code == 201
    assert http.get(f"/v1/datasets/{registered.json()['id']}").json() == registered.json()
    for files in ({"d.npz": b"PK\x03\x04 other"}, {"a.npz": npz, "b.npz": b"PK\x03\x04"}):
        refused = register(http, "/v1/datasets", files)
        assert refused.json()["code"] == "dataset_format_refused"
        assert "numpy.savez" in refused.json()["hint"]
