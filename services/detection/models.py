"""The model files that detectors need: where each is found, and how it is fetched and proven."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.errors import CorruptModel, ModelUnavailable


@dataclass(frozen=True)
class ModelFile:
    """An official file, its size in bytes and its hash, and where anyone may download it."""

    name: str
    filename: str
    pattern: str  # other exports of the same model, in a user's own folder
    urls: tuple[str, ...]
    bytes: int
    sha256: str
    licence: str
    source: str


@dataclass(frozen=True)
class FoundModel:
    """A model file that was read; `sha256` is the hash of `data`, whatever the official one is."""

    path: Path
    sha256: str
    official: bool
    data: bytes = field(repr=False)


YUNET = ModelFile(
    name="yunet",
    filename="face_detection_yunet_2023mar.onnx",
    pattern="face_detection_yunet*.onnx",
    urls=(
        "https://media.githubusercontent.com/media/opencv/opencv_zoo/main/models/"
        "face_detection_yunet/face_detection_yunet_2023mar.onnx",
        "https://huggingface.co/opencv/face_detection_yunet/resolve/main/"
        "face_detection_yunet_2023mar.onnx",
    ),
    bytes=232_589,
    sha256="8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4",
    licence="MIT",
    source="https://github.com/opencv/opencv_zoo",
)
YOLOX_NANO = ModelFile(
    name="yolox-nano",
    filename="yolox_nano.onnx",
    pattern="yolox_nano*.onnx",
    urls=(
        "https://github.com/Megvii-BaseDetection/YOLOX/releases/download/0.1.1rc0/yolox_nano.onnx",
    ),
    bytes=3_659_407,
    sha256="c789161ed43c8269fcd4e67c67eeeb4e80c622da2eb296a20bc6007bd18a0b7d",
    licence="Apache-2.0",
    source="https://github.com/Megvii-BaseDetection/YOLOX",
)
MODELS = {model.name: model for model in (YUNET, YOLOX_NANO)}


def find_model(name: str, folder: Path | None, cache: Path) -> FoundModel:
    """Read the model `name` from the user's `folder`, else from `cache`.

    A file in `folder` may be another export and keeps its own hash; in `cache` only the official
    file is accepted. Raises ModelUnavailable, CorruptModel.
    """
    model = MODELS[name]
    if folder is not None:
        for path in _list_candidates(model, folder):
            return _read(model, path)
    path = cache / model.filename
    if not path.is_file():
        raise ModelUnavailable(
            f"the model {name} is missing: run `traboule models pull`, "
            f"or set TRABOULE_MODELS_DIR to a folder that holds {model.filename}"
        )
    found = _read(model, path)
    if not found.official:
        raise CorruptModel(f"{path} is not the official file: run `traboule models pull`")
    return found


def is_official(model: ModelFile, path: Path) -> bool:
    """Whether `path` holds exactly the official bytes."""
    return path.is_file() and path.stat().st_size == model.bytes and _read(model, path).official


def _list_candidates(model: ModelFile, folder: Path) -> Iterator[Path]:
    """The official name first, then whatever looks like another export, in order of name."""
    official = folder / model.filename
    if official.is_file():
        yield official
    yield from sorted(path for path in folder.glob(model.pattern) if path.is_file())


def _read(model: ModelFile, path: Path) -> FoundModel:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelUnavailable(f"cannot read {path}: {error.strerror}") from error
    sha256 = hashlib.sha256(data).hexdigest()
    return FoundModel(path, sha256, sha256 == model.sha256, data)
