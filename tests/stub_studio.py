"""An HTTP server that answers as a test says, for what no Label Studio in good health does."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.quiet_server import QuietServer


@dataclass(frozen=True)
class Reply:
    """`body`: bytes as they are, anything else as JSON."""

    body: Any = None
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    cut: bool = False  # close the connection instead of answering


@dataclass(frozen=True)
class Received:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Stub:
    url: str
    received: list[Received] = field(default_factory=list)
    answer: Callable[[Received], Reply] = lambda received: Reply({})


@contextmanager
def running_stub(answer: Callable[[Received], Reply] | Reply) -> Iterator[Stub]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = self.rfile.read(length)
            received = Received(self.command, self.path, headers, body)
            stub.received.append(received)
            self.reply(stub.answer(received))

        do_GET = do_POST = do_PATCH = do_DELETE = do_HEAD = handle_any

        def reply(self, reply: Reply) -> None:
            if reply.cut:
                self.close_connection = True
                return
            body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
            self.send_response(reply.status)
            for name, value in reply.headers:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with QuietServer(Handler) as server:
        stub = Stub(server.url)
        stub.answer = answer if callable(answer) else lambda received: answer
        yield stub
