"""Requests to one Label Studio: bounded in time and in memory, and never made twice by themselves.

What goes wrong is a StudioError in words that show no token.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx

from pipeline.connections import is_local
from services.labeling.studio.answers import Answer, read_answer
from services.labeling.studio.deadlines import bound, ending_by
from services.labeling.studio.failures import StudioRefused, StudioUnavailable

CONNECT_TIMEOUT_S = 5.0
ANSWER_TIMEOUT_S = 20.0
DEADLINE_S = 25.0  # for all of it: from a new token to the end of the answer
MAX_ANSWER_BYTES = 64 * 2**20


class TooLarge(StudioUnavailable):
    """The answer is longer than may be read."""


class Credentials:
    """What a request shows. `forget` says whether something was forgotten, and may be new."""

    def headers(self) -> Mapping[str, str]:
        raise NotImplementedError

    def forget(self) -> bool:
        raise NotImplementedError


def open_connections(url: str) -> httpx.Client:
    """Redirects are told, not followed; a proxy is not asked for what is on this network."""
    return bound(
        httpx.Client(
            timeout=httpx.Timeout(ANSWER_TIMEOUT_S, connect=CONNECT_TIMEOUT_S),
            follow_redirects=False,
            trust_env=not is_local(urlsplit(url).hostname or ""),
        )
    )


class Transport:
    def __init__(self, url: str, connections: httpx.Client, credentials: Credentials) -> None:
        self._url = url
        self._connections = connections
        self._credentials = credentials

    def ask(self, method: str, path: str, *, anonymous: bool = False, **parts: Any) -> Any:
        """The JSON of the answer. `parts`: params; body (sent as JSON) or files."""
        request = self._prepare(method, path, **parts)
        with ending_by(time.monotonic() + DEADLINE_S):
            answer = self._send(request, anonymous)
            # The server did nothing for what it refused so: with a new token it may be repeated.
            if answer.status == 401 and not anonymous and self._credentials.forget():
                answer = self._send(request, anonymous)
        return read_answer(self._url, answer)

    def _prepare(self, method: str, path: str, body: Any = None, **parts: Any) -> httpx.Request:
        headers = {}
        if body is not None:
            try:
                parts["content"] = json.dumps(body, allow_nan=False).encode()
            except ValueError as error:
                raise StudioRefused(f"cannot be sent to {self._url}: {error}", 400) from None
            headers["Content-Type"] = "application/json"
        with translating(self._url):
            url = self._url + path
            return self._connections.build_request(method, url, headers=headers, **parts)

    def _send(self, request: httpx.Request, anonymous: bool) -> Answer:
        if not anonymous:
            request.headers.update(self._credentials.headers())
        with translating(self._url):
            response = self._connections.send(request, stream=True)
            try:
                body = self._read(response)
            finally:
                response.close()
        return Answer(response.status_code, body, response.headers.get("location"))

    def _read(self, response: httpx.Response) -> bytes:
        body = bytearray()
        for chunk in response.iter_bytes():
            body += chunk
            if len(body) > MAX_ANSWER_BYTES:
                raise TooLarge(f"{self._url} answered with more than {MAX_ANSWER_BYTES:,} bytes")
        return bytes(body)


@contextmanager
def translating(url: str) -> Iterator[None]:
    """Errors of the connection, in our words: some of httpx's show the headers of a request."""
    try:
        yield
    except httpx.TimeoutException:
        raise StudioUnavailable(f"{url} did not answer in time") from None
    except httpx.ConnectError as error:
        raise StudioUnavailable(f"{url} cannot be reached: {error}") from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise StudioUnavailable(f"{url} did not answer: {type(error).__name__}") from None
