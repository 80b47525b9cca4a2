from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
import requests

from pipeline.connections import Watch, WatchedAdapter, connect, is_global, is_local
from pipeline.errors import FetchError
from pipeline.fetch import Fetcher, FetchLimits
from pipeline.records import Outcome
from tests.raw_server import (
    DEADLINE_S,
    HASTY,
    LIMITS,
    MAX_BYTES,
    PATIENCE_S,
    Serve,
    drip,
    failure,
    fetch,
    reply,
)

PUBLIC_NAME = "camera.example.org"
FAR_LESS_S = PATIENCE_S / 2  # than what never comes would be waited for without a deadline
SLOW_HEADER = b"HTTP/1.1 200 OK\r\nX-Slow: " + b"x" * 3000  # dripped, it takes a minute


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(PATIENCE_S)
        yield listener


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "10.1.2.3",
        "192.168.1.5",
        "169.254.169.254",
        "::1",
        "[fe80::1]",
        "::ffff:10.0.0.1",
        "localhost",
        "LOCALHOST.",
        "detection",
        "cam.local",
        "cam.lan",
        "cam.home.arpa",
        "cam.internal",
        "2130706433",
    ],
)
def test_host_that_says_it_is_local(host: str) -> None:
    assert is_local(host)


@pytest.mark.parametrize(
    "host", ["example.org", "8.8.8.8", "2001:4860:4860::8888", "127.1", "local.example.org"]
)
def test_host_that_does_not_say_it_is_local(host: str) -> None:
    assert not is_local(host)


def test_mapped_private_address_is_not_global() -> None:
    for hidden in ("::ffff:127.0.0.1", "2002:7f00:1::", "64:ff9b::7f00:1", "::127.0.0.1", "::1"):
        assert not is_global(hidden)
    for other in ("fec0::1", "ff02::1", "fe80::1", "224.0.0.1", "240.0.0.1"):
        assert not is_global(other)
    assert is_global("::ffff:8.8.8.8")


def lead_to_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every name resolves to 127.0.0.1, as its owner's DNS may say at any time."""
    ask = socket.getaddrinfo

    def resolve(host: str, port: int, *args: int, **kwargs: int) -> list[object]:
        return list(ask("127.0.0.1", port, *args, **kwargs))

    monkeypatch.setattr("pipeline.connections.socket.getaddrinfo", resolve)


def redirect(url: str) -> bytes:
    return reply(b"", f"Location: {url}", status="302 Found")


def test_public_name_of_a_private_address_gets_no_request(
    monkeypatch: pytest.MonkeyPatch, listener: socket.socket
) -> None:
    lead_to_loopback(monkeypatch)
    port = listener.getsockname()[1]
    assert failure(f"http://{PUBLIC_NAME}:{port}/").outcome is Outcome.FORBIDDEN_ADDRESS
    assert failure(f"https://{PUBLIC_NAME}:{port}/").outcome is Outcome.FORBIDDEN_ADDRESS
    for _ in range(2):
        connection, _ = listener.accept()
        with connection:
            assert connection.recv(100) == b""


def ask(adapter: WatchedAdapter, url: str) -> bytes:
    with requests.Session() as session, Watch(PATIENCE_S):
        session.mount("http://", adapter)
        return session.get(url, timeout=PATIENCE_S).content


def test_trusted_server_may_have_a_private_address_and_no_other_may(
    monkeypatch: pytest.MonkeyPatch, serve: Serve
) -> None:
    lead_to_loopback(monkeypatch)
    port = serve(reply(b"ok")).port
    url = f"http://{PUBLIC_NAME}:{port}/"
    assert ask(WatchedAdapter(frozenset({(PUBLIC_NAME, port)})), url) == b"ok"
    for others in ({(PUBLIC_NAME, port + 1)}, {("example.net", port)}):
        with pytest.raises(FetchError):
            ask(WatchedAdapter(frozenset(others)), url)


def test_redirect_from_a_local_host_to_a_public_name_of_a_private_address_is_refused(
    monkeypatch: pytest.MonkeyPatch, serve: Serve
) -> None:
    lead_to_loopback(monkeypatch)
    server = serve(lambda connection: connection.sendall(redirect(there)))
    there = f"http://{PUBLIC_NAME}:{server.port}/"
    assert failure(f"http://localhost:{server.port}/").outcome is Outcome.FORBIDDEN_ADDRESS
    assert len(server.requests) == 1


@pytest.mark.parametrize("target", ["127.0.0.1", "localhost", "[::1]", "minio"])
def test_redirect_from_a_public_name_to_a_local_host_is_refused(
    monkeypatch: pytest.MonkeyPatch, serve: Serve, target: str
) -> None:
    lead_to_loopback(monkeypatch)
    # The check of the peer is another test's: here the server is a public one.
    monkeypatch.setattr("pipeline.connections.refuse_private_peer", lambda *_: None)
    server = serve(lambda connection: connection.sendall(redirect(there)))
    there = f"http://{target}:{server.port}/"
    assert failure(f"http://{PUBLIC_NAME}:{server.port}/").outcome is Outcome.FORBIDDEN_ADDRESS
    assert len(server.requests) == 1


def test_proxy_is_asked_for_a_public_name_and_its_own_address_may_be_private(
    monkeypatch: pytest.MonkeyPatch, serve: Serve
) -> None:
    monkeypatch.setenv("http_proxy", f"http://{serve(reply(b'ok')).address}")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    assert fetch(f"http://{PUBLIC_NAME}/").body == b"ok"


def test_stalled_proxy_is_left_by_the_deadline(
    monkeypatch: pytest.MonkeyPatch, listener: socket.socket
) -> None:
    monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{listener.getsockname()[1]}")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    assert_ends_by_the_deadline(f"https://{PUBLIC_NAME}/")


def test_slow_resolver_is_left_by_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    is_left = threading.Event()

    def resolve_slowly(*_: object, **__: object) -> list[object]:
        is_left.wait(FAR_LESS_S)
        raise OSError("whoever waits for it meets another outcome")

    monkeypatch.setattr("pipeline.connections.socket.getaddrinfo", resolve_slowly)
    with pytest.raises(FetchError) as caught:
        connect(PUBLIC_NAME, 80, timeout_s=PATIENCE_S, deadline_s=0.2)
    is_left.set()
    assert caught.value.outcome is Outcome.TIMED_OUT


def test_connection_nobody_accepts_is_left_by_the_deadline() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = [socket.socket() for _ in range(3)]
        for one in waiting:  # fill the queue of connections to be accepted
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        started_s = time.monotonic()
        with pytest.raises(FetchError) as caught:
            connect("127.0.0.1", full.getsockname()[1], timeout_s=PATIENCE_S, deadline_s=0.3)
        for one in waiting:
            one.close()
    assert time.monotonic() - started_s < FAR_LESS_S
    assert caught.value.outcome is Outcome.TIMED_OUT


def test_watch_attached_after_its_deadline_cuts_at_once() -> None:
    here, there = socket.socketpair()
    with here, there, Watch(0.01) as watch:
        watch._timer.join()
        watch.attach(here)
        there.settimeout(PATIENCE_S)
        assert there.recv(1) == b""


def assert_ends_by_the_deadline(url: str, limits: FetchLimits = HASTY) -> None:
    started_s = time.monotonic()
    error = failure(url, limits)
    assert DEADLINE_S * 0.8 < time.monotonic() - started_s < FAR_LESS_S
    assert error.outcome is Outcome.TIMED_OUT


def test_stalled_server_is_left_by_the_deadline(serve: Serve) -> None:
    assert_ends_by_the_deadline(serve(b"").url)


def test_dripped_header_is_left_by_the_deadline(serve: Serve) -> None:
    assert_ends_by_the_deadline(serve(lambda connection: drip(connection, SLOW_HEADER)).url)


@pytest.mark.parametrize("head", [reply(b"", length=MAX_BYTES), b"HTTP/1.1 200 OK\r\n\r\n"])
def test_dripped_body_is_left_by_the_deadline(serve: Serve, head: bytes) -> None:
    def answer(connection: socket.socket) -> None:
        connection.sendall(head)
        drip(connection, bytes(3000))

    assert_ends_by_the_deadline(serve(answer).url)


def test_dripped_answer_on_a_pooled_connection_is_left_by_the_deadline(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(connection: socket.socket) -> None:
        if len(server.requests) == 1:
            connection.sendall(reply(b"x"))
        else:
            drip(connection, SLOW_HEADER)

    server = serve(answer)
    fetcher = Fetcher(LIMITS, "Traboule/test")
    fetcher.fetch(server.url)
    monkeypatch.setattr(fetcher, "_limits", HASTY)
    started_s = time.monotonic()
    with pytest.raises(FetchError) as caught:
        fetcher.fetch(server.url)
    assert time.monotonic() - started_s < FAR_LESS_S
    assert caught.value.outcome is Outcome.TIMED_OUT
    assert len(server.connections) == 1


def test_stalled_tls_handshake_is_left_by_the_deadline(serve: Serve) -> None:
    assert_ends_by_the_deadline(f"https://{serve(b'').address}/")


def test_redirects_share_one_deadline(serve: Serve) -> None:
    def answer(connection: socket.socket) -> None:
        time.sleep(DEADLINE_S * 0.6)
        connection.sendall(redirect(server.url))

    server = serve(answer)
    assert_ends_by_the_deadline(server.url, replace(HASTY, max_redirects=50))
