from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from services.detection import download, models
from services.detection.models import MODELS, ModelFile
from tests.unit.traboule.conftest import Run

BYTES = b"weights" * 100
TINY = ModelFile(
    name="yunet",
    filename="face_detection_yunet_2023mar.onnx",
    pattern="face_detection_yunet*.onnx",
    urls=("http://127.0.0.1:9/model.onnx",),
    bytes=len(BYTES),
    sha256=hashlib.sha256(BYTES).hexdigest(),
    licence="MIT",
    source="http://127.0.0.1:9",
)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and a YuNet that is a few bytes."""
    monkeypatch.setenv("DETECTION_MODELS_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("TRABOULE_MODELS_DIR", raising=False)
    monkeypatch.setitem(models.MODELS, "yunet", TINY)
    return tmp_path / "cache"


def test_list_says_what_is_missing_and_what_to_do(run: Run, cache: Path) -> None:
    ran = run("models", "list", "--json")
    assert [(one["id"], one["state"]) for one in ran.json] == [(name, "missing") for name in MODELS]
    assert "traboule models pull" in ran.err


@pytest.mark.parametrize("command", ["list", "pull"])
def test_models_are_detections_own_in_a_container(run_composed: Run, command: str) -> None:
    ran = run_composed("models", command)
    assert (ran.status, ran.out, ran.err.count("\n")) == (0, "", 1)
    assert "docker compose logs detection" in ran.err


def test_list_tells_an_official_file_from_another(
    run: Run, cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cache.mkdir()
    (cache / TINY.filename).write_bytes(BYTES)
    (tmp_path / "yolox_nano_mine.onnx").write_bytes(b"another export")
    monkeypatch.setenv("TRABOULE_MODELS_DIR", str(tmp_path))
    yunet, yolox = run("models", "list", "--json").json
    assert (yunet["state"], yunet["path"]) == ("official", str(cache / TINY.filename))
    assert (yolox["state"], yolox["file"]) == ("own-export", "yolox_nano_mine.onnx")
    assert yolox["sha256"] == hashlib.sha256(b"another export").hexdigest()
    assert yolox["licence"] == "Apache-2.0"


def test_list_tells_a_corrupt_file(run: Run, cache: Path) -> None:
    cache.mkdir()
    (cache / TINY.filename).write_bytes(b"no model")
    ran = run("models", "list", "--json")
    assert ran.json[0]["state"] == "corrupt"
    assert "is not the official file" in ran.err


def test_pull_says_from_where_to_where(
    run: Run, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pull(model: ModelFile, folder: Path, *, progress: object) -> Path:
        folder.mkdir()
        (folder / model.filename).write_bytes(BYTES)
        return folder / model.filename

    monkeypatch.setattr(download, "pull_model", pull)
    ran = run("models", "pull", "yunet")
    assert ran.status == 0
    for text in ("MIT", TINY.source, str(cache / TINY.filename), TINY.sha256):
        assert text in ran.out
    assert "there already, verified" in run("models", "pull", "yunet").out


def test_pull_that_fails_is_one_line(run: Run, cache: Path) -> None:
    ran = run("models", "pull", "yunet")
    assert ran.status == 1
    assert ran.err.startswith("traboule: cannot pull face_detection_yunet_2023mar.onnx")
    assert ran.err.count("\n") == 1


def test_pull_of_an_unknown_model_names_those_there_are(run: Run) -> None:
    ran = run("models", "pull", "yolo9")
    assert (ran.status, ran.err) == (
        1,
        "traboule: no model 'yolo9'; there are: yunet, yolox-nano\n",
    )
