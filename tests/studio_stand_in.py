"""A small server that gives images as a Label Studio 1.23.2 was measured to, and notes who asks."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from io import BytesIO
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from PIL import Image

from tests.quiet_server import QuietServer

LEGACY_TOKEN = "0123456789abcdef" * 2 + "01234567"
PERSONAL_TOKEN = "eyJhbGciOiJub25lIn0.eyJ0b2tlbl90eXBlIjoicmVmcmVzaCJ9.c2lnbmF0dXJl"


@dataclass(frozen=True)
class Asked:
    path: str
    authorization: str | None


@dataclass
class StandIn:
    """`files`: what is at a path, percent-decoded, needing a token or not; `script`: statuses that
    the next requests of a path get first; `redirects`: where a path leads; `before_giving`: as what
    needs a token is given."""

    port: int = 0
    tasks: dict[int, list[dict[str, Any]]] = field(default_factory=dict)  # by project
    private: dict[str, bytes] = field(default_factory=dict)
    public: dict[str, bytes] = field(default_factory=dict)
    redirects: dict[str, str] = field(default_factory=dict)
    script: dict[str, list[int]] = field(default_factory=dict)
    access_life_s: float = 300.0
    before_giving: Callable[[], object] = lambda: None
    legacy: bool = True
    asked: list[Asked] = field(default_factory=list)
    access: dict[str, float] = field(default_factory=dict)  # access tokens, and until when

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def add_task(self, number: int, image: str, *, annotations: int = 1, project: int = 2) -> None:
        task = {"id": number, "data": {"image": image}, "total_annotations": annotations}
        self.tasks.setdefault(project, []).append(task)

    def paths(self) -> list[str]:
        return [one.path for one in self.asked]

    def knows(self, authorization: str | None) -> bool:
        kind, _, token = (authorization or "").partition(" ")
        if kind == "Token":
            return self.legacy and token == LEGACY_TOKEN
        return kind == "Bearer" and self.access.get(token, 0.0) > time.monotonic()


class _Server(QuietServer):
    stand_in: StandIn


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        stand_in = self.server.stand_in
        stand_in.asked.append(Asked(self.path, self.headers["Authorization"]))
        if self.path != "/api/token/refresh/" or json.loads(body).get("refresh") != PERSONAL_TOKEN:
            return self._send(401, b"{}")
        access = f"header.{len(stand_in.access)}.signature"
        stand_in.access[access] = time.monotonic() + stand_in.access_life_s
        self._send(200, json.dumps({"access": access}).encode())

    def do_GET(self) -> None:
        stand_in = self.server.stand_in
        stand_in.asked.append(Asked(self.path, self.headers["Authorization"]))
        if script := stand_in.script.get(unquote(self.path)):
            return self._send(script.pop(0), b"<html>")
        path = unquote(urlsplit(self.path).path)
        if path in stand_in.redirects:
            return self._send(303, b"", {"Location": stand_in.redirects[path]})
        if path in stand_in.public:
            return self._send(200, stand_in.public[path])
        if not path.startswith(("/api/", "/data/", "/tasks/")):
            return self._send(404, b"nothing")
        if not stand_in.knows(self.headers["Authorization"]):
            return self._send(401, b'{"detail": "Authentication credentials were not provided."}')
        self._answer_known(path)

    def do_HEAD(self) -> None:
        """As an object store is asked whether a bucket or object is there."""
        path = unquote(urlsplit(self.path).path)
        self.send_response(200 if path in self.server.stand_in.public else 404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _answer_known(self, path: str) -> None:
        stand_in = self.server.stand_in
        if path in stand_in.private:
            stand_in.before_giving()
            self._send(200, stand_in.private[path])
        elif path == "/api/projects/":
            self._send_page("results", [{"id": number} for number in stand_in.tasks])
        elif path == "/api/tasks":
            wanted = int(parse_qs(urlsplit(self.path).query)["project"][0])
            self._send_page("tasks", stand_in.tasks.get(wanted, []))
        elif path.strip("/").startswith("api/projects/"):
            known = int(path.strip("/").split("/")[2]) in stand_in.tasks
            self._send(200 if known else 404, b"{}")
        elif path.startswith("/data/upload/"):
            self._send(500, b"<html>")  # not 404
        else:
            self._send(404, b"{}")

    def _send_page(self, key: str, entries: list[dict[str, Any]]) -> None:
        """Beyond the last page is 404."""
        query = parse_qs(urlsplit(self.path).query)
        page, size = int(query["page"][0]), int(query["page_size"][0])
        shown = entries[(page - 1) * size : page * size]
        if not shown and page > 1:
            return self._send(404, b'{"detail": "Invalid page."}')
        self._send(200, json.dumps({key: shown, "total": len(entries)}).encode())

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Silent."""


@contextmanager
def stand_in_studio() -> Iterator[StandIn]:
    with _Server(_Handler) as server:
        server.stand_in = StandIn(port=server.server_port)
        yield server.stand_in


def draw(colour: str = "red", size: tuple[int, int] = (64, 48), format: str = "JPEG") -> bytes:
    file = BytesIO()
    Image.new("RGB", size, colour).save(file, format)
    return file.getvalue()
