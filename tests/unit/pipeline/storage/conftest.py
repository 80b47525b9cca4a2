"""An S3 server that answers whatever a test wants."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from pipeline.storage import ObjectStore, open_store
from pipeline.storage import s3_connections as connections
from tests.quiet_server import QuietServer

PASSWORD = "very-secret-password"
OF_A_STORE = {"x-amz-request-id": "1"}


@dataclass(frozen=True)
class Answer:
    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=lambda: dict(OF_A_STORE))
    length: int | None = None  # what it says, where that is not so
    closes: bool = False


@dataclass(frozen=True)
class Asked:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


Give = Callable[[Asked], Answer]


class FakeServer(QuietServer):
    def __init__(self, give: Give) -> None:
        super().__init__(_Handler)
        self.give = give
        self.asked: list[Asked] = []

    @property
    def endpoint(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"

    @property
    def url(self) -> str:
        return f"s3+http://capture:{PASSWORD}@{self.endpoint}"

    def open(self) -> ObjectStore:
        return open_store(self.url)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FakeServer

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        asked = Asked(self.command, self.path, dict(self.headers.items()), body)
        self.server.asked.append(asked)
        answer = self.server.give(asked)
        self.send_response_only(answer.status)
        for name, text in answer.headers.items():
            self.send_header(name, text)
        length = len(answer.body) if answer.length is None else answer.length
        if length >= 0:
            self.send_header("content-length", str(length))
        self.end_headers()
        self.wfile.write(answer.body)
        self.close_connection = answer.closes or length != len(answer.body)

    do_GET = do_PUT = do_DELETE = do_HEAD = answer

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing on the terminal."""


Serve = Callable[[Answer | Give], FakeServer]


@pytest.fixture
def serve_store() -> Iterator[Serve]:
    with ExitStack() as servers:

        def start(give: Answer | Give) -> FakeServer:
            if isinstance(give, Answer):
                return start(lambda _: give)
            return servers.enter_context(FakeServer(give))

        yield start


@pytest.fixture
def short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "ANSWER_S", 0.3)
    monkeypatch.setattr(connections, "CONNECT_S", 0.3)


def refusal(status: int, code: str, message: str = "no") -> Answer:
    body = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()
    return Answer(status, body, OF_A_STORE | {"content-type": "application/xml"})
