from __future__ import annotations

import socket
import struct
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from pipeline.records import Outcome
from pipeline.refusals import parse_retry_after
from tests.raw_server import Serve, failure, reply

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def test_broken_gzip_is_an_error(serve: Serve) -> None:
    server = serve(reply(b"not gzip at all", "Content-Encoding: gzip"))
    assert failure(server.url).outcome is Outcome.HTTP_ERROR


def test_server_without_tls_is_unreachable_over_https(serve: Serve) -> None:
    server = serve(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    error = failure(f"https://{server.address}/")
    assert error.outcome is Outcome.UNREACHABLE
    assert "secure" in error.reason


def test_reset_connection_is_unreachable(serve: Serve) -> None:
    def answer(connection: socket.socket) -> None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()

    assert failure(serve(answer).url).outcome is Outcome.UNREACHABLE


def test_refused_connection_is_unreachable_and_shows_no_credentials() -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        port = deaf.getsockname()[1]
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
