from __future__ import annotations

import gzip
import socket
import traceback
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from pipeline.errors import FetchError, UserError
from pipeline.fetch import FetchLimits
from pipeline.records import Outcome
from services.labeling.fetching.session import (
    CHUNK_BYTES,
    Download,
    Patience,
    PatientSession,
    ServerFailed,
)
from tests.raw_server import Server, drip, reply
from tests.studio_stand_in import PERSONAL_TOKEN, stand_in_studio

LIMITS = FetchLimits(deadline_s=60, max_bytes=100_000)
HASTY = FetchLimits(deadline_s=0.5, max_bytes=100_000)
SECRET = {"Authorization": "Token sesame"}


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server(lambda connection: connection.sendall(reply(b"hello", "X-Kind: a")))
    yield made
    made.close()


@pytest.fixture
def session() -> Iterator[PatientSession]:
    made = PatientSession(LIMITS)
    yield made
    made.close()


def failure(session: PatientSession, url: str) -> FetchError:
    with pytest.raises(FetchError) as caught:
        session.ask(url, SECRET)
    return caught.value


def test_answer_is_given_and_the_headers_sent(server: Server, session: PatientSession) -> None:
    answer = session.ask(server.url, SECRET)
    assert (answer.status, answer.body, answer.location) == (200, b"hello", None)
    assert b"Authorization: Token sesame\r\n" in server.requests[0]


def test_json_is_posted(session: PatientSession) -> None:
    with stand_in_studio() as studio:
        posted = {"refresh": PERSONAL_TOKEN}
        answer = session.ask(f"{studio.url}/api/token/refresh/", {}, posted)
    assert (answer.status, b"access" in answer.body) == (200, True)


@pytest.mark.parametrize("status", ["301 Moved", "401 No", "403 No", "404 No", "204 Nothing"])
def test_answer_below_500_is_given_and_no_redirect_followed(
    server: Server, session: PatientSession, status: str
) -> None:
    server.answer = lambda connection: connection.sendall(
        reply(b"", "Location: /elsewhere", status=status)
    )
    answer = session.ask(server.url, SECRET)
    assert (answer.status, answer.location) == (int(status[:3]), "/elsewhere")
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        ("429 Slowly", Outcome.RATE_LIMITED),
        ("500 Broken", Outcome.HTTP_ERROR),
        ("503 Later", Outcome.HTTP_ERROR),
    ],
)
def test_failure_of_the_server_is_an_error(
    server: Server, session: PatientSession, status: str, outcome: Outcome
) -> None:
    server.answer = lambda connection: connection.sendall(
        reply(b"<html>", "Retry-After: 7", status=status)
    )
    error = failure(session, server.url)
    assert isinstance(error, ServerFailed)
    assert (error.outcome, error.status, error.retry_after_s) == (outcome, int(status[:3]), 7.0)


def test_dripped_header_and_body_end_by_the_deadline(server: Server) -> None:
    """They would end by themselves, after twenty seconds."""
    for data in (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200, reply(b"x" * 1000)):

        def answer(connection: socket.socket, data: bytes = data) -> None:
            drip(connection, data)

        server.answer = answer
        with closing(PatientSession(HASTY)) as session:
            assert failure(session, server.url).outcome is Outcome.TIMED_OUT


def test_too_large_an_answer_is_cut_off(server: Server, session: PatientSession) -> None:
    bomb = gzip.compress(bytes(5_000_000))
    for data in (reply(bytes(100_001)), reply(bomb, "Content-Encoding: gzip")):
        server.answer = lambda connection, data=data: connection.sendall(data)  # type: ignore[misc]
        assert failure(session, server.url).outcome is Outcome.TOO_LARGE


def test_pooled_connection_that_was_closed_is_replaced(
    server: Server, session: PatientSession
) -> None:
    def answer(connection: socket.socket) -> None:
        if len(server.requests) == 2:
            connection.shutdown(socket.SHUT_RDWR)
        else:
            connection.sendall(reply(b"x"))

    server.answer = answer
    assert [session.ask(server.url, {}).body for _ in range(2)] == [b"x", b"x"]


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://a/b", "http://[", "gopher://a:b/"])
def test_other_addresses_are_refused(session: PatientSession, url: str) -> None:
    assert failure(session, url).outcome is Outcome.UNREACHABLE


def test_no_error_shows_the_request(server: Server, session: PatientSession) -> None:
    server.answer = lambda connection: connection.shutdown(socket.SHUT_RDWR)
    for url in (f"{server.url}?X-Amz-Signature=sesame", "http://127.0.0.1:9/?k=sesame"):
        told = "".join(traceback.format_exception(failure(session, url), chain=True))
        assert "FetchError" in told
        assert "sesame" not in told


def test_answer_longer_than_the_limit_goes_into_a_file(
    server: Server, session: PatientSession, tmp_path: Path
) -> None:
    long = bytes(range(256)) * 1_000
    server.answer = lambda connection: connection.sendall(reply(long))
    with (tmp_path / "file").open("w+b") as file:
        answer = session.ask(server.url, SECRET, into=Download(file))
        file.seek(0)
        assert (answer.status, answer.body, file.read()) == (200, b"", long)


def test_file_has_limits_of_its_own(
    server: Server, session: PatientSession, tmp_path: Path
) -> None:
    server.answer = lambda connection: connection.sendall(reply(bytes(2_001)))
    with (tmp_path / "file").open("w+b") as file, pytest.raises(FetchError) as caught:
        session.ask(server.url, {}, into=Download(file, FetchLimits(max_bytes=2_000)))
    assert caught.value.outcome is Outcome.TOO_LARGE
    server.answer = lambda connection: drip(connection, reply(b"x" * 1000))
    with (tmp_path / "file").open("w+b") as file, pytest.raises(FetchError) as caught:
        session.ask(server.url, {}, into=Download(file, FetchLimits(deadline_s=0.3)))
    assert caught.value.outcome is Outcome.TIMED_OUT


def test_what_is_no_success_does_not_go_into_the_file(
    server: Server, session: PatientSession, tmp_path: Path
) -> None:
    server.answer = lambda connection: connection.sendall(reply(b"{}", status="404 No"))
    with (tmp_path / "file").open("w+b") as file:
        assert session.ask(server.url, {}, into=Download(file)).body == b"{}"
        assert file.tell() == 0
        server.answer = lambda connection: connection.sendall(
            reply(bytes(100_001), status="404 No")
        )
        with pytest.raises(FetchError):
            session.ask(server.url, {}, into=Download(file))


def test_disk_that_is_full_is_not_the_servers_failure(
    server: Server, session: PatientSession
) -> None:
    with (
        Path("/dev/full").open("wb", buffering=0) as file,
        pytest.raises(UserError, match="No space"),
    ):
        session.ask(server.url, {}, into=Download(file))


def test_request_and_every_chunk_are_signs_of_life(server: Server) -> None:
    server.answer = lambda connection: connection.sendall(reply(bytes(CHUNK_BYTES + 1)))
    signs: list[int] = []
    session = PatientSession(LIMITS, alive=lambda: signs.append(1))
    session.ask(server.url, {})
    session.close()
    assert len(signs) == 3


def waits_of(failures: list[FetchError], patience: Patience) -> list[float]:
    """What a session waits that meets `failures` and then succeeds."""
    waits: list[float] = []
    left = list(failures)

    def action() -> str:
        if left:
            raise left.pop(0)
        return "done"

    slow = Patience(patience.attempts, patience.wait_s, patience.longest_wait_s, waits.append)
    assert PatientSession(LIMITS, slow).retry(action) == "done"
    return waits


def test_waits_are_doubled_and_as_long_as_asked_within_bounds() -> None:
    timed_out = FetchError(Outcome.TIMED_OUT, "late")
    patience = Patience(attempts=5, wait_s=1.0, longest_wait_s=6.0)
    assert waits_of([timed_out] * 4, patience) == [1.0, 2.0, 4.0, 6.0]
    assert waits_of([ServerFailed("x", 429, 5.0)], patience) == [5.0]
    assert waits_of([ServerFailed("x", 503, 3600.0)], patience) == [6.0]


def test_patience_ends() -> None:
    with pytest.raises(ServerFailed):
        waits_of([ServerFailed("x", 503, None)] * 4, Patience(attempts=4))


def test_plain_500_is_asked_once_more_only() -> None:
    patience = Patience(attempts=4)
    assert waits_of([ServerFailed("x", 500, None)], patience) == [1.0]
    with pytest.raises(ServerFailed):
        waits_of([ServerFailed("x", 500, None)] * 2, patience)


@pytest.mark.parametrize(
    "outcome", [Outcome.HTTP_ERROR, Outcome.TOO_LARGE, Outcome.FORBIDDEN_ADDRESS]
)
def test_what_will_not_pass_is_not_tried_again(outcome: Outcome) -> None:
    with pytest.raises(FetchError):
        waits_of([FetchError(outcome, "no")], Patience())
