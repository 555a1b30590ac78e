"""Errors on the wire: RFC 9457 problem documents, one shape for everything that goes wrong."""

from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from pydantic import BaseModel
from pydantic_core import ErrorDetails
from starlette.exceptions import HTTPException

from ovfarm.errors import (
    Conflict,
    Forbidden,
    InvalidInput,
    NotFound,
    OvfarmError,
    QuotaExceeded,
    Unauthorized,
    Unavailable,
)
from ovfarm.fields import place_of, words
from ovfarm.shapes import Document, Shown, shown

log = structlog.get_logger()
MEDIA_TYPE = "application/problem+json"
_STATUS: dict[type[OvfarmError], int] = {
    InvalidInput: 422,
    NotFound: 404,
    Conflict: 409,
    Unauthorized: 401,
    Forbidden: 403,
    QuotaExceeded: 429,
    Unavailable: 503,
}
_TITLES = {
    400: "Malformed request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not found",
    405: "Method not allowed",
    408: "Too slow",
    409: "Conflict",
    413: "Too large",
    416: "No such range",
    422: "Invalid input",
    429: "Too much at once",
    500: "Internal error",
    503: "Unavailable for now",
}


class FieldProblem(Document):
    """One mistake: where (JSON pointer) and what."""

    pointer: Shown
    message: Shown


class Problem(Document):
    """A problem document; ``code`` is stable, ``hint`` says what to do next."""

    type: str = "about:blank"
    title: str
    status: int
    detail: Shown
    code: str
    errors: tuple[FieldProblem, ...] = ()
    hint: str | None = None
    request_id: str | None = None


def document(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return what OpenAPI should say of these statuses."""
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        status: {"description": _TITLES[status], "content": {MEDIA_TYPE: {"schema": schema}}}
        for status in statuses
    }


def problem(request: Request, status: int, detail: str, code: str, **more: Any) -> Response:
    """Return a problem response."""
    body = Problem(
        title=_TITLES.get(status, "Error"),
        status=status,
        detail=detail,
        code=code,
        request_id=getattr(request.state, "request_id", None),
        **{k: v for k, v in more.items() if k in {"errors", "hint"}},
    )
    headers: Mapping[str, str] = more.get("headers") or {}
    return Response(
        body.model_dump_json(exclude_none=True), status, headers=dict(headers), media_type=MEDIA_TYPE
    )


def _raised(request: Request, error: Exception) -> Response:
    if not isinstance(error, OvfarmError):
        raise error
    status = next((s for kind, s in _STATUS.items() if isinstance(error, kind)), 500)
    errors: tuple[FieldProblem, ...] = ()
    if isinstance(error, InvalidInput):
        errors = (FieldProblem(pointer=error.pointer, message=error.message),)
        status = _STATUS_BY_CODE.get(error.code, status)
    headers = _headers(error, status)
    return problem(
        request, status, error.message, error.code, errors=errors, hint=error.hint, headers=headers
    )


def _headers(error: OvfarmError, status: int) -> dict[str, str]:
    if isinstance(error, QuotaExceeded):
        return {"Retry-After": str(error.retry_after_s)}
    if isinstance(error, Unauthorized):
        return {"WWW-Authenticate": "Bearer"}
    return {"Retry-After": "2"} if status == 503 else {}


_STATUS_BY_CODE = {"too_large": 413, "too_slow": 408, "malformed_json": 400, "range_not_satisfiable": 416}


def _unvalidated(request: Request, error: Exception) -> Response:
    """Name every field that is wrong; the values themselves are not echoed, they may be anything."""
    if not isinstance(error, RequestValidationError):
        raise error
    body = _body(request)
    errors = tuple(_mistake(found, body) for found in error.errors() if not _follows(found, error.errors()))
    malformed = any(found["type"] == "json_invalid" for found in error.errors())
    detail = "; ".join(f"{e.pointer or '/'}: {e.message}" for e in errors[:5])
    return problem(
        request,
        400 if malformed else 422,
        detail,
        "malformed_json" if malformed else "invalid_input",
        errors=errors,
    )


def _body(request: Request) -> type[BaseModel] | None:
    """Return the document that a route takes."""
    field = getattr(request.scope.get("route"), "body_field", None)
    kind = field.field_info.annotation if field else None
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def _follows(found: ErrorDetails, all_found: Sequence[ErrorDetails]) -> bool:
    """Tell whether a list is said to be short only because what is in it is wrong."""
    place = found["loc"]
    inside = (other["loc"][: len(place)] == place and len(other["loc"]) > len(place) for other in all_found)
    return found["type"] == "too_short" and any(inside)


def _mistake(found: ErrorDetails, body: type[BaseModel] | None) -> FieldProblem:
    """Return a mistake of a request, without FastAPI's own first word of its place."""
    source, *place = found["loc"] or ("",)
    inside = ErrorDetails(**{**found, "loc": tuple(place)})
    if source == "body" and body is not None:
        return FieldProblem(pointer=_pointer(place_of(inside, body)), message=words(inside, body))
    return FieldProblem(pointer=_pointer(place), message=words(inside, None))


def _pointer(place: Sequence[int | str]) -> str:
    """Return a place as a JSON pointer."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in place)


def _http(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    code = _TITLES.get(error.status_code, "error").lower().replace(" ", "_")
    detail = error.detail
    if error.status_code == 404:
        detail, code = f"there is nothing at {request.url.path}", "no_such_route"
    return problem(request, error.status_code, detail, code, headers=error.headers)


def _crashed(request: Request, error: Exception) -> Response:
    log.error("request.crashed", path=shown(request.url.path), exc_info=error)
    return problem(
        request,
        500,
        "the farm made a mistake; the operator finds it in the log by the request id",
        "internal_error",
    )


def install(app: FastAPI) -> None:
    """Make ``app`` answer every error with a problem document, and say so in its OpenAPI."""
    generated = app.openapi

    def openapi() -> dict[str, Any]:
        described = generated()
        schema = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas = described["components"]["schemas"]
        schemas.update(schema.pop("$defs"), Problem=schema)
        return described

    app.openapi = openapi  # type: ignore[method-assign] # FastAPI's documented way to extend it
    app.add_exception_handler(OvfarmError, _raised)
    app.add_exception_handler(RequestValidationError, _unvalidated)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _crashed)
