"""HTTP requests bounded in time and size, that follow no redirect and are sent again with patience.

Only GET, and POST of JSON; nothing of a request (address, headers, body) is shown by an error.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http.cookiejar import DefaultCookiePolicy
from typing import Any, BinaryIO, TypeVar
from urllib.parse import urlsplit

import requests
import urllib3.exceptions
from requests.utils import get_auth_from_url

from pipeline.connections import Trusted, Watch, WatchedAdapter
from pipeline.errors import FetchError, UserError
from pipeline.fetch import MEBIBYTE, FetchLimits
from pipeline.records import Outcome
from pipeline.refusals import explain_failure, parse_retry_after
from services.labeling.studio.answers import Answer

LIMITS = FetchLimits(deadline_s=60.0, read_timeout_s=30.0, max_bytes=64 * MEBIBYTE)
# Label Studio makes the whole of an export before its first byte.
DOWNLOAD_LIMITS = FetchLimits(deadline_s=1800.0, read_timeout_s=600.0, max_bytes=4096 * MEBIBYTE)
CHUNK_BYTES = 65_536
OK, TOO_MANY_REQUESTS, SERVER_ERROR = 200, 429, 500

Result = TypeVar("Result")


@dataclass(frozen=True)
class Patience:
    """How often a request is sent in all, and how long to wait between: doubled every time."""

    attempts: int = 4
    wait_s: float = 1.0
    longest_wait_s: float = 60.0
    sleep: Callable[[float], None] = time.sleep


@dataclass(frozen=True)
class Download:
    """The file that an answer of 200 goes to, chunk by chunk."""

    file: BinaryIO
    limits: FetchLimits = DOWNLOAD_LIMITS

    def write(self, chunk: bytes) -> None:
        try:
            self.file.write(chunk)
        except OSError as error:
            raise UserError(f"cannot write what was fetched: {error.strerror}") from error


@dataclass(frozen=True)
class _Request:
    """A GET, or a POST of `posted` as JSON."""

    url: str
    headers: Mapping[str, str]
    posted: Mapping[str, str] | None
    limits: FetchLimits


class ServerFailed(FetchError):
    """It answered 429, or 500 and above: another time it may not."""

    def __init__(self, name: str, status: int, retry_after_s: float | None) -> None:
        limited = status == TOO_MANY_REQUESTS
        outcome = Outcome.RATE_LIMITED if limited else Outcome.HTTP_ERROR
        super().__init__(outcome, f"{name} answered {status}", retry_after_s=retry_after_s)
        self.status = status


class _Session(requests.Session):
    """Leaves redirects alone: requests reads the whole body of one, even told not to follow."""

    def resolve_redirects(self, *args: Any, **kwargs: Any) -> Iterator[requests.Response]:
        return iter(())


class PatientSession:
    """For one thread. Cookies are not kept, ~/.netrc is not read. `trusted`: servers that may have
    a public name and a private address. `alive` is called for each request and each chunk."""

    def __init__(
        self,
        limits: FetchLimits = LIMITS,
        patience: Patience | None = None,
        trusted: Trusted = frozenset(),
        alive: Callable[[], None] = lambda: None,
    ) -> None:
        self._limits, self._patience, self._alive = limits, patience or Patience(), alive
        self._session = _Session()
        self._session.mount("http://", WatchedAdapter(trusted))
        self._session.mount("https://", WatchedAdapter(trusted))
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        self._session.headers.update({"User-Agent": "traboule", "Accept-Encoding": "identity"})

    def close(self) -> None:
        self._session.close()

    def ask(
        self,
        url: str,
        headers: Mapping[str, str],
        posted: Mapping[str, str] | None = None,
        into: Download | None = None,
    ) -> Answer:
        """One request: a GET, or a POST of `posted` as JSON. An answer of 200 goes `into` a file
        where one is named, and then has no body. Of any status below 500 but 429; raises
        FetchError, and UserError where the file cannot be written."""
        name = name_of(url)
        if urlsplit(url).scheme not in ("http", "https"):
            raise FetchError(Outcome.UNREACHABLE, f"{name} is not an http or https address")
        request = _Request(url, headers, posted, into.limits if into else self._limits)
        self._alive()
        with Watch(request.limits.deadline_s) as watch:
            try:
                with self._send(request, watch) as answer:
                    _refuse_failure(answer, name)
                    body = self._read(answer, name, into)
            except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
                _check(watch, name, request.limits)
                raise explain_failure(error, name) from None  # it may show the address
            # A connection cut in a body of unknown length looks like its end.
            _check(watch, name, request.limits)
        return Answer(answer.status_code, body, answer.headers.get("location"))

    def retry(self, action: Callable[[], Result]) -> Result:
        """`action` until it succeeds, fails for good, or patience is at its end (FetchError).

        Once more after a plain 500: it can be how Label Studio says that a file is gone.
        """
        wait_s = self._patience.wait_s
        for attempt in range(self._patience.attempts - 1):
            try:
                return action()
            except FetchError as error:
                if not _is_passing(error) or (attempt and _is_plain_failure(error)):
                    raise
                asked_s = error.retry_after_s or 0.0
            self._patience.sleep(min(max(wait_s, asked_s), self._patience.longest_wait_s))
            wait_s *= 2
        return action()

    def _send(self, request: _Request, watch: Watch) -> requests.Response:
        def send() -> requests.Response:
            return self._session.request(
                "GET" if request.posted is None else "POST",
                request.url,
                headers=request.headers,
                json=request.posted,
                auth=get_auth_from_url(request.url)
                if "@" in urlsplit(request.url).netloc
                else _as_it_is,
                stream=True,
                allow_redirects=False,
                timeout=(request.limits.connect_timeout_s, request.limits.read_timeout_s),
            )

        watch.opened = False
        try:
            return send()
        except requests.ConnectionError:
            # The server may close a pooled connection just as it is used again.
            if watch.opened or watch.expired:
                raise
            return send()

    def _read(self, answer: requests.Response, name: str, into: Download | None) -> bytes:
        if answer.status_code != OK:
            into = None
        max_bytes = into.limits.max_bytes if into else self._limits.max_bytes
        body, size = bytearray(), 0
        while chunk := answer.raw.read(CHUNK_BYTES, decode_content=True):
            self._alive()
            size += len(chunk)
            if size > max_bytes:
                raise FetchError(Outcome.TOO_LARGE, f"{name} sent more than {max_bytes:,} bytes")
            if into:
                into.write(chunk)
            else:
                body += chunk
        return bytes(body)


def _check(watch: Watch, name: str, limits: FetchLimits) -> None:
    if watch.expired:
        told = f"{name} did not end its answer within {limits.deadline_s:g} s"
        raise FetchError(Outcome.TIMED_OUT, told)


def name_of(url: str) -> str:
    """The host of `url`, with its port if it has one. Raises FetchError for no address at all."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise FetchError(Outcome.UNREACHABLE, "not a valid address") from None
    return parts.netloc.rpartition("@")[2] or "an address without a host"


def _as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Without it requests would send the user's own ~/.netrc."""
    return request


def _refuse_failure(answer: requests.Response, name: str) -> None:
    if answer.status_code == TOO_MANY_REQUESTS or answer.status_code >= SERVER_ERROR:
        wait_s = parse_retry_after(answer.headers.get("Retry-After"), datetime.now(UTC))
        raise ServerFailed(name, answer.status_code, wait_s)


def _is_plain_failure(error: FetchError) -> bool:
    return isinstance(error, ServerFailed) and error.status == SERVER_ERROR


def _is_passing(error: FetchError) -> bool:
    return isinstance(error, ServerFailed) or error.outcome in (
        Outcome.UNREACHABLE,
        Outcome.TIMED_OUT,
    )
