"""What can be found for a labeling interface: its labels that the detectors know, and no others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.labels.geometry import Size
from pipeline.labels.interface import Interface, read_interface
from pipeline.labels.regions import find_score, name_version, write_regions
from pipeline.records import FACE, Detection
from services.detection.backend.settings import BackendSettings
from services.detection.detector import DecodedImage, Detector
from services.detection.pixels import Pixels

GiveDetectors = Callable[[Sequence[str]], Sequence[Detector]]
Prediction = dict[str, Any]  # model_version, score, result: as Label Studio has it


class NothingToFind(ValueError):
    """An interface without a label that a detector knows."""


@dataclass(frozen=True)
class Ability:
    """`names`: labels as the interface writes them, by the same in lower case."""

    interface: Interface
    detectors: Sequence[Detector]
    names: dict[str, str]

    @property
    def version(self) -> str:
        """By it Label Studio tells which tasks it need not ask about: the first detector's, under
        which labeling sends its predictions too."""
        return _version_of(self.detectors[0])

    @property
    def field(self) -> str:
        """Where in a task's data the image's address is."""
        return self.interface.value.removeprefix("$")

    def predict(self, pixels: Pixels, seed: str) -> list[Prediction]:
        """One per detector; none at all where none found anything: an empty prediction would keep
        Label Studio from ever asking again. `seed` says of which image it is."""
        image = DecodedImage(pixels)
        predictions = [
            self._write(detector, detector.detect([image])[0], pixels, seed)
            for detector in self.detectors
        ]
        return predictions if any(one["result"] for one in predictions) else []

    def merge(self, predictions: Sequence[Prediction]) -> Prediction:
        """All of them as one: a person who is drawing is shown one."""
        scores = [one["score"] for one in predictions if one["score"] is not None]
        regions = [region for one in predictions for region in one["result"]]
        return {
            "model_version": self.version,
            "score": min(scores, default=None),
            "result": regions,
        }

    def _write(
        self, detector: Detector, detections: Sequence[Detection], pixels: Pixels, seed: str
    ) -> Prediction:
        found = [
            one.model_copy(update={"label": self.names[one.label]})
            for one in detections
            if one.label in self.names
        ]
        height, width = pixels.shape[:2]
        version = _version_of(detector)
        names = (self.interface.control, self.interface.object)
        regions = write_regions(found, Size(width, height), f"{seed} {version}", *names)
        return {"model_version": version, "score": find_score(found), "result": regions}


def find_ability(xml: str, settings: BackendSettings, give: GiveDetectors) -> Ability:
    """Raises UnreadableInterface, NothingToFind, ModelUnavailable, CorruptModel."""
    interface = read_interface(xml)
    names = {name.lower(): name for name in reversed(interface.classes)}
    wanted = (*settings.detectors, *(settings.face_detectors if FACE in names else ()))
    able = give(wanted)
    detectors = [one for one in able if any(label in names for label in one.labels)]
    if not detectors:
        known = ", ".join(label for one in able for label in one.labels)
        raise NothingToFind(f"the labeling interface has none of the labels found here: {known}")
    return Ability(interface, detectors, names)


def _version_of(detector: Detector) -> str:
    return name_version(detector.identity, detector.name)
