"""What every request passes: a bound on its body, an id, and headers that keep browsers in line."""

import re
from uuid import uuid4

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import MEDIA_TYPE, Problem

_REQUEST_ID = re.compile(r"^[A-Za-z0-9._-]{1,64}$")


class Guards:
    """ASGI middleware: request ids, security headers, and at most ``max_body`` bytes of JSON.

    Blobs are streamed by their own route, which counts for itself.
    """

    def __init__(self, app: ASGIApp, max_body: int) -> None:
        self._app = app
        self._max_body = max_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(scope)
        scope.setdefault("state", {})["request_id"] = request_id

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["X-Request-Id"] = request_id
                headers["X-Content-Type-Options"] = "nosniff"
                headers["Cache-Control"] = headers.get("Cache-Control", "no-store")
            await send(message)

        if _streamed(scope):
            await self._app(scope, receive, send_with_headers)
            return
        body = await self._body(receive)
        if body is None:
            await self._refuse(request_id, send_with_headers)
            return
        await self._app(scope, _replayed(body, receive), send_with_headers)

    async def _body(self, receive: Receive) -> bytes | None:
        """Return the whole body, or None as soon as it is too long."""
        parts: list[bytes] = []
        size = 0
        while True:
            message = await receive()
            if message["type"] != "http.request":
                return b"".join(parts)
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > self._max_body:
                return None
            if not message.get("more_body"):
                return b"".join(parts)

    async def _refuse(self, request_id: str, send: Send) -> None:
        problem = Problem(
            title="Too large",
            status=413,
            detail=f"the body has more than {self._max_body} bytes",
            code="too_large",
            hint="files go to PUT /v1/blobs/{sha256}",
            request_id=request_id,
        )
        headers = [(b"content-type", MEDIA_TYPE.encode()), (b"connection", b"close")]
        await send({"type": "http.response.start", "status": 413, "headers": headers})
        await send({"type": "http.response.body", "body": problem.model_dump_json().encode()})


def _streamed(scope: Scope) -> bool:
    return bool(scope["method"] == "PUT" and scope["path"].startswith("/v1/blobs/"))


def _request_id(scope: Scope) -> str:
    """Return the caller's id if it is a decent one, else a new one."""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _REQUEST_ID.match(value.decode("latin-1")):
            return str(value.decode("latin-1"))
    return uuid4().hex


def _replayed(body: bytes, receive: Receive) -> Receive:
    """Return a channel that gives the body once and then what comes after it."""
    given = False

    async def replay() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay
