from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from tests.raw_server import Answer, Serve, Server


@pytest.fixture
def serve() -> Iterator[Serve]:
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
