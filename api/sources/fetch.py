"""Fetches files over HTTPS from hosts that the operator allows, wherever those try to lead."""

import hashlib
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

import httpx

from api.sources.address import UNREACHED, Resolve, checked, look_up
from ovfarm.errors import InvalidInput, Unavailable

_REDIRECTS = 3
_TIMES = httpx.Timeout(30.0, connect=10.0)
_SLOWEST = 100 << 10  # bytes a second, after the first half minute
_HINT = "an operator allows hosts with OVFARM_SOURCE_HOSTS; or download the files and upload them"


@dataclass(frozen=True, slots=True)
class Fetched:
    """A file that has arrived."""

    path: Path
    digest: str
    size: int


class Pinned(httpx.BaseTransport):
    """Connects to the address that was checked, and asks it for the certificate of the name."""

    def __init__(self, inner: httpx.BaseTransport, resolve: Resolve) -> None:
        self._inner = inner
        self._resolve = resolve

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request; raises InvalidInput for a host that leads inside."""
        host = request.url.host
        request.url = request.url.copy_with(host=checked(host, self._resolve))
        request.extensions = {**request.extensions, "sni_hostname": host}
        return self._inner.handle_request(request)

    def close(self) -> None:
        """Close all connections."""
        self._inner.close()


class Fetcher:
    """Talks to ``hosts`` (patterns like ``*.hf.co``) and to nobody else, without any proxy or cookie."""

    def __init__(
        self,
        hosts: Collection[str],
        *,
        inner: httpx.BaseTransport | None = None,
        resolve: Resolve = look_up,
    ) -> None:
        self._hosts = tuple(hosts)
        self._inner = inner or httpx.HTTPTransport(retries=1)
        self._resolve = resolve

    def allowed(self, url: str) -> httpx.URL:
        """Return a URL that may be asked; raises InvalidInput."""
        try:
            parsed = httpx.URL(url)
        except (httpx.InvalidURL, ValueError, TypeError) as wrong:
            raise _refused(f"{url[:200]!r} is no URL: {wrong}") from None
        if parsed.scheme != "https" or parsed.userinfo or parsed.port not in {None, 443}:
            raise _refused(f"{url[:200]!r} is not https:// on its own port, without a password")
        if not any(fnmatch(parsed.host, pattern) for pattern in self._hosts):
            raise _refused(f"the host {parsed.host!r} is not one that this farm fetches from")
        return parsed

    def download(
        self, url: str, into: Path, bound: int, *, token: str = "", redirects: int = _REDIRECTS
    ) -> Fetched:
        """Write what a URL leads to; raises InvalidInput, or Unavailable. The token stays with its host."""
        first = self.allowed(url)
        where = first
        for _ in range(redirects + 1):
            headers = {"Authorization": f"Bearer {token}"} if token and where.host == first.host else {}
            with (
                _answering(where),
                self._client() as client,
                client.stream("GET", where, headers=headers) as answer,
            ):
                if not answer.is_redirect:
                    _check(answer, where)
                    return _written(answer, into, bound)
                where = self.allowed(str(where.join(answer.headers["location"])))
        raise _refused(f"{first.host} redirects more than {redirects} times")

    def _client(self) -> httpx.Client:
        headers = {"User-Agent": "ovfarm", "Accept-Encoding": "identity"}
        return httpx.Client(
            transport=Pinned(self._inner, self._resolve), timeout=_TIMES, trust_env=False, headers=headers
        )


def _check(answer: httpx.Response, where: httpx.URL) -> None:
    if answer.status_code in {401, 403, 404}:
        raise _refused(
            f"{where} answers {answer.status_code}: it is not there, or needs a token of your team"
        )
    if answer.headers.get("content-encoding", "identity") != "identity":
        raise _refused(f"{where.host} packs what was asked for as it is")
    if answer.status_code != 200:
        raise Unavailable(f"{where} answers {answer.status_code}", code="source")


def _written(answer: httpx.Response, into: Path, bound: int) -> Fetched:
    """Write the body and count it, whatever its length is said to be."""
    found, size, began = hashlib.sha256(), 0, time.monotonic()
    with into.open("wb") as file:
        for chunk in answer.iter_raw():
            size += len(chunk)
            gone = time.monotonic() - began
            if size > bound:
                raise _refused(f"the file has more than {bound} bytes")
            if gone > _TIMES.read and size < _SLOWEST * (gone - _TIMES.read):  # type: ignore[operator] # it is set
                raise Unavailable("the source sends too slowly", code="source")
            found.update(chunk)
            file.write(chunk)
    return Fetched(into, found.hexdigest(), size)


@contextmanager
def _answering(where: httpx.URL) -> Iterator[None]:
    try:
        yield
    except httpx.HTTPError as away:
        words = f"{where.host} cannot be reached: {away}"
        raise Unavailable(words, code="source", hint=UNREACHED) from away


def _refused(words: str) -> InvalidInput:
    return InvalidInput(words, pointer="/source", code="source_refused", hint=_HINT)
