"""Connections under a deadline: a watch cuts the socket of the fetch in hand, wherever it stands.

It also refuses, before a request is sent, a public name whose address turns out to be private,
unless it is one that a person vouches for: inside a company its servers may be called so.
"""

from __future__ import annotations

import ipaddress
import os
import queue
import socket
import threading
import time
from contextvars import ContextVar
from functools import partial
from types import TracebackType
from typing import Any, cast

from requests.adapters import HTTPAdapter
from requests.exceptions import InvalidProxyURL
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager, ProxyManager
from urllib3.connection import HTTPConnection, HTTPSConnection

from pipeline.errors import FetchError
from pipeline.records import Outcome

LOCAL_SUFFIXES = (".local", ".lan", ".internal", ".home.arpa", ".localhost")
HOSTS_POOLED = 64
CONNECTIONS_PER_HOST = 32

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_COMPATIBLE = ipaddress.IPv6Network("::/96")
Trusted = frozenset[tuple[str, int]]  # hosts, lower-case, and their ports
Address = tuple[socket.AddressFamily, tuple[Any, ...]]


def is_local(host: str) -> bool:
    """Whether `host` says by itself that it is not on the public internet.

    A private literal address, a name without a dot, or a name under a suffix of local networks.
    """
    name = host.strip("[]").rstrip(".").lower()
    try:
        return not is_global(name)
    except ValueError:
        return "." not in name or name.endswith(LOCAL_SUFFIXES)


def is_global(address: str) -> bool:
    """Whether a literal IP address is a public one; ValueError for anything else."""
    parsed = ipaddress.ip_address(address)
    if isinstance(parsed, ipaddress.IPv6Address):
        if embedded := _embedded_ipv4(parsed):
            return is_global(str(embedded))
        if parsed.is_site_local:
            return False
    return parsed.is_global and not (parsed.is_multicast or parsed.is_reserved)


def _embedded_ipv4(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that a gateway would reach: mapped, 6to4, NAT64 or compatible."""
    if found := address.ipv4_mapped or address.sixtofour:
        return found
    if address in _NAT64 or address in _COMPATIBLE:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return None


class Watch:
    """The deadline of one fetch: when it has passed, the socket in use is shut down."""

    def __init__(self, deadline_s: float) -> None:
        self.expired = False
        self.opened = False  # whether a connection was opened, and not a pooled one used
        self._ends_at = time.monotonic() + deadline_s
        self._lock = threading.Lock()
        self._grip: socket.socket | None = None
        self._timer = threading.Timer(deadline_s, self._cut)
        self._timer.daemon = True

    def __enter__(self) -> Watch:
        self._token = _watch.set(self)
        self._timer.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        _watch.reset(self._token)
        self._timer.cancel()
        self._hold(None)

    @property
    def left_s(self) -> float:
        return max(0.0, self._ends_at - time.monotonic())

    def attach(self, connected: socket.socket) -> None:
        """Watch over `connected`, through a descriptor of its own: TLS takes the first one away."""
        self._hold(socket.socket(fileno=os.dup(connected.fileno())))
        if self.expired:
            self._cut()

    def _hold(self, grip: socket.socket | None) -> None:
        with self._lock:
            if self._grip is not None:
                self._grip.close()
            self._grip = grip

    def _cut(self) -> None:
        with self._lock:
            self.expired = True
            if self._grip is not None:
                try:
                    self._grip.shutdown(socket.SHUT_RDWR)
                except OSError:
                    return  # it is closed already


_watch: ContextVar[Watch | None] = ContextVar("watch", default=None)


def resolve(host: str, port: int, timeout_s: float) -> list[Address]:
    """The addresses of `host`; FetchError when there are none, or none in time.

    A thread asks, because nothing interrupts the system's resolver.
    """
    answers: queue.Queue[list[Address] | OSError | UnicodeError] = queue.Queue(maxsize=1)

    def ask() -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            answers.put([(family, address) for family, _, _, _, address in found])
        except (OSError, UnicodeError) as error:
            answers.put(error)

    threading.Thread(target=ask, daemon=True).start()
    try:
        answer = answers.get(timeout=timeout_s)
    except queue.Empty:
        raise FetchError(Outcome.TIMED_OUT, f"{host}: its name was not resolved in time") from None
    if isinstance(answer, Exception):
        raise FetchError(Outcome.UNREACHABLE, f"{host}: no such host") from answer
    return answer


def connect(host: str, port: int, timeout_s: float, deadline_s: float) -> socket.socket:
    """A connection to `host`: each of its addresses has `timeout_s`, all together `deadline_s`.

    Raises FetchError.
    """
    ends_at = time.monotonic() + deadline_s
    failure: OSError = TimeoutError()
    for family, address in resolve(host.strip("[]"), port, deadline_s):
        left_s = ends_at - time.monotonic()
        if left_s <= 0:
            break
        attempt = socket.socket(family, socket.SOCK_STREAM)
        try:
            attempt.settimeout(min(timeout_s, left_s))
            attempt.connect(address)
            attempt.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return attempt
        except OSError as error:
            attempt.close()
            failure = error
    if isinstance(failure, TimeoutError):
        raise FetchError(Outcome.TIMED_OUT, f"{host}: did not take the connection in time")
    reason = (failure.strerror or "no connection").lower()
    raise FetchError(Outcome.UNREACHABLE, f"{host}: {reason}") from failure


def refuse_private_peer(connected: socket.socket, host: str) -> None:
    """FetchError when the public name `host` led to an address that is not public."""
    peer = connected.getpeername()[0]
    if not is_local(host) and not is_global(peer):
        connected.close()
        raise FetchError(
            Outcome.FORBIDDEN_ADDRESS, f"{host}: a public name, but its address {peer} is private"
        )


class _Watched(HTTPConnection):
    """Tells the watch of the fetch in hand which socket it is about."""

    def __init__(self, *args: Any, trusted: Trusted = frozenset(), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._trusted = trusted

    def _new_conn(self) -> socket.socket:
        watch, timeout_s = _watch.get(), cast(float, self.timeout)
        if watch is None:
            raise RuntimeError("a watched connection is opened inside a fetch")
        watch.opened = True
        connected = connect(self.host, self.port, timeout_s, watch.left_s)
        # Through a proxy the peer is the proxy: who the name leads to is then its business.
        if self.proxy is None and (self.host, self.port) not in self._trusted:
            refuse_private_peer(connected, self.host)
        watch.attach(connected)
        return connected

    def request(self, *args: Any, **kwargs: Any) -> None:
        watch = _watch.get()
        if watch is not None and self.sock is not None:
            watch.attach(self.sock)
        super().request(*args, **kwargs)


class _WatchedTls(_Watched, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Watched


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _WatchedTls


class WatchedAdapter(HTTPAdapter):
    """requests' adapter over watched connections, which it pools; no retries. `trusted`: servers
    whose addresses may be private, whatever their names are."""

    def __init__(self, trusted: Trusted = frozenset()) -> None:
        self._trusted = trusted
        super().__init__(pool_connections=HOSTS_POOLED, pool_maxsize=CONNECTIONS_PER_HOST)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        _watch_over(self.poolmanager, self._trusted)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> ProxyManager:
        if proxy.lower().startswith("socks"):
            raise InvalidProxyURL("SOCKS proxies are not supported")
        manager = cast(ProxyManager, super().proxy_manager_for(proxy, **kwargs))
        _watch_over(manager, self._trusted)
        return manager


def _watch_over(manager: PoolManager, trusted: Trusted) -> None:
    pools = {"http": partial(_Pool, trusted=trusted), "https": partial(_TlsPool, trusted=trusted)}
    manager.pool_classes_by_scheme = cast(dict[str, type[HTTPConnectionPool]], pools)
