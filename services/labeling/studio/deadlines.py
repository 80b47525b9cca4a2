"""Deadlines of requests, kept at the socket: a server that sends a byte now and then meets every
timeout between two of them.

    with ending_by(time.monotonic() + 25):
        connections.get(…)          # and whatever else is asked within

A server that used up its time meets httpx's own timeouts. Where an earlier end leaves a request
less time than it asks for, and cuts it off, that is TimeIsOver: no fault of the server's.
"""

from __future__ import annotations

import math
import ssl
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import httpcore
import httpx

from services.labeling.studio.failures import StudioUnavailable

GRACE_S = 8.0  # for the requests of a step that began before its task's time was over
WRITTEN_AT_ONCE = 65_536


class TimeIsOver(StudioUnavailable):
    """Ours. What was asked last may have been done or not."""


@dataclass(frozen=True)
class _End:
    """`is_early`: more time was asked for last."""

    at: float = math.inf
    is_early: bool = False


_NONE = _End()
_end: ContextVar[_End] = ContextVar("end", default=_NONE)


@contextmanager
def ending_by(ends_at: float) -> Iterator[None]:
    """By time.monotonic(); where an earlier end is set already, that stays."""
    earlier = _end.get().at
    token = _end.set(_End(min(ends_at, earlier), is_early=earlier < ends_at))
    try:
        yield
    finally:
        _end.reset(token)


def bound(connections: httpx.Client) -> httpx.Client:
    """Its requests keep to the deadlines that are set when they are made."""
    for transport in (connections._transport, *connections._mounts.values()):
        if isinstance(transport, httpx.HTTPTransport):
            transport._pool._network_backend = _Network()
    return connections


def find_left_s() -> float:
    return _end.get().at - time.monotonic()


@contextmanager
def _cut(timeout: float | None, error: type[httpcore.TimeoutException]) -> Iterator[float | None]:
    """The timeout of a step, or what is left of the time."""
    left_s = find_left_s()
    within_s = left_s if timeout is None else min(timeout, left_s)
    try:
        if within_s <= 0:
            raise error("the deadline has passed")
        yield None if math.isinf(within_s) else within_s
    except httpcore.TimeoutException:
        if _end.get().is_early and within_s == left_s:
            raise TimeIsOver("not all was asked in time: the next run goes on") from None
        raise


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
        with _cut(timeout, httpcore.ConnectTimeout) as within_s:
            return _Stream(
                self._network.connect_tcp(host, port, within_s, local_address, socket_options)
            )


class _Stream(httpcore.NetworkStream):
    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        with _cut(timeout, httpcore.ReadTimeout) as within_s:
            return self._stream.read(max_bytes, within_s)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for start in range(0, len(buffer), WRITTEN_AT_ONCE):
            part = buffer[start : start + WRITTEN_AT_ONCE]
            with _cut(timeout, httpcore.WriteTimeout) as within_s:
                self._stream.write(part, within_s)

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        with _cut(timeout, httpcore.ConnectTimeout) as within_s:
            return _Stream(self._stream.start_tls(ssl_context, server_hostname, within_s))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
