"""Connections to an S3 server: pooled, bounded in time, and answered by nobody else."""

from __future__ import annotations

import os
import time
from types import TracebackType
from typing import Any, Self

import certifi
from urllib3 import BaseHTTPResponse, PoolManager, Retry, Timeout
from urllib3.connectionpool import ConnectionPool
from urllib3.exceptions import HTTPError, IncompleteRead, ReadTimeoutError

CONNECT_S = 5  # to connect; and, once more, to send a body
ANSWER_S = 10  # for an answer to begin; and, once more, for its body to arrive
# What no task reads (a frame has 20 MiB at most) may take longer than that.
MIN_BYTES_PER_S = 2 << 20
THREADS = 16
_CHUNK_BYTES = 1 << 18


class NotAStore(HTTPError):
    """Something else answered at the store's address: a proxy, a web server, a login page."""


class _RetryOnce(Retry):
    """Once more when a connection breaks, as pooled ones do when the server restarts.

    Not after a timeout: who waited that long has no time for another.
    """

    def increment(
        self,
        method: str | None = None,
        url: str | None = None,
        response: BaseHTTPResponse | None = None,
        error: Exception | None = None,
        _pool: ConnectionPool | None = None,
        _stacktrace: TracebackType | None = None,
    ) -> Self:
        if error is not None and is_timeout(error):
            raise error
        return super().increment(method, url, response, error, _pool, _stacktrace)


class StoreConnections(PoolManager):
    """What the client asks through. Raises NotAStore, and urllib3's errors."""

    def __init__(self) -> None:
        super().__init__(
            maxsize=THREADS,
            timeout=Timeout(connect=CONNECT_S, read=ANSWER_S),
            retries=_RetryOnce(
                total=1,
                connect=0,  # a name that is not found may take its time to say so
                redirect=False,
                status=0,
                allowed_methods=None,
                respect_retry_after_header=False,
            ),
            ca_certs=os.environ.get("SSL_CERT_FILE") or certifi.where(),
        )

    def urlopen(  # type: ignore[override]
        self, method: str, url: str, redirect: bool = True, **options: Any
    ) -> BaseHTTPResponse:
        response = super().urlopen(method, url, redirect, **options)
        if not _is_of_a_store(response):
            response.close()
            kind = response.headers.get("content-type", "")
            raise NotAStore(f"{response.status} {kind}")
        return response


def read_body(response: BaseHTTPResponse) -> bytes:
    """The whole body, or an error of urllib3's: never a part of it."""
    began, parts = time.monotonic(), []
    try:
        if "content-length" not in response.headers:
            raise IncompleteRead(0, 0)
        length = int(response.headers["content-length"])
        ends_at = began + max(ANSWER_S, length / MIN_BYTES_PER_S)
        while part := response.read1(_CHUNK_BYTES):
            parts.append(part)
            if time.monotonic() > ends_at:
                raise TimeoutError("the body did not arrive in time")
    except BaseException:
        response.close()
        raise
    finally:
        response.release_conn()
    return b"".join(parts)


def is_timeout(error: BaseException) -> bool:
    """Whether an answer did not come in time; sending in vain is a broken connection to urllib3."""
    return isinstance(error, ReadTimeoutError | TimeoutError) or any(
        isinstance(cause, TimeoutError) for cause in error.args
    )


def _is_of_a_store(response: BaseHTTPResponse) -> bool:
    """S3 marks its answers with x-amz-request-id. Garage does not, but it never talks in prose."""
    if any(name.lower().startswith("x-amz-") for name in response.headers):
        return True
    kind = response.headers.get("content-type", "")
    return not kind.startswith("text/") or kind.startswith("text/xml")
