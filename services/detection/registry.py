"""Every detector by the name a camera's settings use. To add one: a module, and a line here."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from pipeline.errors import UserError
from services.detection.detector import Detector
from services.detection.haar import HaarCascade
from services.detection.models import FoundModel, find_model
from services.detection.motion import MovingObject
from services.detection.settings import DetectionSettings
from services.detection.yolox import YoloxNano
from services.detection.yunet import YuNet

ModelFinder = Callable[[str], FoundModel]

# Each factory is given what finds a model file by name.
FACTORIES: dict[str, Callable[[ModelFinder], Detector]] = {
    "yunet": lambda find: YuNet(find("yunet")),
    "yolox-nano": lambda find: YoloxNano(find("yolox-nano")),
    "haar": lambda find: HaarCascade(),
    "moving-object": lambda find: MovingObject(),
}


def build_detectors(
    names: Sequence[str], models_dir: Path | None, cache: Path
) -> dict[str, Detector]:
    """The named detectors, loaded; no other model is read.

    Raises UserError (unknown name), ModelUnavailable, CorruptModel.
    """
    unknown = sorted(set(names) - set(FACTORIES))
    if unknown:
        raise UserError(f"no detector {', '.join(unknown)}: there are {', '.join(FACTORIES)}")

    def find(name: str) -> FoundModel:
        return find_model(name, models_dir, cache)

    return {name: FACTORIES[name](find) for name in dict.fromkeys(names)}


def keep_detectors(settings: DetectionSettings) -> Callable[[Sequence[str]], Sequence[Detector]]:
    """Gives detectors by name, each loaded once per process; one that was missing is tried anew."""
    loaded: dict[str, Detector] = {}
    lock = threading.Lock()

    def give(names: Sequence[str]) -> Sequence[Detector]:
        with lock:
            missing = [name for name in names if name not in loaded]
            loaded.update(build_detectors(missing, settings.models_dir, settings.models_cache))
            return [loaded[name] for name in names]

    return give
