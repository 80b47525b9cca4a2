"""A download is the official bytes within bounds, or an error that leaves no file behind."""

from __future__ import annotations

import hashlib
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from pipeline.errors import CorruptModel, TransientError, UserError
from services.detection.download import pull_model
from services.detection.models import ModelFile
from tests.quiet_server import QuietServer

OFFICIAL = bytes(range(256)) * 1000


@dataclass
class Host:
    """A loopback server whose paths each misbehave in their own way."""

    address: str
    asked: list[str]


class Handler(BaseHTTPRequestHandler):
    asked: list[str]
    stop: threading.Event

    def do_GET(self) -> None:
        self.asked.append(self.path)
        answers: dict[str, Callable[[], None]] = {
            "/good": lambda: self.answer(OFFICIAL),
            "/other": lambda: self.answer(OFFICIAL[::-1]),
            "/announces-more": lambda: self.answer(OFFICIAL + b"x"),
            "/more": lambda: self.answer(OFFICIAL * 2, announced=None),
            "/less": lambda: self.answer(OFFICIAL[:1000], announced=None),
            "/truncated": lambda: self.answer(OFFICIAL[:1000], announced=len(OFFICIAL)),
            "/drips": self.drip_body,
            "/drips-headers": self.drip_headers,
        }
        answers.get(self.path, lambda: self.send_error(404))()

    def answer(self, body: bytes, announced: int | None = -1) -> None:
        self.send_response(200)
        if announced is not None:
            self.send_header("Content-Length", str(len(body) if announced < 0 else announced))
        self.end_headers()
        self.wfile.write(body)

    def drip_body(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.drip(b"x")

    def drip_headers(self) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        self.drip(b"x")

    def drip(self, byte: bytes) -> None:
        while not self.stop.wait(0.02):
            self.wfile.write(byte)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def host() -> Iterator[Host]:
    asked: list[str] = []
    stop = threading.Event()
    handler = type("Bound", (Handler,), {"asked": asked, "stop": stop})
    with QuietServer(handler) as server:
        yield Host(server.url, asked)
        stop.set()


def make_model(*urls: str) -> ModelFile:
    return ModelFile(
        name="tiny",
        filename="tiny.onnx",
        pattern="tiny*.onnx",
        urls=urls,
        bytes=len(OFFICIAL),
        sha256=hashlib.sha256(OFFICIAL).hexdigest(),
        licence="MIT",
        source="",
    )


def ignore(received: int, expected: int) -> None:
    pass


@pytest.fixture
def dead_address() -> Iterator[str]:
    """Its port is taken, and nobody listens there."""
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{deaf.getsockname()[1]}/good"


def test_pull_writes_the_file_and_tells_its_progress(host: Host, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    cache = tmp_path / "new" / "cache"
    path = pull_model(
        make_model(f"{host.address}/good"), cache, progress=lambda *bytes_: told.append(bytes_)
    )
    assert path == cache / "tiny.onnx"
    assert path.read_bytes() == OFFICIAL
    assert [received for received, _ in told] == sorted(received for received, _ in told)
    assert told[-1] == (len(OFFICIAL), len(OFFICIAL))
    assert list(cache.iterdir()) == [path]


def test_pull_does_not_ask_for_what_is_there(host: Host, tmp_path: Path) -> None:
    model = make_model(f"{host.address}/good")
    (tmp_path / "tiny.onnx").write_bytes(OFFICIAL)
    assert pull_model(model, tmp_path, progress=ignore) == tmp_path / "tiny.onnx"
    assert host.asked == []


def test_pull_replaces_a_corrupt_file(host: Host, tmp_path: Path) -> None:
    (tmp_path / "tiny.onnx").write_bytes(b"half of it")
    path = pull_model(make_model(f"{host.address}/good"), tmp_path, progress=ignore)
    assert path.read_bytes() == OFFICIAL


def test_pull_tries_the_next_address(host: Host, dead_address: str, tmp_path: Path) -> None:
    urls = [dead_address, *(f"{host.address}/{path}" for path in ("no", "other", "good"))]
    assert pull_model(make_model(*urls), tmp_path, progress=ignore).read_bytes() == OFFICIAL
    assert host.asked == ["/no", "/other", "/good"]


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("other", "SHA-256"),
        ("announces-more", "256001 bytes instead"),
        ("more", "more than 256000"),
    ],
)
def test_pull_refuses_other_bytes(host: Host, tmp_path: Path, path: str, reason: str) -> None:
    with pytest.raises(CorruptModel, match=reason):
        pull_model(make_model(f"{host.address}/{path}"), tmp_path, progress=ignore)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("absent", "HTTP 404"),
        ("less", "after 1000 of 256000"),
        ("truncated", "ProtocolError|Incom"),
    ],
)
def test_pull_of_nothing_whole_can_be_tried_again(
    host: Host, tmp_path: Path, path: str, reason: str
) -> None:
    with pytest.raises(TransientError, match=reason):
        pull_model(make_model(f"{host.address}/{path}"), tmp_path, progress=ignore)
    assert list(tmp_path.iterdir()) == []


def test_pull_from_a_dead_address_can_be_tried_again(dead_address: str, tmp_path: Path) -> None:
    with pytest.raises(TransientError, match="ConnectionError"):
        pull_model(make_model(dead_address), tmp_path, progress=ignore)


@pytest.mark.parametrize("path", ["drips", "drips-headers"])
def test_pull_ends_at_its_deadline(host: Host, tmp_path: Path, path: str) -> None:
    with pytest.raises(TransientError, match="in time"):
        pull_model(make_model(f"{host.address}/{path}"), tmp_path, progress=ignore, deadline_s=0.3)
    assert list(tmp_path.iterdir()) == []


def test_pull_keeps_the_old_file_on_failure(host: Host, tmp_path: Path) -> None:
    (tmp_path / "tiny.onnx").write_bytes(b"old")
    with pytest.raises(CorruptModel):
        pull_model(make_model(f"{host.address}/other"), tmp_path, progress=ignore)
    assert (tmp_path / "tiny.onnx").read_bytes() == b"old"


def test_pull_into_what_is_no_folder_says_so(host: Host, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match="cannot write"):
        pull_model(make_model(f"{host.address}/good"), tmp_path / "file", progress=ignore)
