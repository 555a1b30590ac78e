"""HTTP with the farm's manners: retries where they are safe, problems as exceptions."""

import random
import time
from collections.abc import Callable
from typing import Any

import httpx

from ovfarm.errors import Refused, Unavailable

_IDEMPOTENT = frozenset({"GET", "HEAD", "PUT"})
_PASSING = frozenset({429, 502, 503, 504})
_TRIES = 4


class Transport:
    """Requests to one farm; raises Refused for its problem documents, Unavailable when it is away."""

    def __init__(
        self,
        url: str,
        *,
        key: str | None = None,
        timeout_s: float = 30.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.url = url.rstrip("/")
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._http = httpx.Client(base_url=self.url, timeout=timeout_s, headers=headers)
        self._sleep = sleep

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def send(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Send a request; one that may be repeated is, with growing pauses, while the farm is away.

        A POST may be, when it carries an ``Idempotency-Key``.
        """
        named = "Idempotency-Key" in options.get("headers", {})
        for attempt in range(1, _TRIES + 1):
            last = attempt == _TRIES or not (named or method in _IDEMPOTENT)
            try:
                response = self._http.request(method, path, **options)
            except httpx.TransportError as away:
                if last:
                    raise Unavailable(
                        f"the farm at {self.url} does not answer: {away}",
                        code="unreachable",
                        hint="start one with: ./farm up, or name another with --url",
                    ) from away
            else:
                if last or response.status_code not in _PASSING:
                    return _checked(response)
            self._sleep(random.uniform(0.5, 1.0) * 0.1 * 2**attempt)  # noqa: S311 - spreads retries
        raise AssertionError("the last try returns or raises")

    def stream(self, path: str, headers: dict[str, str]) -> Any:
        """Open a streamed GET, as a context manager of httpx."""
        return self._http.stream("GET", path, headers=headers)


def _checked(response: httpx.Response) -> httpx.Response:
    if response.status_code < 400:
        return response
    raise refusal(response)


def refusal(response: httpx.Response) -> Refused:
    """Return the exception for an error response, whatever its body is."""
    try:
        problem = response.json()
    except ValueError:
        problem = {}
    if response.status_code == 401:
        # An answer to HEAD has no body to say it with.
        problem = {
            "detail": "the farm wants a valid key",
            "hint": "give one with --key or OVFARM_KEY",
            **problem,
        }
    return Refused(
        str(problem.get("detail") or f"the farm answered {response.status_code}"),
        status=response.status_code,
        code=str(problem.get("code", "refused")),
        hint=problem.get("hint"),
        request_id=problem.get("request_id"),
    )
