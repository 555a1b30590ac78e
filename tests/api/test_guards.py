"""What comes over the wire and is no request: slow, huge, deep, odd; and what a browser is told."""

import json
import socket
import time
from urllib.parse import urlsplit

import httpx
import pytest

from api import guards, patience
from api.routes import blobs
from tests.api.conftest import Server


def connected(http: httpx.Client) -> socket.socket:
    where = urlsplit(str(http.base_url))
    return socket.create_connection((where.hostname or "", where.port or 80), timeout=10)


def closed_within(channel: socket.socket, seconds: float) -> bool:
    """Tell whether the server lets go; what it says before is left aside."""
    channel.settimeout(seconds)
    began = time.monotonic()
    try:
        while channel.recv(4096):
            pass
    except TimeoutError:
        return False
    return time.monotonic() - began <= seconds


def said(channel: socket.socket) -> bytes:
    """Return all that the server says until it lets go."""
    parts = []
    while part := channel.recv(4096):
        parts.append(part)
    return b"".join(parts)


def test_headers_that_do_not_end_are_not_waited_for(
    http: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "HEADERS_WITHIN_S", 0.3)
    for start in (b"", b"GET / HTTP/1.1\r\nHost: x\r\n"):
        with connected(http) as slow:
            slow.sendall(start)
            assert closed_within(slow, 3.0), start
    with connected(http) as slow:
        slow.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert slow.recv(4096).startswith(b"HTTP/1.1 204")
        slow.sendall(b"GET / HT")
        assert closed_within(slow, 3.0)


def test_a_connection_that_is_used_stays_open(http: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "HEADERS_WITHIN_S", 0.3)
    with connected(http) as channel:
        for _ in range(3):
            channel.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            assert channel.recv(4096).startswith(b"HTTP/1.1 204")
            time.sleep(0.5)


def test_a_body_that_does_not_come_is_a_408(http: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guards, "_BODY_WITHIN_S", 0.3)
    with connected(http) as slow:
        slow.sendall(b"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        answer = said(slow)
    assert answer.startswith(b"HTTP/1.1 408")
    assert b'"code":"too_slow"' in answer


def test_an_upload_that_stops_is_a_408_and_leaves_nothing(
    http: httpx.Client, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blobs, "_NEXT_BYTES_WITHIN_S", 0.3)
    with connected(http) as slow:
        head = f"PUT /v1/blobs/{'0' * 64} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nxx"
        slow.sendall(head.encode())
        assert slow.recv(65536).startswith(b"HTTP/1.1 408")
    assert list((server.home / "incoming").iterdir()) == []


def test_too_many_headers_are_refused(http: httpx.Client) -> None:
    with connected(http) as large:
        large.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + b"X-A: " + b"a" * (100 << 10))
        assert b" 400 " in large.recv(4096).split(b"\r\n")[0]
    assert http.get("/healthz").status_code == 204


@pytest.mark.parametrize(
    "path",
    [
        "/v1/jobs/../../etc/passwd", "/v1/jobs/%2e%2e%2f", "/v1/jobs/%00", "/v1/jobs/%0d%0aX:y", "//evil",
        "/%ff", "/v1/" + "a" * 9000,
    ],
)  # fmt: skip
def test_odd_paths_are_not_found(http: httpx.Client, path: str) -> None:
    with connected(http) as channel:
        channel.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        answer = channel.recv(65536).split(b"\r\n")[0]
    assert answer.split()[1] in {b"307", b"404", b"422", b"400"}, answer


@pytest.mark.parametrize(
    "body",
    [
        b'{"name": "\\ud800", "files": {}}',
        b'{"name": "a\\u0000b", "files": {}}',
        b'{"name": "n", "files": {"\\ud800": "x"}}',
        b'{"name": NaN, "files": {}}',
        b'{"name": "n", "files": ' + b"[" * 3000,
        b'{"name": "n", "files": {"a": 1' + b"0" * 4000 + b"}}",
        b"\xff\xfe",
        json.dumps({"name": "\x1b[2J\x1b[31mred", "files": {"m": "0" * 64}}).encode(),
        json.dumps({"name": "n", "files": {"<script>alert(1)</script>": "0" * 64}}).encode(),
    ],
    ids=lambda body: repr(body[:24]),
)
def test_what_no_text_is_is_refused_without_an_echo(http: httpx.Client, body: bytes) -> None:
    answer = http.post("/v1/models", content=body, headers={"content-type": "application/json"})
    assert answer.status_code in {400, 422}
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.text.isprintable()


def test_browsers_are_kept_in_line(http: httpx.Client) -> None:
    for path in ("/healthz", "/v1/jobs", "/nothing"):
        headers = http.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["content-security-policy"].startswith("default-src 'none'")
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cache-control"] == "no-store" or path == "/v1/jobs"
        assert "server" not in headers
