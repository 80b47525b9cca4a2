from __future__ import annotations

import base64
import gzip
import socket
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipeline.fetch import Fetcher, Validators
from pipeline.records import Outcome
from tests.raw_server import LIMITS, MAX_BYTES, Serve, failure, fetch, reply


def test_answer_is_given_with_its_headers_and_its_address(serve: Serve) -> None:
    server = serve(reply(b"pixels", 'ETag: "a1"', "Content-Type: image/jpeg"))
    response = fetch(f"http://me:secret@{server.address}/camera.jpg?t=1")
    assert (response.status, response.body, response.not_modified) == (200, b"pixels", False)
    assert response.headers["etag"] == '"a1"'
    assert response.url == f"http://{server.address}/camera.jpg?t=1"
    assert response.elapsed_s > 0


def test_request_says_who_asks_and_wants_no_compression(serve: Serve) -> None:
    server = serve(reply(b""))
    fetch(server.url)
    request = server.requests[0].lower()
    assert b"user-agent: traboule/test\r\n" in request
    assert b"accept-encoding: identity\r\n" in request
    assert b"if-none-match" not in request


def test_credentials_are_those_of_the_address_and_never_of_netrc(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password of-netrc\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    server = serve(reply(b""))
    fetch(server.url)
    assert b"authorization" not in server.requests[0].lower()
    fetch(f"http://me:secret@{server.address}/")
    assert base64.b64encode(b"me:secret") in server.requests[1]


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


@pytest.mark.parametrize("announced", [True, False])
def test_huge_body_is_refused_within_bounded_memory(serve: Serve, announced: bool) -> None:
    sent: list[int] = []

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


@pytest.mark.parametrize("target", ["http://[::1", "http://:99999999/", "\xff\xfe"])
def test_redirect_to_no_address_is_a_failure(serve: Serve, target: str) -> None:
    head = f"HTTP/1.1 302 Found\r\nLocation: {target}\r\nContent-Length: 0\r\n\r\n"
    assert failure(serve(head.encode("latin-1")).url).outcome in (
        Outcome.HTTP_ERROR,
        Outcome.UNREACHABLE,
    )


def test_threads_share_a_fetcher(serve: Serve) -> None:
    server = serve(reply(b"x" * 100_000))
    fetcher = Fetcher(LIMITS, "Traboule/test")

    def poll(_: int) -> list[int]:
        return [len(fetcher.fetch(server.url).body) for _ in range(10)]

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(poll, range(8))) == [[100_000] * 10] * 8


def test_authorization_is_for_the_first_address_alone(serve: Serve) -> None:
    elsewhere = serve(reply(b"pixels"))
    server = serve(reply(b"", f"Location: {elsewhere.url}", status="302 Found"))
    fetcher = Fetcher(LIMITS, "Traboule/test")
    assert fetcher.fetch(server.url, authorization="Token t0ken").body == b"pixels"
    assert b"Authorization: Token t0ken\r\n" in server.requests[0]
    assert b"t0ken" not in elsewhere.requests[0]
    fetcher.fetch(elsewhere.url)
    assert b"uthorization" not in elsewhere.requests[1]
