"""One request to the city: its routes, and answers that go as wrong as they were told to."""

from __future__ import annotations

import dataclasses
import json
import socket
import struct
import time
from collections.abc import Callable, Iterable
from email.utils import formatdate, parsedate_to_datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING

from services.simulation.city import Frame
from services.simulation.folder import JPEG, PNG
from services.simulation.misbehaviour import (
    RETRY_AFTER_S,
    Misbehaviour,
    build_jpeg_bomb,
    build_png_bomb,
    draw_placeholder,
    stream_huge_body,
    truncate,
)

if TYPE_CHECKING:
    from services.simulation.server import CityServer

JSON = "application/json"
LONGEST_COMMAND_BYTES = 100


class CityHandler(BaseHTTPRequestHandler):
    """GET /cameras.json, /camera/ID.jpg, /truth/ID.json, /health; PUT /misbehave/ID with a kind.

    PUT with an empty body makes the camera behave again.
    """

    server: CityServer
    protocol_version = "HTTP/1.1"
    server_version = "TrabouleCity"
    disable_nagle_algorithm = True  # a dripped byte is a packet
    timeout = 60  # of an idle connection

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        folder, _, name = path.strip("/").partition("/")
        camera_id, _, suffix = name.rpartition(".")
        if path == "/cameras.json":
            self._send_json(self._list_cameras())
        elif path == "/health":
            self._send(HTTPStatus.NO_CONTENT)  # nothing is drawn for it
        elif camera_id not in self.server.city.camera_ids:
            self.send_error(HTTPStatus.NOT_FOUND)
        elif (folder, suffix) == ("camera", "jpg"):
            self._send_picture(camera_id)
        elif (folder, suffix) == ("truth", "json"):
            self._send_truth(camera_id)
        else:
            self.send_error(HTTPStatus.NOT_FOUND)

    def do_PUT(self) -> None:
        length = self.headers.get("Content-Length") or "0"
        if not length.isdecimal() or int(length) > LONGEST_COMMAND_BYTES:
            self.close_connection = True
            self.send_error(HTTPStatus.BAD_REQUEST)
            return
        kind = self.rfile.read(int(length)).decode("ascii", "replace").strip()
        folder, _, camera_id = self.path.strip("/").partition("/")
        if folder != "misbehave" or camera_id not in self.server.city.camera_ids:
            self.send_error(HTTPStatus.NOT_FOUND)
        elif kind and kind not in set(Misbehaviour):
            self.send_error(HTTPStatus.BAD_REQUEST, f"one of: {', '.join(Misbehaviour)}")
        else:
            self.server.misbehave(camera_id, Misbehaviour(kind) if kind else None)
            self._send(HTTPStatus.NO_CONTENT)

    def log_message(self, format: str, *args: object) -> None:
        """Silent: the pipeline's own log says what it asked for."""

    def _list_cameras(self) -> list[dict[str, object]]:
        """Addresses are those that the client came by: the one bound to may be 0.0.0.0."""
        city = self.server.city
        base = f"http://{self.headers['Host']}" if "Host" in self.headers else self.server.url
        cameras = (city.camera(camera_id) for camera_id in city.camera_ids)
        return [
            {
                "id": camera.id,
                "name": camera.name,
                "url": f"{base}/camera/{camera.id}.jpg",
                "refresh_s": city.refresh_s,
                "latitude": camera.latitude,
                "longitude": camera.longitude,
                "drawn": camera.drawn,
            }
            for camera in cameras
        ]

    def _send_truth(self, camera_id: str) -> None:
        truth = self.server.city.frame(camera_id).truth
        if truth is None:
            self.send_error(HTTPStatus.NOT_FOUND)
        else:
            self._send_json(dataclasses.asdict(truth))

    def _send_picture(self, camera_id: str) -> None:
        kind = self.server.misbehaviour(camera_id)
        self.server.count(camera_id, kind)
        if kind:
            self._misbehave(kind, camera_id)
            return
        frame = self.server.frame(camera_id)
        if not self.server.city.camera(camera_id).validators:
            self._send_frame(frame)
            return
        shown = formatdate(frame.shown_since, usegmt=True)
        validators = {"ETag": frame.etag, "Last-Modified": shown}
        if self._has(frame):
            self._send(HTTPStatus.NOT_MODIFIED, headers=validators)
        else:
            self._send_frame(frame, validators)

    def _has(self, frame: Frame) -> bool:
        """Whether the client says that it holds this frame; an ETag outweighs a date."""
        if tags := self.headers.get("If-None-Match"):
            return frame.etag in [tag.strip().removeprefix("W/") for tag in tags.split(",")]
        try:
            held = parsedate_to_datetime(self.headers.get("If-Modified-Since", ""))
        except ValueError:
            return False
        return int(frame.shown_since) <= held.timestamp()

    def _misbehave(self, kind: Misbehaviour, camera_id: str) -> None:
        def frame() -> Frame:
            return self.server.frame(camera_id)

        answers: dict[Misbehaviour, Callable[[], None]] = {
            Misbehaviour.NOT_MODIFIED: lambda: self._send(HTTPStatus.NOT_MODIFIED),
            Misbehaviour.SAME_BYTES: lambda: self._send_frame(frame()),
            Misbehaviour.PLACEHOLDER: lambda: self._send(HTTPStatus.OK, draw_placeholder(), JPEG),
            Misbehaviour.TRUNCATED: lambda: self._send_cut(frame()),
            Misbehaviour.SLOW: lambda: self._send_late(frame()),
            Misbehaviour.DRIPPED_HEADERS: self._drip_headers,
            Misbehaviour.DRIPPED_BODY: lambda: self._drip_body(frame()),
            Misbehaviour.STALLED: self._stall,
            Misbehaviour.NOT_FOUND: lambda: self.send_error(HTTPStatus.NOT_FOUND),
            Misbehaviour.SERVER_ERROR: lambda: self.send_error(HTTPStatus.INTERNAL_SERVER_ERROR),
            Misbehaviour.RATE_LIMITED: lambda: self._send(
                HTTPStatus.TOO_MANY_REQUESTS, headers={"Retry-After": str(RETRY_AFTER_S)}
            ),
            Misbehaviour.RESET: self._reset,
            Misbehaviour.HUGE_BODY: self._send_huge_body,
            Misbehaviour.PNG_BOMB: lambda: self._send(HTTPStatus.OK, build_png_bomb(), PNG),
            Misbehaviour.JPEG_BOMB: lambda: self._send(HTTPStatus.OK, build_jpeg_bomb(), JPEG),
        }
        answers[kind]()

    def _send_frame(self, frame: Frame, validators: dict[str, str] | None = None) -> None:
        self._send(HTTPStatus.OK, frame.picture, frame.content_type, headers=validators)

    def _send_cut(self, frame: Frame) -> None:
        self._send(HTTPStatus.OK, truncate(frame.picture), frame.content_type)

    def _send_late(self, frame: Frame) -> None:
        if not self.server.closing.wait(self.server.pace.slow_s):
            self._send_frame(frame)

    def _drip_headers(self) -> None:
        self.close_connection = True
        self._drip(b"HTTP/1.1 200 OK\r\n" + b"X-Padding: drip\r\n" * 1000)

    def _drip_body(self, frame: Frame) -> None:
        self.close_connection = True
        self._start(HTTPStatus.OK, len(frame.picture), frame.content_type)
        self._drip(frame.picture)

    def _drip(self, content: Iterable[int]) -> None:
        ends = time.monotonic() + self.server.pace.patience_s
        for byte in content:
            self.wfile.write(bytes([byte]))
            if self.server.closing.wait(self.server.pace.drip_s) or time.monotonic() > ends:
                return

    def _stall(self) -> None:
        self.close_connection = True
        ends = time.monotonic() + self.server.pace.patience_s
        self.connection.settimeout(0.1)
        while not self.server.closing.wait(0.1) and time.monotonic() < ends:
            try:
                if not self.connection.recv(1, socket.MSG_PEEK):
                    return  # the client has gone
            except TimeoutError:
                continue

    def _reset(self) -> None:
        """Lingering for no time makes closing a reset; the reader shares the socket."""
        self.close_connection = True
        linger = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.rfile.close()
        self.connection.close()

    def _send_huge_body(self) -> None:
        self.close_connection = True
        self._start(HTTPStatus.OK, None, JPEG)
        for chunk in stream_huge_body():
            if self.server.closing.is_set():
                return
            self.wfile.write(chunk)

    def _send_json(self, content: object) -> None:
        self._send(HTTPStatus.OK, json.dumps(content).encode(), JSON)

    def _send(
        self,
        status: HTTPStatus,
        body: bytes = b"",
        content_type: str = "text/plain",
        *,
        headers: dict[str, str] | None = None,
    ) -> None:
        bare = status in (HTTPStatus.NOT_MODIFIED, HTTPStatus.NO_CONTENT)
        self._start(status, None if bare else len(body), None if bare else content_type, headers)
        self.wfile.write(body)

    def _start(
        self,
        status: HTTPStatus,
        length: int | None,
        content_type: str | None,
        headers: dict[str, str] | None = None,
    ) -> None:
        self.send_response(status)
        if content_type:
            self.send_header("Content-Type", content_type)
        if length is not None:
            self.send_header("Content-Length", str(length))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
