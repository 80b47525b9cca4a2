from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress

import pytest

from services.labeling.studio import transport
from services.labeling.studio.deadlines import ending_by
from services.labeling.studio.failures import StudioRefused, StudioUnavailable
from services.labeling.studio.transport import Credentials, TooLarge, Transport, open_connections
from tests.stub_studio import Received, Reply, Stub, running_stub


class Shown(Credentials):
    """A token that is renewed when it is forgotten."""

    def __init__(self, *tokens: str) -> None:
        self.tokens = list(tokens)

    def headers(self) -> Mapping[str, str]:
        return {"Authorization": f"Token {self.tokens[0]}"}

    def forget(self) -> bool:
        return len(self.tokens) > 1 and bool(self.tokens.pop(0))


@contextmanager
def transport_to(url: str, *tokens: str) -> Iterator[Transport]:
    with closing(open_connections(url)) as connections:
        yield Transport(url, connections, Shown(*(tokens or ("secret",))))


def tokens_shown(stub: Stub) -> list[str | None]:
    return [received.headers.get("authorization") for received in stub.received]


def test_request_is_sent_with_its_parts() -> None:
    with running_stub(Reply({"a": 1})) as stub, transport_to(stub.url) as asked:
        assert asked.ask("POST", "/x", params={"q": "é"}, body=[{"b": "ü"}]) == {"a": 1}
        asked.ask("GET", "/y", anonymous=True)
    first, second = stub.received
    assert (first.method, first.path) == ("POST", "/x?q=%C3%A9")
    assert first.body == b'[{"b": "\\u00fc"}]'
    assert first.headers["content-type"] == "application/json"
    assert first.headers["authorization"] == "Token secret"
    assert "authorization" not in second.headers


def test_refused_token_is_renewed_once() -> None:
    def answer(received: Received) -> Reply:
        if received.headers["authorization"] == "Token new":
            return Reply({"id": 1})
        return Reply({"detail": "Invalid token."}, status=401)

    with running_stub(answer) as stub:
        with transport_to(stub.url, "old", "new") as asked:
            assert asked.ask("POST", "/", body={"x": 1}) == {"id": 1}
        with (
            transport_to(stub.url, "old", "older", "oldest") as asked,
            pytest.raises(StudioRefused),
        ):
            asked.ask("GET", "/")
    assert tokens_shown(stub) == ["Token old", "Token new", "Token old", "Token older"]
    assert stub.received[1].body == b'{"x": 1}'


@pytest.mark.parametrize("reply", [Reply({}, status=500), Reply(b"<html>", 502), Reply(cut=True)])
def test_failed_request_is_not_repeated(reply: Reply) -> None:
    """Half of an import that failed may have been carried out."""
    with (
        running_stub(reply) as stub,
        transport_to(stub.url) as asked,
        pytest.raises(StudioUnavailable),
    ):
        asked.ask("POST", "/import", body=[])
    assert len(stub.received) == 1


def test_redirect_is_not_followed() -> None:
    with running_stub(Reply({})) as target:
        reply = Reply(status=301, headers=(("Location", target.url + "/api"),))
        with (
            running_stub(reply) as stub,
            transport_to(stub.url) as asked,
            pytest.raises(StudioRefused, match=f"redirects to {target.url}"),
        ):
            asked.ask("GET", "/api")
    assert target.received == []


def test_answer_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "MAX_ANSWER_BYTES", 1_000)
    with (
        running_stub(Reply("x" * 2_000)) as stub,
        transport_to(stub.url) as asked,
        pytest.raises(TooLarge),
    ):
        asked.ask("GET", "/")


@contextmanager
def dripping(first: bytes, then: bytes) -> Iterator[str]:
    """A server's address, which answers so: every 20 ms another `then`."""

    def drip() -> None:
        with suppress(OSError):
            connection, _ = listener.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(first)
                while True:
                    connection.sendall(then)
                    time.sleep(0.02)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=drip, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            listener.shutdown(socket.SHUT_RDWR)  # nobody may have come
            thread.join()


@pytest.mark.parametrize(
    ("first", "then"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", b" "),
        (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
        (b"", b"H"),
    ],
)
def test_dripping_answer_is_left(
    monkeypatch: pytest.MonkeyPatch, first: bytes, then: bytes
) -> None:
    monkeypatch.setattr(transport, "DEADLINE_S", 0.2)
    with (
        dripping(first, then) as url,
        transport_to(url) as asked,
        pytest.raises(StudioUnavailable, match="in time"),
    ):
        asked.ask("GET", "/")


def test_deadline_holds_for_a_connection_that_was_used_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    released = threading.Event()

    def answer(received: Received) -> Reply:
        if received.path == "/slow":
            released.wait(60)
        return Reply({})

    with running_stub(answer) as stub, transport_to(stub.url) as asked:
        asked.ask("GET", "/")
        with monkeypatch.context() as hurry:
            hurry.setattr(transport, "DEADLINE_S", 0.1)
            with pytest.raises(StudioUnavailable, match="in time"):
                asked.ask("GET", "/slow")
        released.set()
        asked.ask("GET", "/")


def test_time_that_is_over_is_no_time_for_a_request() -> None:
    with (
        running_stub(Reply({})) as stub,
        transport_to(stub.url) as asked,
        ending_by(time.monotonic()),
        pytest.raises(StudioUnavailable, match="in time"),
    ):
        asked.ask("GET", "/")
    assert stub.received == []


def test_new_token_and_second_request_are_within_one_deadline(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def answer(received: Received) -> Reply:
        time.sleep(0.2)
        return Reply({"detail": "Invalid token."}, status=401)

    monkeypatch.setattr(transport, "DEADLINE_S", 0.3)
    with (
        running_stub(answer) as stub,
        transport_to(stub.url, "old", "new") as asked,
        pytest.raises(StudioUnavailable, match="in time"),
    ):
        asked.ask("GET", "/")


def test_silent_server_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "ANSWER_TIMEOUT_S", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with transport_to(url) as asked, pytest.raises(StudioUnavailable, match="in time"):
            asked.ask("GET", "/")


def test_closed_port_is_unavailable() -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        with (
            transport_to(url) as asked,
            pytest.raises(StudioUnavailable, match="cannot be reached"),
        ):
            asked.ask("GET", "/")


def test_what_json_cannot_hold_is_refused() -> None:
    with transport_to("http://127.0.0.1:1") as asked, pytest.raises(StudioRefused, match="JSON"):
        asked.ask("POST", "/", body={"score": float("nan")})
