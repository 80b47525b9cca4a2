"""How an image looked, as kept in its row for later frames to be compared with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.records import BoundingBox, Conditions, Detections, Provenance, Thumbnail

HIDDEN_PADDING = 0.3  # of a face's box, on each side: as much as detection blurs
Region = tuple[float, float, float, float]  # x1, y1, x2, y2 as fractions of width and height


@dataclass(frozen=True)
class Look:
    """What is compared of an image."""

    image_id: str
    phash: str
    thumbnail: Thumbnail
    conditions: Conditions
    hidden: tuple[Region, ...] = ()  # what was blurred since: not compared


def write_look(provenance: Provenance) -> dict[str, Any]:
    """Of a frame as it was received."""
    return {
        "phash": provenance.phash,
        "thumbnail": provenance.thumbnail.model_dump_json(),
        "conditions": provenance.conditions.model_dump(),
    }


def write_safe_look(result: Detections) -> dict[str, Any]:
    """Of an image as it is stored: what was blurred in it is not compared."""
    hidden = hidden_regions(result.blurred_boxes, result.width, result.height)
    return write_look(result.provenance) | {"hidden": [list(region) for region in hidden]}


def read_look(image_id: str, kept: Mapping[str, Any]) -> Look:
    return Look(
        image_id=image_id,
        phash=kept["phash"],
        thumbnail=Thumbnail.model_validate_json(kept["thumbnail"]),
        conditions=Conditions.model_validate(kept["conditions"]),
        hidden=tuple((x1, y1, x2, y2) for x1, y1, x2, y2 in kept.get("hidden", ())),
    )


def hidden_regions(blurred: Sequence[BoundingBox], width: int, height: int) -> list[Region]:
    """What the blur of these boxes covers in a picture of that size."""
    regions: list[Region] = []
    for face in blurred:
        across = (face.x2 - face.x1) * HIDDEN_PADDING
        down = (face.y2 - face.y1) * HIDDEN_PADDING
        regions.append(
            (
                max((face.x1 - across) / width, 0.0),
                max((face.y1 - down) / height, 0.0),
                min((face.x2 + across) / width, 1.0),
                min((face.y2 + down) / height, 1.0),
            )
        )
    return regions
