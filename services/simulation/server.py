"""The city over HTTP: pictures, the list of cameras, the truth, and misbehaviour on demand."""

from __future__ import annotations

import contextlib
import socket
import sys
import threading
from collections import Counter
from http.server import ThreadingHTTPServer
from types import TracebackType
from typing import Any

from services.simulation.city import City, Frame
from services.simulation.handler import CityHandler
from services.simulation.misbehaviour import Misbehaviour, Pace


class CityServer(ThreadingHTTPServer):
    """Serves a city from daemon threads until it is closed; also a context manager.

    `requests` counts the requests for each camera's picture, `sent` each misbehaviour by camera.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, city: City, address: tuple[str, int], pace: Pace) -> None:
        super().__init__(address, CityHandler)
        self.city, self.pace = city, pace
        self.requests: Counter[str] = Counter()
        self.sent: Counter[tuple[str, Misbehaviour]] = Counter()
        self.closing = threading.Event()
        self._counting = threading.Lock()
        self._connections: set[socket.socket] = set()  # kept alive ones would outlive the server
        self._misbehaviours: dict[str, Misbehaviour | None] = {}
        self._frozen: dict[str, Frame] = {}
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        host, port = self.server_address[:2]
        return f"http://{host!s}:{port}"

    def camera_url(self, camera_id: str) -> str:
        return f"{self.url}/camera/{camera_id}.jpg"

    def misbehave(self, camera_id: str, kind: Misbehaviour | None) -> None:
        """From now on; None behaves again. KeyError for a camera that the city does not have."""
        self.city.camera(camera_id)
        self._frozen.pop(camera_id, None)
        if kind is Misbehaviour.SAME_BYTES:
            self._frozen[camera_id] = self.city.frame(camera_id)
        self._misbehaviours[camera_id] = kind

    def misbehaviour(self, camera_id: str) -> Misbehaviour | None:
        """What a camera does wrong now."""
        return self._misbehaviours.get(camera_id)

    def frame(self, camera_id: str) -> Frame:
        """The frame to send: that of the moment, or the one that the camera is stuck at."""
        return self._frozen.get(camera_id) or self.city.frame(camera_id)

    def count(self, camera_id: str, kind: Misbehaviour | None) -> None:
        """One more request for a camera's picture, answered like this."""
        with self._counting:
            self.requests[camera_id] += 1
            if kind:
                self.sent[camera_id, kind] += 1

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Ends every answer under way; safe to call twice."""
        if self.closing.is_set():
            return
        self.closing.set()
        self.shutdown()
        self._thread.join()
        self.server_close()
        with self._counting:
            for connection in self._connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._counting:
            self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._counting:
            self._connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is nothing to report."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)

    def __enter__(self) -> CityServer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def serve(
    city: City, host: str = "127.0.0.1", port: int = 0, *, pace: Pace | None = None
) -> CityServer:
    """Starts to serve at once; port 0 takes any free one. OSError where the port is taken."""
    server = CityServer(city, (host, port), pace or Pace())
    server.start()
    return server
