"""A model is the official file, or a user's own; nothing else, and never silently."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from pipeline.errors import CorruptModel, ModelUnavailable
from services.detection import models
from services.detection.models import ModelFile, find_model, is_official

OFFICIAL = b"the official bytes"
MODEL = ModelFile(
    name="tiny",
    filename="tiny_2023.onnx",
    pattern="tiny*.onnx",
    urls=(),
    bytes=len(OFFICIAL),
    sha256=hashlib.sha256(OFFICIAL).hexdigest(),
    licence="MIT",
    source="",
)


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(models.MODELS, "tiny", MODEL)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "own"
    path.mkdir()
    return path


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    path = tmp_path / "cache"
    path.mkdir()
    return path


def test_find_prefers_the_folder_over_the_cache(folder: Path, cache: Path) -> None:
    for place in (folder, cache):
        (place / MODEL.filename).write_bytes(OFFICIAL)
    found = find_model("tiny", folder, cache)
    assert (found.path, found.sha256, found.official) == (
        folder / MODEL.filename,
        MODEL.sha256,
        True,
    )
    assert found.data == OFFICIAL


def test_find_falls_back_to_the_cache(folder: Path, cache: Path) -> None:
    (cache / MODEL.filename).write_bytes(OFFICIAL)
    assert find_model("tiny", folder, cache).path.parent == cache
    assert find_model("tiny", None, cache).path.parent == cache


def test_find_takes_another_export_with_its_own_hash(folder: Path, cache: Path) -> None:
    (folder / "tiny_mine.onnx").write_bytes(b"mine")
    found = find_model("tiny", folder, cache)
    assert found.path.name == "tiny_mine.onnx"
    assert found.sha256 == hashlib.sha256(b"mine").hexdigest()
    assert not found.official


def test_find_prefers_the_official_name(folder: Path, cache: Path) -> None:
    (folder / "tiny_0_mine.onnx").write_bytes(b"mine")
    (folder / MODEL.filename).write_bytes(OFFICIAL)
    assert find_model("tiny", folder, cache).official


def test_find_refuses_other_bytes_in_the_cache(cache: Path) -> None:
    (cache / MODEL.filename).write_bytes(OFFICIAL[::-1])
    with pytest.raises(CorruptModel, match=r"tiny_2023\.onnx.*traboule models pull"):
        find_model("tiny", None, cache)


def test_find_does_not_take_another_export_from_the_cache(cache: Path) -> None:
    (cache / "tiny_mine.onnx").write_bytes(b"mine")
    with pytest.raises(ModelUnavailable):
        find_model("tiny", None, cache)


def test_find_says_what_to_do_about_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match=r"traboule models pull.*TRABOULE_MODELS_DIR"):
        find_model("tiny", tmp_path / "absent", tmp_path / "absent too")


@pytest.mark.parametrize(
    ("data", "expected"), [(OFFICIAL, True), (OFFICIAL[::-1], False), (OFFICIAL[:-1], False)]
)
def test_is_official_means_the_same_bytes(cache: Path, data: bytes, expected: bool) -> None:
    path = cache / MODEL.filename
    assert not is_official(MODEL, path)
    path.write_bytes(data)
    assert is_official(MODEL, path) is expected
