from __future__ import annotations

import io
import shutil
import socket
import ssl
import subprocess
from pathlib import Path

import pytest
from urllib3 import HTTPResponse

from pipeline.errors import StorageError
from pipeline.storage import JSON, ObjectStore, StoredObject, open_store, s3_connections
from pipeline.storage.s3_connections import read_body
from tests.raw_server import Serve as ServeRaw
from tests.raw_server import drip, reply
from tests.unit.pipeline.storage.conftest import (
    OF_A_STORE,
    PASSWORD,
    Answer,
    FakeServer,
    Serve,
)
from tests.unit.pipeline.storage.test_s3_failures import ASKED, KEY, Ask, every_call

BODY = bytes(1000)


def failure(store: ObjectStore, ask: Ask) -> str:
    with pytest.raises(StorageError) as caught:
        ask(store)
    assert PASSWORD not in str(caught.value)
    return str(caught.value)


def read(store: ObjectStore) -> bytes:
    return store.get(KEY).data


@every_call
def test_server_that_is_not_there_is_a_storage_error(ask: Ask) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        endpoint = f"127.0.0.1:{closed.getsockname()[1]}"
        store = open_store(f"s3+http://capture:{PASSWORD}@{endpoint}")
        assert failure(store, ask).endswith(f"{endpoint}: it does not answer (Connection refused)")
        with pytest.raises(StorageError, match="Connection refused"):
            store.free_bytes()


def test_name_that_leads_nowhere_is_a_storage_error(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def resolve(host: str, *_: object, **__: object) -> None:
        asked.append(host)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    store = open_store(f"s3+http://capture:{PASSWORD}@object-store:9000")
    assert failure(store, read).endswith("it does not answer (Name or service not known)")
    assert len(asked) == 1, "a resolver may take its time"


def put_much(store: ObjectStore) -> None:
    """More than is taken for a program that does not read."""
    store.put(KEY, StoredObject(bytes(20_000_000), JSON))


@pytest.mark.parametrize("ask", [*ASKED.values(), put_much], ids=[*ASKED, "put much"])
@pytest.mark.usefixtures("short_patience")
def test_server_that_hangs_is_asked_once_and_not_for_long(ask: Ask) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        store = open_store(f"s3+http://capture:{PASSWORD}@127.0.0.1:{deaf.getsockname()[1]}")
        assert failure(store, ask).endswith("it did not answer in time")
        deaf.setblocking(False)
        deaf.accept()[0].close()
        with pytest.raises(BlockingIOError):
            deaf.accept()


@pytest.mark.usefixtures("short_patience")
def test_body_that_drips_is_cut_off(serve: ServeRaw) -> None:
    def answer(connection: socket.socket) -> None:
        connection.sendall(reply(b"", "x-amz-request-id: 1", length=1000))
        drip(connection, bytes(1000))

    failed = failure(open_store(f"s3+http://u:p@{serve(answer).address}"), read)
    assert failed.endswith("it did not answer in time")


class SlowBody(io.BytesIO):
    """Its clock goes on by a tenth of a second with each 400 bytes."""

    now_s = 0.0

    def monotonic(self) -> float:
        return self.now_s

    def read1(self, size: int | None = -1, /) -> bytes:
        self.now_s += 0.1
        return super().read1(400)


@pytest.mark.usefixtures("short_patience")
@pytest.mark.parametrize(("rate", "arrives"), [(1000, True), (100_000, False)])
def test_large_body_has_the_time_of_its_size(
    monkeypatch: pytest.MonkeyPatch, rate: int, arrives: bool
) -> None:
    """It comes in half a second; 0.3 s are for an answer, two for its bytes at the slower rate."""
    body = SlowBody(bytes(2000))
    monkeypatch.setattr(s3_connections, "MIN_BYTES_PER_S", rate)
    monkeypatch.setattr(s3_connections, "time", body)
    response = HTTPResponse(body, {"content-length": "2000"}, preload_content=False)
    if arrives:
        assert read_body(response) == bytes(2000)
    else:
        with pytest.raises(TimeoutError):
            read_body(response)


@pytest.mark.parametrize("length", [len(BODY) + 1, -1])
def test_body_that_may_be_cut_short_is_no_object(serve_store: Serve, length: int) -> None:
    server = serve_store(Answer(body=BODY, length=length))
    assert "it does not answer (IncompleteRead)" in failure(server.open(), read)


def test_whole_body_is_an_object(serve_store: Serve) -> None:
    assert serve_store(Answer(body=BODY)).open().get(KEY).data == BODY


def test_connections_are_used_again(serve: ServeRaw) -> None:
    server = serve(reply(b"x", "x-amz-request-id: 1"))
    store = open_store(f"s3+http://u:p@{server.address}")
    for _ in range(3):
        assert store.get(KEY).data == b"x"
        assert store.exists(KEY)
    assert len(server.connections) == 1


def test_connection_that_broke_is_tried_once_more(serve: ServeRaw) -> None:
    """As pooled ones are after the server was started again."""

    def close_first(connection: socket.socket) -> None:
        if len(server.requests) == 1:
            connection.shutdown(socket.SHUT_RDWR)
        connection.sendall(reply(b"x", "x-amz-request-id: 1"))

    server = serve(close_first)
    assert open_store(f"s3+http://u:p@{server.address}").get(KEY).data == b"x"
    assert len(server.requests) == 2


def test_connection_that_breaks_again_is_a_storage_error(serve: ServeRaw) -> None:
    server = serve(lambda connection: connection.shutdown(socket.SHUT_RDWR))
    assert "does not answer" in failure(open_store(f"s3+http://u:p@{server.address}"), read)
    assert len(server.requests) == 2


@every_call
def test_signature_is_not_sent_elsewhere(serve_store: Serve, ask: Ask) -> None:
    elsewhere = serve_store(Answer(body=b"x"))
    there = {"location": f"http://{elsewhere.endpoint}/raw/frames/a"}
    server = serve_store(Answer(307, headers=OF_A_STORE | there))
    failure(server.open(), ask)
    assert len(server.asked) == 1
    assert elsewhere.asked == []


def test_certificate_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate, key = make_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = FakeServer(lambda _: Answer(body=BODY))
    server.socket = context.wrap_socket(server.socket, server_side=True)
    url = server.url.replace("s3+http:", "s3+https:")
    with server:
        monkeypatch.delenv("SSL_CERT_FILE", raising=False)
        assert "certificate verify failed" in failure(open_store(url), read)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert open_store(url).get(KEY).data == BODY


def make_certificate(folder: Path) -> tuple[Path, Path]:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-nodes", "-newkey", "ec", "-days", "2"]
    command += ["-pkeyopt", "ec_paramgen_curve:prime256v1", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1"]
    command += ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    return certificate, key
