from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.storage import StoredObject
from services.detection.backend.serving import load_models, make_backend, open_images
from services.detection.backend.settings import BackendSettings
from services.detection.settings import DetectionSettings


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
