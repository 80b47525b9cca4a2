"""Fetches from a server that answers with whatever bytes the test wants, as slowly as it wants."""

from __future__ import annotations

import gzip
import socket
import struct
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from pipeline.errors import FetchError
from pipeline.fetch import Fetcher, FetchLimits, Response, Validators
from pipeline.records import Outcome
from pipeline.refusals import parse_retry_after

DEADLINE_S = 0.5
MAX_BYTES = 1_000_000
LIMITS = FetchLimits(deadline_s=DEADLINE_S, max_bytes=MAX_BYTES)
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)

Answer = Callable[[socket.socket], None]


@dataclass
class Server:
    """Gives each request to `answer`, and keeps the connection open if that returns normally."""

    answer: Answer
    requests: list[bytes] = field(default_factory=list)
    connections: list[socket.socket] = field(default_factory=list)
    listener: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.listener.getsockname()[1]}"

    @property
    def url(self) -> str:
        return f"http://{self.address}/camera.jpg"

    def accept(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections.append(connection)
            threading.Thread(target=self.serve, args=[connection], daemon=True).start()

    def serve(self, connection: socket.socket) -> None:
        try:
            while request := read_request(connection):
                self.requests.append(request)
                self.answer(connection)
        except OSError:
            connection.close()

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for connection in self.connections:
            connection.close()


def read_request(connection: socket.socket) -> bytes:
    request = b""
    while not request.endswith(b"\r\n\r\n"):
        chunk = connection.recv(4096)
        if not chunk:
            break
        request += chunk
    return request


@pytest.fixture
def serve() -> Iterator[Callable[[Answer | bytes], Server]]:
    servers: list[Server] = []

    def start(answer: Answer | bytes) -> Server:
        server = Server(
            (lambda connection: connection.sendall(answer)) if isinstance(answer, bytes) else answer
        )
        servers.append(server)
        threading.Thread(target=server.accept, daemon=True).start()
        return server

    yield start
    for server in servers:
        server.close()


Serve = Callable[[Answer | bytes], Server]


def reply(body: bytes, *headers: str, status: str = "200 OK", length: int | None = None) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body) if length is None else length}"]
    return "\r\n".join([*lines, *headers, "", ""]).encode() + body


def drip(connection: socket.socket, data: bytes) -> None:
    for byte in data:
        connection.sendall(bytes([byte]))
        time.sleep(0.02)


def fetch(url: str, validators: Validators | None = None) -> Response:
    return Fetcher(LIMITS, "Traboule/test").fetch(url, validators)


def failure(url: str) -> FetchError:
    with pytest.raises(FetchError) as caught:
        fetch(url)
    return caught.value


def assert_ends_by_the_deadline(url: str) -> None:
    started_s = time.monotonic()
    error = failure(url)
    assert DEADLINE_S * 0.8 < time.monotonic() - started_s < DEADLINE_S + 0.5
    assert error.outcome is Outcome.TIMED_OUT


def test_answer_is_given_with_its_headers_and_its_address(serve: Serve) -> None:
    server = serve(reply(b"pixels", 'ETag: "a1"', "Content-Type: image/jpeg"))
    response = fetch(f"http://me:secret@{server.address}/camera.jpg?t=1")
    assert (response.status, response.body, response.not_modified) == (200, b"pixels", False)
    assert response.headers["etag"] == '"a1"'
    assert response.url == f"http://{server.address}/camera.jpg?t=1"
    assert 0 < response.elapsed_s < DEADLINE_S


def test_request_says_who_asks_and_wants_no_compression(serve: Serve) -> None:
    server = serve(reply(b""))
    fetch(server.url)
    request = server.requests[0].lower()
    assert b"user-agent: traboule/test\r\n" in request
    assert b"accept-encoding: identity\r\n" in request
    assert b"if-none-match" not in request


def test_conditional_get_sends_the_validators_and_takes_304(serve: Serve) -> None:
    server = serve(b'HTTP/1.1 304 Not Modified\r\nETag: "a1"\r\n\r\n')
    response = fetch(server.url, Validators('"a1"', "Sat, 21 Nov 2026 12:00:00 GMT"))
    assert response.not_modified
    assert response.body == b""
    assert b'If-None-Match: "a1"\r\n' in server.requests[0]
    assert b"If-Modified-Since: Sat, 21 Nov 2026 12:00:00 GMT\r\n" in server.requests[0]


def test_unasked_304_is_an_error(serve: Serve) -> None:
    assert failure(serve(b"HTTP/1.1 304 Not Modified\r\n\r\n").url).outcome is Outcome.HTTP_ERROR


def test_folded_etag_can_be_sent_back(serve: Serve) -> None:
    server = serve(reply(b"", 'ETag: "a\r\n b"'))
    etag = fetch(server.url).headers["etag"]
    fetch(server.url, Validators(etag))
    assert b'If-None-Match: "a b"\r\n' in server.requests[1]


def test_connections_are_used_again_and_cookies_are_not_kept(serve: Serve) -> None:
    server = serve(reply(b"x", "Set-Cookie: who=me"))
    fetcher = Fetcher(LIMITS, "Traboule/test")
    for _ in range(3):
        fetcher.fetch(server.url)
    assert len(server.connections) == 1
    assert b"cookie" not in b"".join(server.requests).lower()


def test_pooled_connection_closed_as_it_is_used_again_is_replaced(serve: Serve) -> None:
    def answer_once(connection: socket.socket) -> None:
        if len(server.requests) == 2:
            connection.shutdown(socket.SHUT_RDWR)
        else:
            connection.sendall(reply(b"x"))

    server = serve(answer_once)
    fetcher = Fetcher(LIMITS, "Traboule/test")
    assert [fetcher.fetch(server.url).body for _ in range(2)] == [b"x", b"x"]
    assert (len(server.requests), len(server.connections)) == (3, 2)


def test_body_without_a_length_ends_with_the_connection(serve: Serve) -> None:
    def answer(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\npixels")
        connection.shutdown(socket.SHUT_RDWR)

    assert fetch(serve(answer).url).body == b"pixels"


def test_body_shorter_than_announced_is_a_failure(serve: Serve) -> None:
    def answer(connection: socket.socket) -> None:
        connection.sendall(reply(b"half", length=8))
        connection.shutdown(socket.SHUT_RDWR)

    assert failure(serve(answer).url).outcome is Outcome.UNREACHABLE


def test_body_longer_than_announced_is_cut_and_spoils_no_later_answer(serve: Serve) -> None:
    server = serve(reply(b"pixels" + b"rubbish", length=6))
    fetcher = Fetcher(LIMITS, "Traboule/test")
    assert [fetcher.fetch(server.url).body for _ in range(2)] == [b"pixels", b"pixels"]


def test_gzip_is_decoded_though_nobody_asked(serve: Serve) -> None:
    server = serve(reply(gzip.compress(b"pixels"), "Content-Encoding: gzip"))
    assert fetch(server.url).body == b"pixels"


def test_gzip_bomb_is_refused_within_bounded_memory(serve: Serve) -> None:
    bomb = gzip.compress(bytes(50 * MAX_BYTES))
    server = serve(reply(bomb, "Content-Encoding: gzip"))
    tracemalloc.start()
    error = failure(server.url)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert error.outcome is Outcome.TOO_LARGE
    assert peak_bytes < 4 * MAX_BYTES


def test_broken_gzip_is_an_error(serve: Serve) -> None:
    server = serve(reply(b"not gzip at all", "Content-Encoding: gzip"))
    assert failure(server.url).outcome is Outcome.HTTP_ERROR


@pytest.mark.parametrize("announced", [True, False])
def test_huge_body_is_refused_within_bounded_memory(serve: Serve, announced: bool) -> None:
    sent = []

    def answer(connection: socket.socket) -> None:
        header = b"Content-Length: 100000000\r\n" if announced else b""
        connection.sendall(b"HTTP/1.1 200 OK\r\n" + header + b"\r\n")
        for _ in range(100):
            connection.sendall(block)
            sent.append(len(block))

    block = bytes(MAX_BYTES)
    server = serve(answer)
    tracemalloc.start()
    error = failure(server.url)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert error.outcome is Outcome.TOO_LARGE
    assert peak_bytes < 4 * MAX_BYTES
    assert sum(sent) < 20 * MAX_BYTES


def test_stalled_server_is_left_by_the_deadline(serve: Serve) -> None:
    assert_ends_by_the_deadline(serve(lambda connection: time.sleep(3)).url)


def test_dripped_header_is_left_by_the_deadline(serve: Serve) -> None:
    slow = reply(b"pixels", "X-Slow: " + "x" * 1000)
    assert_ends_by_the_deadline(serve(lambda connection: drip(connection, slow)).url)


@pytest.mark.parametrize("head", [reply(b"", length=1000), b"HTTP/1.1 200 OK\r\n\r\n"])
def test_dripped_body_is_left_by_the_deadline(serve: Serve, head: bytes) -> None:
    def answer(connection: socket.socket) -> None:
        connection.sendall(head)
        drip(connection, bytes(1000))

    assert_ends_by_the_deadline(serve(answer).url)


def test_dripped_answer_on_a_pooled_connection_is_left_by_the_deadline(serve: Serve) -> None:
    def answer(connection: socket.socket) -> None:
        if len(server.requests) == 1:
            connection.sendall(reply(b"x"))
        else:
            drip(connection, reply(b"x", "X-Slow: " + "x" * 1000))

    server = serve(answer)
    fetcher = Fetcher(LIMITS, "Traboule/test")
    fetcher.fetch(server.url)
    started_s = time.monotonic()
    with pytest.raises(FetchError) as caught:
        fetcher.fetch(server.url)
    assert time.monotonic() - started_s < DEADLINE_S + 0.5
    assert caught.value.outcome is Outcome.TIMED_OUT
    assert len(server.connections) == 1


def test_stalled_tls_handshake_is_left_by_the_deadline(serve: Serve) -> None:
    server = serve(lambda connection: None)
    assert_ends_by_the_deadline(f"https://{server.address}/")


def test_server_without_tls_is_unreachable_over_https(serve: Serve) -> None:
    listener = socket.create_server(("127.0.0.1", 0))

    def talk_plainly() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            connection.recv(4096)

    threading.Thread(target=talk_plainly, daemon=True).start()
    error = failure(f"https://127.0.0.1:{listener.getsockname()[1]}/")
    listener.close()
    assert error.outcome is Outcome.UNREACHABLE
    assert "secure" in error.reason


def test_redirects_share_one_deadline(serve: Serve) -> None:
    def answer(connection: socket.socket) -> None:
        time.sleep(DEADLINE_S * 0.6)
        connection.sendall(reply(b"", f"Location: {server.url}", status="302 Found"))

    server = serve(answer)
    assert_ends_by_the_deadline(server.url)


def test_reset_connection_is_unreachable(serve: Serve) -> None:
    def answer(connection: socket.socket) -> None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()

    assert failure(serve(answer).url).outcome is Outcome.UNREACHABLE


def test_refused_connection_is_unreachable_and_shows_no_credentials() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    error = failure(f"http://me:secret@127.0.0.1:{port}/x?key=secret")
    assert error.outcome is Outcome.UNREACHABLE
    assert "127.0.0.1" in error.reason
    assert "secret" not in error.reason


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.org/x",
        "file:///etc/passwd",
        "camera.jpg",
        "",
        "http://",
        "http://[::1",
        "http://127.0.0.1:99999/",
        "http://a..b/",
        "http://" + "a" * 70 + ".example/",
    ],
)
def test_address_that_is_none_is_unreachable(url: str) -> None:
    assert failure(url).outcome is Outcome.UNREACHABLE


@pytest.mark.parametrize("status", ["404 Not Found", "500 Oops", "503 Busy", "300 Choose"])
def test_error_status_is_an_error_that_names_it(serve: Serve, status: str) -> None:
    error = failure(serve(reply(b"sorry", status=status)).url)
    assert error.outcome is Outcome.HTTP_ERROR
    assert status[:3] in error.reason


@pytest.mark.parametrize("status", ["429 Too Many Requests", "503 Busy"])
def test_retry_after_is_a_rate_limit(serve: Serve, status: str) -> None:
    error = failure(serve(reply(b"", "Retry-After: 90", status=status)).url)
    assert (error.outcome, error.retry_after_s) == (Outcome.RATE_LIMITED, 90.0)


def test_429_alone_is_a_rate_limit_without_a_time(serve: Serve) -> None:
    error = failure(serve(reply(b"", status="429 Too Many Requests")).url)
    assert (error.outcome, error.retry_after_s) == (Outcome.RATE_LIMITED, None)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120", 120.0),
        ("-5", 0.0),
        ("999999", 3600.0),
        ("9" * 5000, None),
        (format_datetime(NOW + timedelta(seconds=40), usegmt=True), 40.0),
        (format_datetime(NOW - timedelta(days=1), usegmt=True), 0.0),
        (format_datetime(NOW + timedelta(days=1), usegmt=True), 3600.0),
        ("soon", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after_is_read_and_clamped(text: str | None, seconds: float | None) -> None:
    assert parse_retry_after(text, NOW) == seconds


def test_redirect_is_followed_without_its_body(serve: Serve) -> None:
    def answer(connection: socket.socket) -> None:
        if b"/camera.jpg" in server.requests[-1]:
            connection.sendall(reply(b"", "Location: /new", status="302 Found", length=10**9))
        else:
            connection.sendall(reply(b"pixels"))

    server = serve(answer)
    response = fetch(server.url)
    assert (response.body, response.url) == (b"pixels", f"http://{server.address}/new")


def test_redirect_loop_ends_after_three(serve: Serve) -> None:
    server = serve(reply(b"", "Location: /camera.jpg", status="301 Moved"))
    assert failure(server.url).outcome is Outcome.HTTP_ERROR
    assert len(server.requests) == LIMITS.max_redirects + 1


def test_redirect_to_another_scheme_is_refused(serve: Serve) -> None:
    server = serve(reply(b"", "Location: file:///etc/passwd", status="302 Found"))
    assert failure(server.url).outcome is Outcome.UNREACHABLE


def test_threads_share_a_fetcher(serve: Serve) -> None:
    server = serve(reply(b"x" * 100_000))
    fetcher = Fetcher(LIMITS, "Traboule/test")
    bodies: list[int] = []

    def poll() -> None:
        bodies.extend(len(fetcher.fetch(server.url).body) for _ in range(10))

    threads = [threading.Thread(target=poll) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert bodies == [100_000] * 80
