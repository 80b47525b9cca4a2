"""The routes, as Label Studio asks them: the bodies were captured from 1.23.2."""

from __future__ import annotations

import json
import socket
import threading
from pathlib import Path
from typing import Any

import pytest
import requests

from pipeline import keys
from pipeline.labels.interface import write_interface
from pipeline.storage import ObjectStore, StoredObject
from services.detection.backend.api import MAX_SETUP_BYTES
from tests.ml_backend import RunningBackend, paint, run_backend
from tests.raw_server import Serve, reply

INTERFACE = write_interface(["car", "bus"])
OURS = "quai-20261121T091640Z-8be14bda"
VERSION = "yolox-nano 1f2e3d4c"


def setup_body(**changed: Any) -> dict[str, Any]:
    return {
        "project": "8.1795221060",
        "schema": INTERFACE,
        "hostname": "http://127.0.0.1:9",
        "access_token": "t0ken",
        "extra_params": None,
    } | changed


def predict_body(*tasks: Any, **changed: Any) -> dict[str, Any]:
    return {
        "tasks": list(tasks),
        "project": "8.1795221060",
        "label_config": INTERFACE,
        "params": {"login": None, "password": None, "context": None},
    } | changed


def task(address: str = "http://127.0.0.1:9/x.jpg", **data: Any) -> dict[str, Any]:
    return {"id": 42, "data": {"image": address, **data}, "meta": {}, "predictions": []}


@pytest.fixture
def ours(store: ObjectStore) -> dict[str, Any]:
    store.put(keys.stored_image(OURS), StoredObject(paint("car"), "image/jpeg"))
    return task(image_id=OURS)


def test_health_is_told_to_anybody(backend: RunningBackend) -> None:
    answer = backend.ask("/health", login=None)
    assert (answer.status_code, answer.json()["status"]) == (200, "UP")


@pytest.mark.parametrize("login", [None, ("label-studio", "guess"), ("admin", "open sesame")])
def test_everything_else_wants_the_password(
    backend: RunningBackend, login: tuple[str, str] | None
) -> None:
    answers = [
        backend.ask("/setup", setup_body(), login),
        backend.ask("/predict", predict_body(), login),
        backend.ask("/webhook", {}, login),
        backend.ask("/versions", login=login),
    ]
    assert [one.status_code for one in answers] == [401] * 4
    assert answers[0].headers["WWW-Authenticate"] == "Basic"


def test_setup_tells_the_version_and_versions_remember_it(backend: RunningBackend) -> None:
    assert backend.ask("/versions").json() == {"versions": []}
    assert backend.ask("/setup", setup_body()).json() == {"model_version": VERSION}
    assert backend.ask("/versions").json() == {"versions": [VERSION]}


def test_predictions_are_given_for_every_task(
    backend: RunningBackend, ours: dict[str, Any]
) -> None:
    answer = backend.ask("/predict", predict_body(task(), ours, {}))
    assert answer.status_code == 200
    nothing, [prediction], none = answer.json()["results"]
    assert nothing == none == []
    assert (prediction["model_version"], prediction["score"]) == (VERSION, 0.8)


def test_token_of_the_setup_opens_its_projects_uploads(
    backend: RunningBackend, serve: Serve
) -> None:
    server = serve(reply(paint("bus")))
    backend.ask("/setup", setup_body(hostname=f"http://{server.address}"))
    upload = task("/data/upload/8/x.png")
    [[prediction]] = backend.ask("/predict", predict_body(upload)).json()["results"]
    assert prediction["result"][0]["value"]["rectanglelabels"] == ["bus"]
    other = predict_body(upload, project="9.1795221060")
    assert backend.ask("/predict", other).json()["results"] == [[]]
    assert len(server.requests) == 1


def test_missing_model_is_told_and_got_over(backend: RunningBackend, ours: dict[str, Any]) -> None:
    problem = "the model yolox-nano is missing: run `traboule models pull`"
    backend.missing.add("yolox-nano")
    assert backend.ask("/setup", setup_body()).json() == {"model_version": None}
    answer = backend.ask("/predict", predict_body(ours))
    assert (answer.status_code, answer.json()) == (503, {"error": problem})
    health = backend.ask("/health")
    assert (health.status_code, health.json()["problem"]) == (200, problem)
    backend.missing.clear()
    assert backend.ask("/setup", setup_body()).json() == {"model_version": VERSION}
    assert backend.ask("/predict", predict_body(ours)).json()["results"][0]
    assert "problem" not in backend.ask("/health").json()


def test_interface_without_our_labels_is_refused(backend: RunningBackend) -> None:
    for xml in ("<View></View>", write_interface(["cat"]), "<!DOCTYPE x [", "a" * 2_000_000):
        answer = backend.ask("/setup", setup_body(schema=xml))
        assert (answer.status_code, bool(answer.json()["error"])) == (422, True)
        assert backend.ask("/predict", predict_body(label_config=xml)).status_code == 422


def test_whoever_draws_has_one_prediction(backend: RunningBackend, ours: dict[str, Any]) -> None:
    body = predict_body(ours, params={"context": {"result": []}})
    [prediction] = backend.ask("/predict", body).json()["results"]
    assert [len(prediction["result"]), prediction["model_version"]] == [1, VERSION]


def test_webhook_takes_anything_and_says_nothing(backend: RunningBackend) -> None:
    for body in ({"action": "START_TRAINING", "project": {}}, b"\xff", b"a" * 20_000_000):
        answer = backend.ask("/webhook", body)
        assert (answer.status_code, answer.content) == (204, b"")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"\xff\xfe", 400),
        (b"[" * 100_000, 400),
        (b"[]", 422),
        (b"{}", 422),
        (b'{"project": 1, "schema": []}', 422),
        (b" " * (MAX_SETUP_BYTES + 1), 413),
    ],
)
def test_what_label_studio_does_not_send_is_refused(
    backend: RunningBackend, body: bytes, status: int
) -> None:
    answer = backend.ask("/setup", body)
    assert (answer.status_code, set(answer.json())) == (status, {"error"})


def test_body_without_an_end_ends(backend: RunningBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.detection.backend.bodies.WITHIN_S", 0.3)
    host, port = backend.url.removeprefix("http://").split(":")
    login = requests.Request("POST", backend.url, auth=("label-studio", "open sesame")).prepare()
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        lines = ["POST /setup HTTP/1.1", "Host: x", "Content-Length: 100"]
        lines += [f"Authorization: {login.headers['Authorization']}", "", ""]
        connection.sendall("\r\n".join(lines).encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 408 ")


def test_health_is_told_while_models_look(
    store: ObjectStore, tmp_path: Path, ours: dict[str, Any]
) -> None:
    """Label Studio waits for a second."""
    looking, told = threading.Event(), threading.Event()

    def look() -> None:
        looking.set()
        told.wait(60)

    with run_backend(store, tmp_path / "password", threads=1) as backend:
        backend.detectors["yolox-nano"].before = look
        asking = threading.Thread(target=backend.ask, args=("/predict", predict_body(*[ours] * 3)))
        asking.start()
        try:
            assert looking.wait(60)
            assert backend.ask("/health").status_code == 200
            assert backend.ask("/setup", setup_body()).json() == {"model_version": VERSION}
        finally:
            told.set()
            asking.join()


def test_health_is_told_while_models_are_loaded(
    backend: RunningBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.detection.backend.api.HEALTH_WITHIN_S", 0.1)
    loaded = threading.Event()
    backend.before_giving = lambda: loaded.wait(60)
    try:
        assert backend.ask("/health").status_code == 200
    finally:
        loaded.set()


def test_neither_token_nor_payload_is_logged(
    backend: RunningBackend,
    serve: Serve,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level("INFO")
    server = serve(reply(b"not found", status="404 Not Found"))
    secret = "s3cret-of-somebody"
    backend.ask("/setup", setup_body(hostname=f"http://{server.address}", access_token=secret))
    upload = task(f"/data/upload/8/x.png?X-Amz-Signature={secret}", text=secret)
    backend.ask("/predict", predict_body(upload, task(f"http://127.0.0.1/{secret}")))
    backend.ask("/predict", json.dumps({"tasks": secret, "label_config": secret}).encode())
    backend.ask("/webhook", {"project": {"token": secret}})
    assert secret.encode() in server.requests[0]
    said = caplog.text + "".join(capsys.readouterr())
    assert secret not in said
    assert "open sesame" not in said
