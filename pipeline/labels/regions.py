"""Detections as regions of a prediction, and the name under which a model's predictions go."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from pipeline.labels.geometry import Size, box_to_percent
from pipeline.labels.interface import CONTROL, OBJECT
from pipeline.records import Detection, ModelIdentity

_TYPE = "rectanglelabels"


def name_version(model: ModelIdentity | None, name: str) -> str:
    """`yolox-nano 1f2e3d4c`: the name, and where it has a file the first 8 of its SHA-256."""
    return f"{name} {model.sha256[:8]}" if model and model.sha256 else name


def write_regions(
    found: Sequence[Detection],
    size: Size,
    seed: str,
    control: str = CONTROL,
    image: str = OBJECT,
) -> list[dict[str, Any]]:
    """Label Studio's dicts. Their ids follow from `seed`, so that a box that a person took over can
    be traced to the one predicted. `control` and `image` are names of the interface's tags."""
    names = {"from_name": control, "to_name": image, "type": _TYPE}
    return [
        {"id": _name(f"{seed} {number}"), **names, **_describe(one, size)}
        for number, one in enumerate(found)
    ]


def find_score(found: Sequence[Detection]) -> float | None:
    """Its least certain box's: ordered by it, Label Studio shows doubtful images first. None where
    there is no box."""
    return min((one.score for one in found), default=None)


def _name(seed: str) -> str:
    return hashlib.sha256(seed.encode()).hexdigest()[:10]


def _describe(detection: Detection, size: Size) -> dict[str, Any]:
    return {
        "original_width": size.width,
        "original_height": size.height,
        "image_rotation": 0,
        "score": detection.score,
        "value": {**asdict(box_to_percent(detection.box, size)), _TYPE: [detection.label]},
    }
