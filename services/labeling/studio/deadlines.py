"""Deadlines of requests, kept at the socket: a server that sends a byte now and then meets every
timeout between two of them.

    with ending_by(time.monotonic() + 25):
        connections.get(…)          # and whatever else is asked within
"""

from __future__ import annotations

import math
import ssl
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import httpcore
import httpx

GRACE_S = 8.0  # for the requests of a step that began before its task's time was over
WRITTEN_AT_ONCE = 65_536

_ends_at: ContextVar[float] = ContextVar("ends_at", default=math.inf)


@contextmanager
def ending_by(ends_at: float) -> Iterator[None]:
    """By time.monotonic(); where an earlier end is set already, that stays."""
    token = _ends_at.set(min(ends_at, _ends_at.get()))
    try:
        yield
    finally:
        _ends_at.reset(token)


def bound(connections: httpx.Client) -> httpx.Client:
    """Its requests keep to the deadlines that are set when they are made."""
    for transport in (connections._transport, *connections._mounts.values()):
        if isinstance(transport, httpx.HTTPTransport):
            transport._pool._network_backend = _Network()
    return connections


def find_left_s() -> float:
    return _ends_at.get() - time.monotonic()


def _cut(timeout: float | None, error: type[httpcore.TimeoutException]) -> float | None:
    left_s = find_left_s()
    if left_s <= 0:
        raise error("the deadline has passed")
    if timeout is not None:
        return min(timeout, left_s)
    return None if math.isinf(left_s) else left_s


class _Network(httpcore.NetworkBackend):
    def __init__(self) -> None:
        self._network = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        within_s = _cut(timeout, httpcore.ConnectTimeout)
        return _Stream(
            self._network.connect_tcp(host, port, within_s, local_address, socket_options)
        )


class _Stream(httpcore.NetworkStream):
    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _cut(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for start in range(0, len(buffer), WRITTEN_AT_ONCE):
            part = buffer[start : start + WRITTEN_AT_ONCE]
            self._stream.write(part, _cut(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        within_s = _cut(timeout, httpcore.ConnectTimeout)
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, within_s))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
