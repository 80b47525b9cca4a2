from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from pipeline.errors import TransientError
from services.detection.models import ModelFile
from services.detection.settings import DetectionSettings
from traboule import equipment
from traboule.equipment import PULL_FOR_S, TRY_FOR_S, Equipment, equip

NOWHERE = Console(file=io.StringIO())


class Network:
    """Stands in for the download: gives what it is said to have."""

    def __init__(self, *has: str) -> None:
        self.has = has
        self.asked: list[tuple[str, float]] = []

    def pull(self, model: ModelFile, cache: Path, *, progress: Any, deadline_s: float) -> Path:
        self.asked.append((model.name, deadline_s))
        if model.name not in self.has:
            raise TransientError("no such host")
        progress(model.bytes, model.bytes)
        return cache / model.filename


def settings_of(folder: Path) -> DetectionSettings:
    return DetectionSettings(TRABOULE_MODELS_DIR=folder, models_cache=folder / "cache")


def join(network: Network, monkeypatch: pytest.MonkeyPatch) -> Network:
    monkeypatch.setattr(equipment, "pull_model", network.pull)
    return network


def test_models_that_are_there_are_not_pulled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = join(Network(), monkeypatch)
    (tmp_path / "face_detection_yunet_2023mar.onnx").write_bytes(b"a user's own")
    (tmp_path / "yolox_nano.onnx").write_bytes(b"a user's own")
    found = equip(settings_of(tmp_path), NOWHERE)
    assert found == Equipment(("yunet", "yolox-nano"))
    assert found.describe() == "Models: yunet and yolox-nano."
    assert network.asked == []


def test_models_are_pulled_with_more_patience_once_the_network_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = join(Network("yunet", "yolox-nano"), monkeypatch)
    assert equip(settings_of(tmp_path), NOWHERE) == Equipment(("yunet", "yolox-nano"))
    assert network.asked == [("yunet", TRY_FOR_S), ("yolox-nano", PULL_FOR_S)]


def test_network_that_fails_is_asked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = join(Network(), monkeypatch)
    found = equip(settings_of(tmp_path), NOWHERE)
    assert found == Equipment((), ("yunet", "yolox-nano"))
    assert network.asked == [("yunet", TRY_FOR_S)]
    assert found.detectors == ("haar", "moving-object")
    assert "yunet and yolox-nano cannot be downloaded now" in found.describe()
    assert "haar and moving-object" in found.describe()
    assert "traboule models pull" in found.describe()


@pytest.mark.parametrize(
    ("present", "detectors"),
    [
        (("yunet", "yolox-nano"), ("yunet", "yolox-nano", "moving-object")),
        (("yunet",), ("yunet", "moving-object")),
        (("yolox-nano",), ("haar", "yolox-nano", "moving-object")),
    ],
)
def test_detectors_are_the_best_there_are(
    present: tuple[str, ...], detectors: tuple[str, ...]
) -> None:
    assert Equipment(present).detectors == detectors
