"""A server that answers with whatever bytes a test wants, as slowly as it wants."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace

import pytest

from pipeline.errors import FetchError
from pipeline.fetch import Fetcher, FetchLimits, Response, Validators

PATIENCE_S = 60  # for what comes
DEADLINE_S = 0.5  # for what never comes
MAX_BYTES = 1_000_000
LIMITS = FetchLimits(PATIENCE_S, PATIENCE_S, PATIENCE_S, MAX_BYTES)
HASTY = replace(LIMITS, deadline_s=DEADLINE_S)
_TLS_HANDSHAKE = b"\x16"

Answer = Callable[[socket.socket], None]


@dataclass
class Server:
    """Gives each request to `answer`, and keeps the connection open if that returns normally."""

    answer: Answer
    requests: list[bytes] = field(default_factory=list)
    connections: list[socket.socket] = field(default_factory=list)
    listener: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))

    def __post_init__(self) -> None:
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    @property
    def port(self) -> int:
        return int(self.listener.getsockname()[1])

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"http://{self.address}/camera.jpg"

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections.append(connection)
            threading.Thread(target=self._serve, args=[connection], daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            while request := read_request(connection):
                self.requests.append(request)
                self.answer(connection)
        except OSError:
            connection.close()

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self._accepting.join()  # after it no connection comes that nobody would close
        self.listener.close()
        for connection in self.connections:
            connection.close()


def read_request(connection: socket.socket) -> bytes:
    request = b""
    while not (request.endswith(b"\r\n\r\n") or request.startswith(_TLS_HANDSHAKE)):
        chunk = connection.recv(4096)
        if not chunk:
            break
        request += chunk
    return request


Serve = Callable[[Answer | bytes], Server]


@contextmanager
def start_servers() -> Iterator[Serve]:
    """Gives what starts one; all are closed at the end."""
    with ExitStack() as servers:

        def start(answer: Answer | bytes) -> Server:
            if isinstance(answer, bytes):
                return start(lambda connection: connection.sendall(answer))
            return servers.enter_context(closing(Server(answer)))

        yield start


def reply(body: bytes, *headers: str, status: str = "200 OK", length: int | None = None) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body) if length is None else length}"]
    return "\r\n".join([*lines, *headers, "", ""]).encode() + body


def drip(connection: socket.socket, data: bytes) -> None:
    for byte in data:
        connection.sendall(bytes([byte]))
        time.sleep(0.02)


def fetch(url: str, validators: Validators | None = None) -> Response:
    return Fetcher(LIMITS, "Traboule/test").fetch(url, validators)


def failure(url: str, limits: FetchLimits = LIMITS) -> FetchError:
    with pytest.raises(FetchError) as caught:
        Fetcher(limits, "Traboule/test").fetch(url)
    return caught.value
