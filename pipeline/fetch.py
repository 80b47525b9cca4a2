"""Bounded HTTP: a fetch ends by its deadline, within its size, and in a Response or a FetchError.

Only `requests` speaks HTTP here; what its timeouts do not end, pipeline.connections cuts.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.cookiejar import DefaultCookiePolicy
from typing import Any
from urllib.parse import SplitResult, urljoin, urlsplit

import requests
import urllib3.exceptions
from requests.utils import get_auth_from_url

from pipeline.connections import Trusted, Watch, WatchedAdapter, is_local
from pipeline.errors import FetchError
from pipeline.records import Outcome
from pipeline.refusals import explain_failure, refuse_status

CHUNK_BYTES = 65_536
NOT_MODIFIED = 304
MEBIBYTE = 2**20


@dataclass(frozen=True)
class FetchLimits:
    """What one fetch may take: redirects included, the deadline from its first to its last byte."""

    connect_timeout_s: float = 5.0
    read_timeout_s: float = 10.0
    deadline_s: float = 15.0
    max_bytes: int = 20 * MEBIBYTE
    max_redirects: int = 3


@dataclass(frozen=True)
class Validators:
    """What the server said of the last answer, for a conditional GET."""

    etag: str | None = None
    last_modified: str | None = None

    @property
    def headers(self) -> dict[str, str]:
        known = {"If-None-Match": self.etag, "If-Modified-Since": self.last_modified}
        return {name: value for name, value in known.items() if value}


@dataclass(frozen=True)
class Response:
    """An answer of 2xx, or of 304 to a conditional GET. Header names are lower-case."""

    status: int
    body: bytes
    headers: Mapping[str, str]
    url: str  # where it came from in the end, without credentials
    elapsed_s: float

    @property
    def not_modified(self) -> bool:
        return self.status == NOT_MODIFIED


class _Session(requests.Session):
    """Leaves redirects alone: requests reads the whole body of one, even told not to follow."""

    def resolve_redirects(self, *args: Any, **kwargs: Any) -> Iterator[requests.Response]:
        return iter(())


class Fetcher:
    """Fetches URLs over pooled connections; threads may share one. `trusted`: servers that may have
    a public name and a private address."""

    def __init__(
        self, limits: FetchLimits, user_agent: str, trusted: Trusted = frozenset()
    ) -> None:
        self._limits = limits
        self._session = _Session()
        self._session.mount("http://", WatchedAdapter(trusted))
        self._session.mount("https://", WatchedAdapter(trusted))
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        # Compressing pictures gains nothing, and a bomb must first be sent to be bounded.
        self._session.headers.update({"User-Agent": user_agent, "Accept-Encoding": "identity"})

    def fetch(
        self, url: str, validators: Validators | None = None, *, authorization: str | None = None
    ) -> Response:
        """GET `url`; FetchError, with the outcome to count it by, when that does not succeed.

        `authorization` is a header for `url` alone: where a redirect leads, it is not sent.
        """
        started_s = time.monotonic()
        conditions = {} if validators is None else validators.headers
        with Watch(self._limits.deadline_s) as watch:
            try:
                answer = self._follow(url, conditions, authorization, watch)
                with answer:
                    refuse_status(answer, _name(url), conditional=bool(conditions))
                    body = self._read(answer, _name(url))
            except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
                self._check(watch, url)
                raise explain_failure(error, _name(url)) from error
            # A connection cut in a body of unknown length looks like its end.
            self._check(watch, url)
        return Response(
            status=answer.status_code,
            body=body,
            # A folded header could not be sent back as a validator.
            headers={name.lower(): " ".join(text.split()) for name, text in answer.headers.items()},
            url=_without_credentials(answer.url),
            elapsed_s=time.monotonic() - started_s,
        )

    def _follow(
        self, url: str, headers: Mapping[str, str], authorization: str | None, watch: Watch
    ) -> requests.Response:
        """The first answer that is no redirect, its body unread."""
        first = {"Authorization": authorization} if authorization else {}
        for number in range(self._limits.max_redirects + 1):
            answer = self._ask(url, headers if number else {**headers, **first}, watch)
            target = self._find_target(answer, url)
            if target is None:
                return answer
            answer.close()
            if is_local(_split(target).hostname or "") and not is_local(_split(url).hostname or ""):
                raise FetchError(
                    Outcome.FORBIDDEN_ADDRESS,
                    f"{_name(url)}: redirects to {_name(target)}, which is not public",
                )
            url = target
        raise FetchError(Outcome.HTTP_ERROR, f"{_name(url)}: redirects too often")

    def _find_target(self, answer: requests.Response, url: str) -> str | None:
        try:
            target = self._session.get_redirect_target(answer)
            return None if target is None else urljoin(url, target)
        except ValueError as error:
            answer.close()
            raise FetchError(Outcome.HTTP_ERROR, f"{_name(url)}: redirects nowhere") from error

    def _ask(self, url: str, headers: Mapping[str, str], watch: Watch) -> requests.Response:
        if _split(url).scheme not in ("http", "https"):
            raise FetchError(Outcome.UNREACHABLE, f"{_name(url)}: not an http or https address")
        watch.opened = False
        try:
            return self._send(url, headers)
        except requests.ConnectionError:
            # The server may close a pooled connection just as it is used again.
            if watch.opened or watch.expired:
                raise
            return self._send(url, headers)

    def _send(self, url: str, headers: Mapping[str, str]) -> requests.Response:
        return self._session.get(
            url,
            headers=headers,
            auth=get_auth_from_url(url) if "@" in _split(url).netloc else _anonymous,
            stream=True,
            allow_redirects=False,
            timeout=(self._limits.connect_timeout_s, self._limits.read_timeout_s),
        )

    def _read(self, answer: requests.Response, name: str) -> bytes:
        """The body as decoded from its content encoding, never more than the limit in memory."""
        too_large = FetchError(
            Outcome.TOO_LARGE, f"{name}: more than {self._limits.max_bytes:,} bytes"
        )
        announced_bytes = answer.raw.length_remaining
        if announced_bytes is not None and announced_bytes > self._limits.max_bytes:
            raise too_large
        body = bytearray()
        while chunk := answer.raw.read(CHUNK_BYTES, decode_content=True):
            body += chunk
            if len(body) > self._limits.max_bytes:
                raise too_large
        return bytes(body)

    def _check(self, watch: Watch, url: str) -> None:
        if watch.expired:
            deadline_s = self._limits.deadline_s
            raise FetchError(
                Outcome.TIMED_OUT, f"{_name(url)}: did not end within {deadline_s:g} s"
            )


def _anonymous(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Without it requests would send the user's own ~/.netrc to a camera."""
    return request


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise FetchError(Outcome.UNREACHABLE, "not a valid address") from None
    return parts


def _name(url: str) -> str:
    """The host of `url`, with its port if it has one, for a person to read."""
    return _split(url).netloc.rpartition("@")[2] or "an address without a host"


def _without_credentials(url: str) -> str:
    parts = _split(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], fragment="").geturl()
