from __future__ import annotations

import socket
from pathlib import Path

import pytest

from pipeline.errors import FetchError
from pipeline.storage import ObjectStore, StoredObject
from services.detection.backend.serving import (
    load_models,
    make_backend,
    make_images,
    open_images,
)
from services.detection.backend.settings import BackendSettings
from services.detection.backend.setups import Setup
from services.detection.settings import DetectionSettings
from tests.ml_backend import SIZE, paint
from tests.raw_server import Serve, reply


def test_only_the_store_is_asked_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for piece in ("BROKER", "CATALOG"):
        monkeypatch.delenv(f"PIPELINE_{piece}_URL", raising=False)
        monkeypatch.setenv(f"PIPELINE_{piece}_PASSWORD_FILE", "/nowhere")
    monkeypatch.setenv("PIPELINE_STORE_URL", tmp_path.as_uri())
    store = open_images()
    store.put("images/a.jpg", StoredObject(b"x", "image/jpeg"))
    assert (tmp_path / "images").exists()


def test_label_studio_may_have_a_private_address_and_nobody_else_may(
    store: ObjectStore, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve = socket.getaddrinfo
    monkeypatch.setattr(
        "pipeline.connections.socket.getaddrinfo",
        lambda host, port, **options: resolve("127.0.0.1", port, **options),
    )
    server = serve(reply(paint()))
    port = server.address.rpartition(":")[2]
    home = f"http://labels.example.net:{port}"
    images = make_images(BackendSettings(label_studio_url=home), store)
    task = {"id": 7, "data": {"image": "/data/upload/1/x.png"}}
    assert images.read(task, "image", Setup(home, "t0ken", None)).shape == (SIZE[1], SIZE[0], 3)
    elsewhere = {"id": 7, "data": {"image": f"http://images.example.net:{port}/x.png"}}
    with pytest.raises(FetchError, match="private"):
        images.read(elsewhere, "image", Setup(home, "t0ken", None))
    assert len(server.requests) == 1


def test_backend_starts_without_its_models(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PIPELINE_STORE_URL", tmp_path.as_uri())
    models = DetectionSettings(TRABOULE_MODELS_DIR=None, models_cache=tmp_path / "none")
    backend = make_backend(BackendSettings(), models, open_images())
    load_models(backend)
    backend.predictor.close()
    said = capsys.readouterr().out
    assert "yolox-nano is missing" in said
    assert "yunet is missing" in said
