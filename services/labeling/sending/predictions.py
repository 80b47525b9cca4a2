"""What the detectors found, as Label Studio's predictions: one for each model that looked."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.annotations import CLASSES
from pipeline.labels.geometry import Size
from pipeline.labels.regions import find_score, name_version, write_regions
from pipeline.records import Detection, Detections
from services.labeling.studio.protocol import StudioPrediction


def predict(detections: Detections) -> list[StudioPrediction]:
    """One per model, in the order in which they looked; one that found nothing says so by an empty
    result. Labels that the labeling interface does not have are left out, and so is a model that
    found nothing else."""
    models = {model.name: model for model in detections.models}
    found: dict[str, list[Detection]] = {name: [] for name in models}
    for detection in detections.detections:
        found.setdefault(detection.detector, []).append(detection)
    known = {name: [one for one in of if one.label in CLASSES] for name, of in found.items()}
    return [
        _write_prediction(detections, name_version(models.get(name), name), of)
        for name, of in known.items()
        if of or not found[name]
    ]


def _write_prediction(
    detections: Detections, version: str, found: Sequence[Detection]
) -> StudioPrediction:
    size = Size(detections.width, detections.height)
    regions = write_regions(found, size, f"{detections.provenance.id} {version}")
    return StudioPrediction(model_version=version, score=find_score(found), result=regions)
