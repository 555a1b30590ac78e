"""What every request passes: a bound on its body, an id, and headers that keep browsers in line."""

import asyncio
import re
from uuid import uuid4

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import MEDIA_TYPE, Problem

_BODY_WITHIN_S = 30.0
# The pages that show the API load their script from elsewhere; everything else loads nothing at all.
_PAGES = ("/docs", "/redoc")
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_NOTHING = "default-src 'none'; frame-ancestors 'none'; sandbox"
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
                headers.update(_HEADERS)
                if not scope["path"].startswith(_PAGES):
                    headers["Content-Security-Policy"] = _NOTHING
                headers["Cache-Control"] = headers.get("Cache-Control", "no-store")
            await send(message)

        if _streamed(scope):
            await self._app(scope, receive, send_with_headers)
            return
        try:
            async with asyncio.timeout(_BODY_WITHIN_S):
                body = await self._body(receive)
        except TimeoutError:
            await _refuse(_late(request_id), send_with_headers)
            return
        if body is None:
            await _refuse(self._too_large(request_id), send_with_headers)
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

    def _too_large(self, request_id: str) -> Problem:
        return Problem(
            title="Too large",
            status=413,
            detail=f"the body has more than {self._max_body} bytes",
            code="too_large",
            hint="files go to PUT /v1/blobs/{sha256}",
            request_id=request_id,
        )


def _late(request_id: str) -> Problem:
    return Problem(
        title="Too slow",
        status=408,
        detail=f"the body did not come within {_BODY_WITHIN_S:g} s",
        code="too_slow",
        hint="files go to PUT /v1/blobs/{sha256}, which may take longer",
        request_id=request_id,
    )


async def _refuse(problem: Problem, send: Send) -> None:
    headers = [(b"content-type", MEDIA_TYPE.encode()), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
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
